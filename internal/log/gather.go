package log

import (
	"runtime"
	"time"
)

// gathering lets more appends share a flush. Clients that wait for an answer before they send the next request come back
// together after a flush has answered them. Without a rule the first of them would begin the next flush, and the others
// would wait for the one after it: groups stay small, though an fsync costs the same for all sizes.
//
// So a flush waits until as many appends have come as the last one served, if that has just ended; but no longer than that
// one took. Where appends come all the time at some rate, as many have come by then, and nothing waits; nor does a client
// that is alone.
type gathering struct {
	arrived int           // appends since the last flush began; guarded by the flusher's mu
	served  int           // appends that it was for; guarded by the flusher's mu
	wanted  int           // enough is told when so many have arrived; guarded by the flusher's mu
	enough  chan struct{} // of capacity 1

	ended time.Time     // of the last flush; the flushing goroutine's
	took  time.Duration // that flush, at most gatherLimit; the flushing goroutine's
}

// gatherLimit bounds what is waited for a slow disk's sake.
const gatherLimit = time.Millisecond

// arrive counts an append. The flusher's mu is held.
func (g *gathering) arrive() {
	g.arrived++
	if g.arrived == g.wanted {
		notify(g.enough)
	}
}

// gather returns when a flush should begin.
func (f *flusher) gather() {
	runtime.Gosched() // appends that are under way
	g := &f.gathering
	if time.Since(g.ended) >= g.took {
		return
	}
	f.mu.Lock()
	if g.arrived >= g.served || f.err != nil {
		f.mu.Unlock()
		return
	}
	g.wanted = g.served
	f.mu.Unlock()
	timer := time.NewTimer(g.took)
	select {
	case <-g.enough:
	case <-timer.C:
	}
	timer.Stop()
	f.mu.Lock()
	g.wanted = 0
	select {
	case <-g.enough: // it came together with the timer
	default:
	}
	f.mu.Unlock()
}
