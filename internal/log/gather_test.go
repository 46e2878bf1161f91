package log

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/log/vfs"
)

// A flush waits for as many appends as the last one served, but no longer than that one took.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 200 * time.Microsecond
		f := newFixture(t)
		f.opts.Config.FlushMessages = 1
		syncs, began := 0, time.Time{}
		f.faulty().Hook = func(op vfs.Op, name string) error {
			if op == vfs.OpSync && strings.HasSuffix(name, logSuffix) {
				syncs, began = syncs+1, time.Now()
				<-time.After(took)
			}
			return nil
		}
		l := f.open()
		l.OnFlushed(func() {})
		put := func(n int) {
			t.Helper()
			for range n {
				if info, err := l.AppendLeader(batch("x"), 0, Client); err != nil || !info.Pending {
					t.Fatalf("%+v, %v", info, err)
				}
			}
			synctest.Wait()
		}
		flushed := func(end int64) {
			t.Helper()
			l.FlushPending()
			synctest.Wait()
			if l.EndOffset() != end {
				t.Fatal(l.EndOffset())
			}
		}
		put(1)
		if syncs != 1 {
			t.Fatal("one that is alone waits")
		}
		put(4) // while it is flushed
		flushed(5)
		if syncs != 2 {
			t.Fatal(syncs, "flushes")
		}
		put(1)
		put(2)
		if syncs != 2 {
			t.Fatal("the flush does not wait for the fourth")
		}
		put(1)
		if syncs != 3 {
			t.Fatal("the flush waits for more than four")
		}
		flushed(9)
		back := time.Now()
		put(3)
		flushed(12)
		if syncs != 4 || began.Sub(back) != took {
			t.Fatal("after", began.Sub(back))
		}
		<-time.After(took) // so long after the last flush nobody is about to come back
		back = time.Now()
		put(1)
		if syncs != 5 || began != back {
			t.Fatal("after", began.Sub(back))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
