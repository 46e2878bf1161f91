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
	// followers wait for the log's end; they are woken by all that wakes the others, too.
	followers map[Waiter]struct{}
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

// AddFollower registers w as AddWaiter does, for a follower, which is woken by every append too.
func (p *Partition) AddFollower(w Waiter) {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	if p.waiters.followers == nil {
		p.waiters.followers = make(map[Waiter]struct{})
	}
	p.waiters.followers[w] = struct{}{}
}

// RemoveFollower ends what AddFollower began. A Wake may still be on its way.
func (p *Partition) RemoveFollower(w Waiter) {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	delete(p.waiters.followers, w)
}

// Waiters is the number of waiters.
func (p *Partition) Waiters() int {
	p.waiters.mu.Lock()
	defer p.waiters.mu.Unlock()
	return len(p.waiters.set) + len(p.waiters.followers)
}

// appended wakes the followers: there is more to fetch, though nothing is committed yet.
func (p *Partition) appended() {
	p.waiters.mu.Lock()
	var buf [8]Waiter
	wake := buf[:0]
	for w := range p.waiters.followers {
		wake = append(wake, w)
	}
	p.waiters.mu.Unlock()
	for _, w := range wake {
		w.Wake(p)
	}
}

// advanced wakes the waiters and tells the coordinator.
func (p *Partition) advanced() {
	p.waiters.mu.Lock()
	var buf [16]Waiter
	wake := buf[:0]
	for w := range p.waiters.set {
		wake = append(wake, w)
	}
	for w := range p.waiters.followers {
		wake = append(wake, w)
	}
	f := p.waiters.onCommitted
	p.waiters.mu.Unlock()
	if f != nil {
		if ld := p.role.Load().leader; ld != nil { // what a follower learns is not about our appends
			f(ld.highWatermark())
		}
	}
	for _, w := range wake {
		w.Wake(p)
	}
}
