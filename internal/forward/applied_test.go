package forward

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/controller"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A client hears of its change when its own broker has it, so that it can go on with it there; a broker that is far behind
// does not keep it waiting for long.
func TestAnsweredWhenApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("c", func(_ controller.Caller, req kmsg.Request, _ bool) kmsg.Response { return req.ResponseKind() }).offset = 7
		w.leader.Store(2)
		var applied atomic.Int64
		applied.Store(5)
		f := New(Options{NodeID: 1, Leader: w.leader.Load, Dial: w.dial, Applied: applied.Load,
			Endpoint: func(id int32) (string, bool) { return string(rune('a' + id)), id > 0 }})
		t.Cleanup(f.Close)
		ask := func() chan time.Duration {
			done, began := make(chan time.Duration, 1), time.Now()
			f.Do(t.Context(), controller.Caller{}, createTopic(7, 30_000), func(kmsg.Response) { done <- time.Since(began) })
			return done
		}
		done := ask()
		time.Sleep(100 * time.Millisecond)
		applied.Store(6)
		time.Sleep(100 * time.Millisecond)
		if len(done) > 0 {
			t.Fatal("answered before this broker has it")
		}
		applied.Store(7)
		time.Sleep(2 * time.Millisecond)
		if len(done) == 0 {
			t.Fatal("this broker has it, and the client is not told")
		}
		if took := <-ask(); took > time.Millisecond {
			t.Error("what is there already is waited for", took)
		}
		applied.Store(0)
		if took := <-ask(); took < appliedWithin || took > 2*appliedWithin {
			t.Error("a broker that stays behind keeps the client waiting for", took)
		}
		done = ask()
		time.Sleep(time.Millisecond)
		f.Close()
		<-done
	})
}
