package broker

import (
	"context"
	"sync"
)

// budget bounds the memory of the requests of all connections (queued.max.request.bytes). Who wants more than is left
// waits, in order of arrival. A request larger than the whole budget gets it when nobody else holds any, so that it
// does not wait for ever.
type budget struct {
	mu      sync.Mutex
	limit   int64 // <= 0: none
	used    int64
	waiting []*budgetWait // in order of arrival
}

type budgetWait struct {
	n       int64
	granted chan struct{}
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// acquire takes n bytes, waiting until they are there or ctx ends.
func (b *budget) acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	w := &budgetWait{n: n, granted: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted: // in the same moment
		b.used -= n
	default:
		for i := range b.waiting {
			if b.waiting[i] == w {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
				break
			}
		}
	}
	b.grant()
	return ctx.Err()
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

func (b *budget) fits(n int64) bool { return b.limit <= 0 || b.used == 0 || b.used+n <= b.limit }

func (b *budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].n) {
		b.used += b.waiting[0].n
		close(b.waiting[0].granted)
		b.waiting = b.waiting[1:]
	}
}

// connBudget is the budget as one connection's frame reader sees it.
type connBudget struct{ conn *Conn }

func (c *connBudget) Acquire(n int) error {
	if err := c.conn.server.budget.acquire(c.conn.ctx, int64(n)); err != nil {
		return errGone
	}
	return nil
}

func (c *connBudget) Release(n int) { c.conn.server.budget.release(int64(n)) }
