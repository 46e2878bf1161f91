package log

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"gregor/internal/log/vfs"
)

// faulty puts a hook in front of the fixture's file system.
func (f *fixture) faulty() *vfs.Fault {
	fault := &vfs.Fault{FS: f.fs, Hook: func(vfs.Op, string) error { return nil }}
	f.fs, f.opts.FS = fault, fault
	return fault
}

// TestFullDisk refuses appends while there is no space, keeps serving reads, deletes and retention, and goes on when
// there is space again.
func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	disk := f.fs.(*vfs.Mem)
	f.opts.Config.RetentionMs = -1
	f.opts.Config.SegmentBytes = 5 * len(batch("0"))
	l := f.open()
	for i := range 10 {
		f.append(l, producerBatchOf(3, 0, int32(i), fmt.Sprint(i)))
	}
	disk.SetLimit(disk.Used() + 30) // half a batch
	for range 3 {
		_, err := l.AppendLeader(producerBatchOf(3, 0, 10, "x"), 0, Client)
		expectError(t, err, ErrNoSpace)
	}
	if l.Err() != nil || l.EndOffset() != 10 {
		t.Fatal(l.Err(), l.EndOffset())
	}
	f.expect(l, 8, "8:8", "9:9")
	l.SetHighWatermark(10)
	if _, err := l.DeleteRecordsBefore(7); err != nil {
		t.Fatal(err)
	}
	if n, err := l.DeleteOldSegments(); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for i := range 3 { // there is room for as many as were deleted
		f.append(l, producerBatchOf(3, 0, int32(10+i), "x"))
	}
	f.expect(l, 9, "9:9", "10:x", "11:x", "12:x")
	l = f.open()
	f.expect(l, 9, "9:9", "10:x", "11:x", "12:x")
}

// TestDiskFailure takes the log out of service at an I/O error of a write or of an fsync.
func TestDiskFailure(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir} {
		t.Run(string(op), func(t *testing.T) {
			f := newFixture(t)
			fault := f.faulty()
			var told error
			f.opts.Failed = func(_ *Log, err error) { told = err }
			l := f.open()
			f.append(l, batch("a"))
			fault.Hook = func(o vfs.Op, name string) error {
				if o == op && !strings.HasSuffix(name, vfs.TmpSuffix) {
					return syscall.EIO
				}
				return nil
			}
			_, err := l.AppendLeader(batch("b"), 0, Client)
			if err == nil {
				err = l.Roll()
			}
			if err == nil {
				err = l.Flush(2)
			}
			expectError(t, err, ErrDirOffline)
			expectError(t, err, syscall.EIO)
			if !errors.Is(told, syscall.EIO) {
				t.Fatal(told)
			}
			fault.Hook = func(vfs.Op, string) error { return nil }
			_, err = l.AppendLeader(batch("c"), 0, Client)
			expectError(t, err, ErrDirOffline)
			expectError(t, l.Flush(1), ErrDirOffline)
			expectError(t, l.Close(), ErrDirOffline)
		})
	}
}

// TestGroupCommit lets many appenders wait for one fsync.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		fault := f.faulty()
		f.opts.Config.FlushMessages = 1
		l := f.open()
		syncs, gate := 0, make(chan struct{})
		fault.Hook = func(op vfs.Op, name string) error {
			if op == vfs.OpSync && strings.HasSuffix(name, logSuffix) {
				syncs++
				<-gate
			}
			return nil
		}
		acked := make(chan int64, 20)
		put := func() {
			info, err := l.AppendLeader(batch("x"), 0, Client)
			if err != nil {
				t.Error(err)
			}
			acked <- info.LastOffset
		}
		go put()
		synctest.Wait() // the first waits for its fsync
		for range 19 {
			go put()
		}
		synctest.Wait() // the others have written, and wait for the next
		if l.EndOffset() != 0 || len(acked) != 0 || syncs != 1 {
			t.Fatal(l.EndOffset(), len(acked), syncs)
		}
		if s, err := l.Read(0, 20, 1000, true); err != nil || s.Len() != 0 {
			t.Fatal("a reader sees what is not on disk", s.Len(), err)
		}
		gate <- struct{}{}
		synctest.Wait()
		if l.EndOffset() != 1 || len(acked) != 1 || syncs != 2 {
			t.Fatal(l.EndOffset(), len(acked), syncs)
		}
		gate <- struct{}{}
		synctest.Wait()
		if l.EndOffset() != 20 || len(acked) != 20 || syncs != 2 || l.RecoveryPoint() != 20 {
			t.Fatal(l.EndOffset(), len(acked), syncs, l.RecoveryPoint())
		}
	})
}

// TestFlushBeforeAcknowledge crashes after each acknowledged append, rolls included.
func TestFlushBeforeAcknowledge(t *testing.T) {
	f := newFixture(t)
	disk := f.fs.(*vfs.Mem)
	f.opts.Config.FlushMessages = 1
	f.opts.Config.SegmentBytes = 3 * len(batch("0"))
	l := f.open()
	var want []string
	for i := range 8 {
		f.append(l, batch(fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("%d:%d", i, i))
		f.expect(l, 0, want...)
		after := &fixture{t: t, clock: f.clock, opts: f.opts}
		after.opts.FS = disk.Crash(nil)
		after.opts.RecoveryPoint = l.RecoveryPoint()
		after.expect(after.open(), 0, want...)
	}
}

// TestTruncatedDuringFlush truncates while an fsync is under way, whose end must not be published.
func TestTruncatedDuringFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		fault := f.faulty()
		l := f.open()
		for range 5 {
			f.append(l, batch("x"))
		}
		gate, first := make(chan struct{}), true
		fault.Hook = func(op vfs.Op, name string) error {
			if op == vfs.OpSync && strings.HasSuffix(name, logSuffix) && first {
				first = false
				<-gate
			}
			return nil
		}
		done := make(chan error)
		go func() { done <- l.Flush(5) }()
		synctest.Wait()
		if err := l.TruncateTo(2); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if l.RecoveryPoint() != 2 || l.EndOffset() != 2 {
			t.Fatal(l.RecoveryPoint(), l.EndOffset())
		}
	})
}
