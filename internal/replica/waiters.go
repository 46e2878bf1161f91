package replica

import "sync"

// Waiter is a request that waits for more to read: a long poll. Wake is called, with no lock held and on the goroutine
// of whoever made the change, after the high watermark, the last stable offset or the role of the partition changed. It
// must return soon and must not read: start a goroutine for that.
type Waiter interface{ Wake(p *Partition) }

// waiters are the long polls of one partition.
type waiters struct {
	mu  sync.Mutex
	set map[Waiter]struct{}
	// onCommitted is the coordinator's: it learns of the high watermark even when nobody fetches.
	onCommitted func(highWatermark int64)
}

// AddWaiter registers w. To miss nothing, look at the partition again after it.
func (p *Partition) AddWaiter(w Waiter) {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	if p.waiters.set == nil {
		p.waiters.set = make(map[Waiter]struct{})
	}
	p.waiters.set[w] = struct{}{}
}

// RemoveWaiter ends what AddWaiter began. A Wake may still be on its way.
func (p *Partition) RemoveWaiter(w Waiter) {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	delete(p.waiters.set, w)
	if len(p.waiters.set) == 0 {
		p.waiters.set = nil
	}
}

// Waiters is the number of waiters.
func (p *Partition) Waiters() int {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	return len(p.waiters.set)
}

// advanced wakes the waiters and tells the coordinator.
func (p *Partition) advanced() {
	p.waiters.mu.Lock()
	var buf [16]Waiter
	wake := buf[:0]
	for w := range p.waiters.set {
		wake = append(wake, w)
	}
	f := p.waiters.onCommitted
	p.waiters.mu.Unlock()
	if f != nil {
		if l := p.log.Load(); l != nil {
			f(l.HighWatermark())
		}
	}
	for _, w := range wake {
		w.Wake(p)
	}
}
