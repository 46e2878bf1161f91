package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gregor/internal/log/vfs"
)

// copyAll brings a future log up to its original.
func copyAll(from, to *Log) error {
	for to.EndOffset() < from.EndOffset() {
		s, err := from.Read(to.EndOffset(), from.EndOffset(), 100, true)
		if err != nil {
			return err
		}
		b, err := s.Bytes()
		s.Close()
		if err != nil {
			return err
		}
		if _, err := to.AppendFollower(b); err != nil {
			return err
		}
	}
	return nil
}

func twoDirs(fsys vfs.FS, clock *testClock) (*Dirs, error) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.FileDeleteDelayMs = 400, 0
	d, err := OpenDirs(DirsOptions{Paths: []string{"/a", "/b"}, FS: fsys, Clock: clock.now, Config: cfg, NodeID: 1})
	if err == nil {
		d.background.stop()
	}
	return d, err
}

func dirID(d *Dirs, path string) [16]byte {
	for _, dir := range d.Dirs() {
		if dir.Path == path {
			return dir.ID
		}
	}
	return [16]byte{}
}

// moveIt is the scenario: a log with records that are on disk, moved to the other directory.
func moveIt(fsys vfs.FS, clock *testClock) error {
	d, err := twoDirs(fsys, clock)
	if err != nil {
		return err
	}
	defer crash(d)
	l := d.Get("t", 0)
	f, err := d.CreateFuture("t", 0, dirID(d, "/b"))
	if err != nil {
		return err
	}
	if err := copyAll(l, f); err != nil {
		return err
	}
	moved, err := d.Promote("t", 0)
	if err != nil {
		return err
	}
	if _, err := l.AppendLeader(batch("x"), 0, Client); !errors.Is(err, ErrClosed) {
		return fmt.Errorf("the old log takes records: %v", err)
	}
	if filepath.Dir(moved.Dir()) != "/b" || d.Get("t", 0) != moved || d.Future("t", 0) != nil || moved.HighWatermark() != l.HighWatermark() {
		return fmt.Errorf("moved to %s, high watermark %d", moved.Dir(), moved.HighWatermark())
	}
	_, err = moved.AppendLeader(batch("after"), 3, Client)
	return err
}

// TestCrashInMove ends the move at each operation that changes the disk, in two ways: only what was synced is left, or
// everything. What had been flushed is there afterwards, in one of the directories, and a move that was begun can be ended.
// A crash that leaves some of the rest by chance is not tried: it may take both names of a directory that was renamed,
// which file systems do not do.
func TestCrashInMove(t *testing.T) {
	clock := &testClock{testEpochMs}
	prepare := func() *vfs.Mem {
		disk := vfs.NewMem(clock.now)
		d, err := twoDirs(disk, clock)
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.Create("t", [16]byte{1}, 0, dirID(d, "/a"), d.o.Config)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			if _, err := l.AppendLeader(producerBatchOf(7, 0, int32(i), fmt.Sprint("v", i)), int32(i/5), Coordinator); err != nil {
				t.Fatal(err)
			}
		}
		l.SetHighWatermark(11)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return disk
	}
	check := func(what string, disk *vfs.Mem) {
		t.Helper()
		d, err := twoDirs(disk, clock)
		if err != nil {
			t.Fatal(what, err)
		}
		defer d.Close()
		for k, b := range d.broken {
			t.Fatal(what, k, b.err)
		}
		l := d.Get("t", 0)
		if l == nil {
			t.Fatal(what, ": the log is gone")
		}
		got, err := values(l, 0)
		if err != nil || len(got) < 12 || got[11] != "11:v11" {
			t.Fatal(what, got, err)
		}
		if n := len(l.Producers()); n != 1 {
			t.Fatalf("%s: %d producers", what, n)
		}
		if filepath.Dir(l.Dir()) == "/b" {
			if d.Future("t", 0) != nil {
				t.Fatal(what, ": there is a future log after the move")
			}
			return
		}
		f := d.Future("t", 0)
		if f == nil {
			if f, err = d.CreateFuture("t", 0, dirID(d, "/b")); err != nil {
				t.Fatal(what, err)
			}
		}
		if err := copyAll(l, f); err != nil {
			t.Fatal(what, err)
		}
		if l, err = d.Promote("t", 0); err != nil {
			t.Fatal(what, err)
		}
		if again, err := values(l, 0); err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Fatal(what, again, err)
		}
	}
	for at := 0; ; at++ {
		disk := prepare()
		var changes atomic.Int64 // the directories are opened at the same time
		fsys := &vfs.Fault{FS: disk, Hook: func(op vfs.Op, name string) error {
			if !op.Changes() {
				return nil
			}
			if changes.Add(1) <= int64(at) {
				return nil
			}
			return errPower
		}}
		err := moveIt(fsys, clock)
		check(fmt.Sprintf("operation %d, only what was synced", at), disk.Crash(nil))
		disk.Kill()
		check(fmt.Sprintf("operation %d, killed", at), disk)
		if err == nil {
			if at < 40 {
				t.Errorf("the move took %d operations", at)
			}
			return
		}
	}
}

func TestFutureLogs(t *testing.T) {
	clock := &testClock{testEpochMs}
	disk := vfs.NewMem(clock.now)
	d, err := twoDirs(disk, clock)
	if err != nil {
		t.Fatal(err)
	}
	a, b := dirID(d, "/a"), dirID(d, "/b")
	_, err = d.CreateFuture("t", 0, b)
	expectError(t, err, ErrNotFound)
	if _, err := d.Create("t", [16]byte{1}, 0, a, d.o.Config); err != nil {
		t.Fatal(err)
	}
	_, err = d.CreateFuture("t", 0, a)
	expectError(t, err, ErrExists)
	_, err = d.CreateFuture("t", 0, [16]byte{77})
	expectError(t, err, ErrDirOffline)
	f, err := d.CreateFuture("t", 0, b)
	if err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(f.Dir()); !strings.HasPrefix(name, "t-0.") || !strings.HasSuffix(name, "-future") || d.DirOf(f) != b || d.Get("t", 0) == f {
		t.Error(f.Dir())
	}
	if n := 0; true {
		for range d.All() {
			n++
		}
		if n != 1 || d.Dirs()[1].Logs != 1 || len(d.Futures()) != 1 {
			t.Error(n, d.Dirs())
		}
	}
	_, err = d.CreateFuture("t", 0, b)
	expectError(t, err, ErrExists)
	if err := d.DeleteFuture("t", 0); err != nil || d.Future("t", 0) != nil || exists(disk, f.Dir()) || d.Dirs()[1].Logs != 0 {
		t.Error(err, d.Dirs())
	}
	if f, err = d.CreateFuture("t", 0, b); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(Name{"t", 0}); err != nil || d.Future("t", 0) != nil || exists(disk, f.Dir()) {
		t.Error("a deleted partition's future log is left:", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
