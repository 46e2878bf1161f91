package broker

import (
	"context"
	"slices"
	"sync"
	"time"
)

// budget bounds the memory of the requests of all connections (queued.max.request.bytes). Who wants more than is left
// waits, in order of arrival.
//
// A request that was begun and needs more goes before those that have not begun, and may overdraw the budget, one such
// request at a time. Otherwise requests that each hold a part could wait for each other for ever: four requests of 150 kB
// that hold 64 kB each of a budget of 200 kB. So at most limit + socket.request.max.bytes are in use.
type budget struct {
	mu       sync.Mutex
	limit    int64 // <= 0: none
	used     int64
	begun    []*budgetWait // hold a part already
	notBegun []*budgetWait
}

type budgetWait struct {
	n       int64
	granted chan struct{}
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// acquire takes n bytes, waiting until they are there or ctx ends.
func (b *budget) acquire(ctx context.Context, n int64, begun bool) error {
	w := &budgetWait{n: n}
	b.mu.Lock()
	queue := &b.notBegun
	if begun {
		queue = &b.begun
	}
	w.granted = make(chan struct{})
	*queue = append(*queue, w)
	b.grant()
	b.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(*queue, w); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	} else { // granted in the same moment
		b.used -= n
	}
	b.grant()
	return ctx.Err()
}

// charge takes n bytes without waiting.
func (b *budget) charge(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
}

// release gives n bytes back.
func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grant()
}

// resize changes the limit.
func (b *budget) resize(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
	b.grant()
}

func (b *budget) grant() {
	for len(b.begun) > 0 && (b.limit <= 0 || b.used <= b.limit) {
		b.begun = b.give(b.begun)
	}
	for len(b.begun) == 0 && len(b.notBegun) > 0 && (b.limit <= 0 || b.used == 0 || b.used+b.notBegun[0].n <= b.limit) {
		b.notBegun = b.give(b.notBegun)
	}
}

func (b *budget) give(queue []*budgetWait) []*budgetWait {
	b.used += queue[0].n
	close(queue[0].granted)
	return queue[1:]
}

// connBudget is the budget as one connection's frame reader sees it.
type connBudget struct{ conn *Conn }

// Acquire takes n bytes. Without a limit nothing is counted; a limit that is set later does not know what was read
// before.
func (c *connBudget) Acquire(n int, begun bool) (held int, err error) {
	if c.conn.server.limits.Load().queuedMaxBytes <= 0 {
		return 0, nil
	}
	if err := c.conn.server.budget.acquire(c.conn.ctx, int64(n), begun); err != nil {
		return 0, errGone
	}
	c.conn.hurry(n)
	return n, nil
}

// Under a budget, half a frame keeps others from sending. It gets frameGrace, and on top the time that its bytes take at
// slowestBytesPerSecond.
const (
	frameGrace            = 30 * time.Second
	slowestBytesPerSecond = 64 << 10
)

// hurry ends the connection if n further bytes of a frame do not come soon.
func (c *Conn) hurry(n int) {
	l := c.server.limits.Load()
	c.deadline(min(l.idle, l.frameGrace+time.Duration(n)*time.Second/slowestBytesPerSecond))
}

func (c *connBudget) Charge(n int)  { c.conn.server.budget.charge(int64(n)) }
func (c *connBudget) Release(n int) { c.conn.server.budget.release(int64(n)) }
