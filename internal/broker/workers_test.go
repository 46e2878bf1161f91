package broker

import (
	"sync"
	"testing"
)

// Tasks run side by side, as many as there are, on goroutines that are kept; after the end none is taken.
func TestWorkers(t *testing.T) {
	tb := startBroker(t, nil)
	s := tb.b.server
	const n = 3 * maxIdleWorkers
	for range 3 {
		var all, done sync.WaitGroup
		all.Add(n)
		for range n {
			done.Add(1)
			if !s.start(func() { all.Done(); all.Wait(); done.Done() }) {
				t.Fatal("not started")
			}
		}
		done.Wait() // each waits for the others
	}
	s.mu.Lock()
	idle := s.workers.idle
	s.mu.Unlock()
	if idle > maxIdleWorkers {
		t.Errorf("%d workers are kept", idle)
	}
	// What was taken is done, however close the end is.
	ran, taken := make(chan bool, n), 0
	for range n {
		if s.start(func() { ran <- true }) {
			taken++
		}
	}
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(ran) != taken {
		t.Errorf("%d of %d tasks were done", len(ran), taken)
	}
	if s.start(func() { t.Error("started after the end") }) {
		t.Error("taken after the end")
	}
}
