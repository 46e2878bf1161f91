package log

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"gregor/internal/log/vfs"
)

// A node with more replicas than it may open files closes those that are idle, what was written to them flushed first.
func TestIdleFilesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, limit = 50, 20
		fsys := vfs.NewMem(nil)
		d, err := OpenDirs(DirsOptions{Paths: []string{"/d"}, FS: fsys, NodeID: 1, MaxOpenFiles: limit, Clock: (&testClock{testEpochMs}).now})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for i := range n {
			l, err := d.Create("t", [16]byte{1}, int32(i), [16]byte{}, DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			if open := d.files.n.Load(); open > int64(i) {
				t.Errorf("%d files are open, %d logs have been written to", open, i)
			}
			if _, err := l.AppendLeader(batch("a"), 0, Client); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if open := d.files.n.Load(); open > limit {
			t.Errorf("%d files are open, the limit is %d", open, limit)
		}
		closed := 0
		for l := range d.All() {
			s := l.active()
			s.mu.Lock()
			open := s.file != nil
			s.mu.Unlock()
			if !open {
				closed++
				if l.RecoveryPoint() != 1 {
					t.Errorf("partition %d: file closed at recovery point %d, want 1", l.Partition(), l.RecoveryPoint())
				}
			}
			got, err := values(l, 0)
			if err != nil || fmt.Sprint(got) != "[0:a]" {
				t.Error(got, err)
			}
		}
		if closed == 0 {
			t.Error("no file was closed")
		}
	})
}

// Want of descriptors is no failure of the disk: the append is refused, and a later one goes through.
func TestNoDescriptorLeft(t *testing.T) {
	var short atomic.Bool
	fsys := &vfs.Fault{FS: vfs.NewMem(nil), Hook: func(op vfs.Op, name string) error {
		if short.Load() && (op == vfs.OpOpen || op == vfs.OpCreate) && strings.HasSuffix(name, logSuffix) {
			return syscall.EMFILE
		}
		return nil
	}}
	d, err := OpenDirs(DirsOptions{Paths: []string{"/d"}, FS: fsys, NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	short.Store(true)
	if _, err := l.AppendLeader(batch("a"), 0, Client); !errors.Is(err, ErrTooManyFiles) || errors.Is(err, ErrDirOffline) {
		t.Fatal(err)
	}
	if _, err := d.Create("t", [16]byte{1}, 1, [16]byte{}, DefaultConfig()); !errors.Is(err, ErrTooManyFiles) {
		t.Fatal(err)
	}
	short.Store(false)
	if _, err := l.AppendLeader(batch("a"), 0, Client); err != nil {
		t.Fatal(err)
	}
	if got, err := values(l, 0); err != nil || fmt.Sprint(got) != "[0:a]" {
		t.Error(got, err)
	}
	if d.Dirs()[0].Err != nil {
		t.Error(d.Dirs()[0].Err)
	}
}

// What is not written to costs the disk no sync: a thousand partitions are made, led and closed without one.
func TestEmptyLogsAreNotSynced(t *testing.T) {
	var syncs atomic.Int64
	fsys := &vfs.Fault{FS: vfs.NewMem(nil), Hook: func(op vfs.Op, name string) error {
		if (op == vfs.OpSync || op == vfs.OpSyncDir) && strings.Contains(name, "/t-") {
			syncs.Add(1)
		}
		return nil
	}}
	for _, kill := range []bool{false, true, true, false} {
		d, err := OpenDirs(DirsOptions{Paths: []string{"/d"}, FS: fsys, NodeID: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int32(10) {
			l := d.Get("t", i)
			if l == nil {
				if l, err = d.Create("t", [16]byte{1}, i, [16]byte{}, DefaultConfig()); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.AssignEpoch(l.LatestEpoch()+1, 0); err != nil {
				t.Fatal(err)
			}
		}
		if kill {
			crash(d)
		} else if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if n := syncs.Load(); n != 0 {
			t.Fatalf("%d syncs", n)
		}
	}
}
