package log

import (
	"strings"
	"testing"
	"testing/synctest"

	"gregor/internal/log/vfs"
)

// TestAppendsDoNotWaitForRetention: what retention does on disk, which may be busy, is done beside appends.
func TestAppendsDoNotWaitForRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.opts.Config.RetentionBytes = 0
		disk := f.faulty()
		l := f.rolled(4)
		if err := l.Flush(l.EndOffset()); err != nil { // the epochs are on disk, and would have to be written anew
			t.Fatal(err)
		}
		l.SetHighWatermark(6)
		gate := make(chan struct{})
		disk.Hook = func(op vfs.Op, name string) error {
			if op == vfs.OpRename || op == vfs.OpRemove || op == vfs.OpSync || op == vfs.OpSyncDir {
				<-gate
			}
			return nil
		}
		deleted := make(chan error, 1)
		go func() {
			n, err := l.DeleteOldSegments()
			if n != 3 {
				t.Errorf("%d segments deleted", n)
			}
			deleted <- err
		}()
		synctest.Wait()
		if len(deleted) != 0 {
			t.Fatal("retention did nothing on disk")
		}
		appended := make(chan bool, 1)
		go func() {
			f.append(l, batchAt(f.clock.ms, "beside"))
			appended <- true
		}()
		synctest.Wait()
		if len(appended) != 1 {
			t.Error("an append waits for retention")
		}
		close(gate)
		if err := <-deleted; err != nil {
			t.Fatal(err)
		}
		if l.StartOffset() != 6 || l.EndOffset() != 9 {
			t.Fatal(l.StartOffset(), l.EndOffset())
		}
	})
}

// TestFlushLeavesTheActiveSegmentAlone: a segment that was rolled gets to disk without the one that is written to, whose
// appends would wait for it.
func TestFlushLeavesTheActiveSegmentAlone(t *testing.T) {
	f := newFixture(t)
	disk := f.faulty()
	l := f.rolled(3)
	var synced []string
	disk.Hook = func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.HasSuffix(name, logSuffix) {
			synced = append(synced, name[strings.LastIndexByte(name, '/')+1:])
		}
		return nil
	}
	flush := func(upTo int64, point int64, want ...string) {
		t.Helper()
		synced = nil
		if err := l.Flush(upTo); err != nil {
			t.Fatal(err)
		}
		if l.RecoveryPoint() != point || strings.Join(synced, " ") != strings.Join(want, " ") {
			t.Fatalf("recovery point %d, synced %v", l.RecoveryPoint(), synced)
		}
	}
	flush(2, 2, "00000000000000000000.log")
	flush(3, 4, "00000000000000000002.log")
	flush(4, 4)
	if err := l.Roll(); err != nil { // an active segment without a record
		t.Fatal(err)
	}
	flush(6, 6, "00000000000000000004.log")
	f.append(l, batchAt(f.clock.ms, "6"))
	flush(7, 7, "00000000000000000006.log")
}
