package log

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"gregor/internal/log/vfs"
)

// gated has fsyncs of segments wait for a gate.
func (f *fixture) gated() (gate chan error) {
	gate = make(chan error)
	f.faulty().Hook = func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.HasSuffix(name, logSuffix) {
			return <-gate
		}
		return nil
	}
	f.opts.Config.FlushMessages = 1
	return gate
}

// One appender has many appends under way; they share the next fsync, and readers see them after it.
func TestAppendsDoNotWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		gate := f.gated()
		l := f.open()
		var told []int64
		l.OnFlushed(func() { told = append(told, l.EndOffset()) })
		put := func() {
			t.Helper()
			info, err := l.AppendLeader(batch("x"), 0, Client)
			if err != nil || !info.Pending {
				t.Fatalf("%+v, %v", info, err)
			}
		}
		put()
		synctest.Wait()
		for range 9 {
			put()
		}
		synctest.Wait()
		if l.EndOffset() != 0 || len(told) != 0 {
			t.Fatal("readers see what is not on disk", l.EndOffset(), told)
		}
		gate <- nil
		synctest.Wait()
		if len(told) != 1 || told[0] != 1 {
			t.Fatal(told)
		}
		waited := make(chan bool)
		go func() {
			l.FlushPending()
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("nine appends are not on disk")
		default:
		}
		gate <- nil
		<-waited
		synctest.Wait()
		if len(told) != 2 || told[1] != 10 || l.RecoveryPoint() != 10 {
			t.Fatal(told, l.RecoveryPoint())
		}
		put()
		close(gate)
		if err := l.Close(); err != nil { // waits for it
			t.Fatal(err)
		}
		if len(told) != 3 || told[2] != 11 {
			t.Fatal(told)
		}
	})
}

// What is cut off while it waits for the disk is not waited for any more.
func TestPendingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		gate := f.gated()
		l := f.open()
		l.OnFlushed(func() {})
		for range 5 {
			if _, err := l.AppendLeader(batch("x"), 0, Client); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()             // the first fsync
		go func() { close(gate) }() // a truncation waits for no fsync of others, but for its own
		if err := l.TruncateTo(2); err != nil {
			t.Fatal(err)
		}
		l.FlushPending()
		if l.EndOffset() != 2 || l.RecoveryPoint() != 2 {
			t.Fatal(l.EndOffset(), l.RecoveryPoint())
		}
	})
}

// After an fsync that failed nobody waits for ever, and nothing more is taken.
func TestPendingWhenTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		gate := f.gated()
		l := f.open()
		l.OnFlushed(func() { t.Error("told of a flush that failed") })
		if _, err := l.AppendLeader(batch("x"), 0, Client); err != nil {
			t.Fatal(err)
		}
		gate <- syscall.EIO
		l.FlushPending()
		if _, err := l.AppendLeader(batch("x"), 0, Client); !errors.Is(err, ErrDirOffline) {
			t.Fatal(err)
		}
		if l.EndOffset() != 0 {
			t.Fatal(l.EndOffset())
		}
	})
}
