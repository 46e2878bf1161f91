package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/controller"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestGone: the end of the active controller's process is noticed while nobody waits for an answer, and while somebody
// does; a controller whose connection breaks and who is still there is none.
func TestGone(t *testing.T) {
	for _, waiting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			gone := make(chan int32, 1000)
			f := New(Options{
				NodeID: 1, Leader: w.leader.Load, Dial: w.dial, Gone: func(id int32) { gone <- id },
				Endpoint: func(id int32) (string, bool) { return string(rune('a' + id)), id > 0 },
			})
			defer f.Close()
			answer := func(_ controller.Caller, req kmsg.Request, _ bool) kmsg.Response {
				return controller.Refusal(req, kerr.UnknownServerError)
			}
			second := w.add("c", answer)
			w.add("d", answer)
			w.leader.Store(2)
			ask := func() {
				f.Do(context.Background(), controller.Caller{}, kmsg.NewPtrBrokerHeartbeatRequest(), func(kmsg.Response) {})
			}
			ask()
			time.Sleep(time.Second)
			w.mu.Lock()
			for _, c := range second.conns {
				_ = c.Close() // the connection alone
			}
			w.mu.Unlock()
			time.Sleep(time.Second)
			if len(gone) > 0 {
				t.Fatalf("controller %d is there, and is said to be gone", <-gone)
			}
			ask()
			time.Sleep(time.Second)
			second.end()
			if waiting {
				ask()
			}
			began := time.Now()
			if id := <-gone; id != 2 {
				t.Errorf("controller %d is gone, not 2", id)
			}
			if took := time.Since(began); took > 2*redialAfter {
				t.Errorf("noticed after %v", took)
			}
			w.leader.Store(3)
			time.Sleep(time.Second)
			for len(gone) > 0 {
				<-gone
			}
			dials := w.dials.Load()
			time.Sleep(10 * time.Second)
			if n := w.dials.Load() - dials; n > 0 || len(gone) > 0 {
				t.Errorf("%d more dials after another one has taken over", n)
			}
		})
	}
}
