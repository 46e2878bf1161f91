package zookeeper

import "sync"

// gate holds readers back while too much waits for an answer. A connection that has nothing waiting may always come in
// with one request, so that no client keeps the others out (ZooKeeper's globalOutstandingLimit).
type gate struct {
	mu       sync.Mutex
	limit    int // requests of all
	share    int // requests of one connection
	maxBytes int64
	requests int
	bytes    int64
	blocked  map[*pass]struct{}
}

// pass is a connection's place at the gate.
type pass struct {
	requests int
	wake     chan struct{} // one element: look again
	shut     bool
}

func newGate(limit int, maxBytes int64) *gate {
	return &gate{limit: limit, share: max(limit/4, 16), maxBytes: maxBytes, blocked: map[*pass]struct{}{}}
}

func newPass() *pass { return &pass{wake: make(chan struct{}, 1)} }

func (g *gate) mayEnter(p *pass, n int) bool {
	return p.requests == 0 || p.requests < g.share && g.requests < g.limit && g.bytes+int64(n) <= g.maxBytes
}

// enter waits until a request of n bytes may come in; false if the connection was closed.
func (g *gate) enter(p *pass, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !p.shut && !g.mayEnter(p, n) {
		g.blocked[p] = struct{}{}
		g.mu.Unlock()
		<-p.wake
		g.mu.Lock()
		delete(g.blocked, p)
	}
	if p.shut {
		return false
	}
	p.requests++
	g.requests++
	g.bytes += int64(n)
	return true
}

// leave says that a request was answered. A blocked connection is woken when a good part of the room is free again, so
// that not all of them run for each place, or when nothing of its own waits any more.
func (g *gate) leave(p *pass, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.full()
	p.requests--
	g.requests--
	g.bytes -= int64(n)
	if len(g.blocked) == 0 {
		return
	}
	if p.requests <= g.share/2 {
		p.look()
	}
	if full && !g.full() {
		for b := range g.blocked {
			b.look()
		}
	}
}

func (g *gate) full() bool { return g.requests > g.limit*3/4 || g.bytes > g.maxBytes*3/4 }

// close lets nobody of a connection in any more.
func (g *gate) close(p *pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.shut = true
	p.look()
}

func (p *pass) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// waiting is how many requests wait for an answer.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

func (g *gate) waitingOf(p *pass) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return p.requests
}
