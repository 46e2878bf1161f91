package broker

import (
	"sync"
	"time"

	"gregor/internal/replica"
)

// fetchWaiter is a long poll: one waiter on all its partitions, with one deadline. It ends once, by whichever comes
// first: enough bytes, a change of leadership, the deadline, or the end of the connection.
type fetchWaiter struct {
	mu     sync.Mutex
	total  int64 // bytes known to be readable
	ended  bool
	answer bool // what it ended with
	timer  *time.Timer
}

// partWaiter is what the waiter keeps of one partition.
type partWaiter struct {
	f         *fetching
	available int64 // guarded by the waiter's mutex
	leader    int32
	epoch     int32
}

// wait parks the request. What became readable between the read and the registration is found by looking once more.
func (f *fetching) wait(timeout time.Duration) {
	w := &f.waiter
	f.r.release() // nothing of the request's buffer is needed any more
	w.mu.Lock()
	w.timer = time.AfterFunc(timeout, func() { f.end(true) })
	w.mu.Unlock()
	for i := range f.parts {
		p := &f.parts[i]
		p.waits.f = f
		p.waits.leader, p.waits.epoch = p.replica.Leader()
		if f.follower != nil {
			p.replica.AddFollower(p)
		} else {
			p.replica.AddWaiter(p)
		}
	}
	f.r.wait(f)
	for i := range f.parts {
		f.parts[i].Wake(f.parts[i].replica)
	}
	// The deadline, or a Wake, may have ended it while it was still being registered: then it was taken off partitions
	// that it was put on afterwards.
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if ended {
		f.remove()
	}
}

// remove takes the waiter off its partitions.
func (f *fetching) remove() {
	for i := range f.parts {
		p := &f.parts[i]
		if f.follower != nil {
			p.replica.RemoveFollower(p)
		} else {
			p.replica.RemoveWaiter(p)
		}
	}
}

// Wake implements [replica.Waiter].
func (p *fetchPart) Wake(part *replica.Partition) {
	f, w := p.waits.f, &p.waits.f.waiter
	available := int64(0)
	if f.minBytes > 1 {
		available = min(part.Available(&p.opts), int64(p.opts.MaxBytes))
	}
	if available == 0 && part.IsReadable(&p.opts) {
		available = 1
	}
	leader, epoch := part.Leader()
	moved := leader != p.waits.leader || epoch != p.waits.epoch
	w.mu.Lock()
	w.total += available - p.waits.available
	p.waits.available = available
	enough := !w.ended && (moved || w.total >= f.minBytes)
	w.mu.Unlock()
	if enough {
		f.end(true)
	}
}

// end implements [waiting]. It takes the waiter off its partitions and answers on a goroutine of its own: the caller may
// be a producer.
func (f *fetching) end(answer bool) {
	w := &f.waiter
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return
	}
	w.ended, w.answer = true, answer
	w.timer.Stop()
	w.mu.Unlock()
	if !f.b.server.do(f) { // the broker is closed, and every connection with it
		f.r.Drop()
	}
}

// run is the end of the wait, on its goroutine.
func (f *fetching) run() {
	f.remove()
	if !f.waiter.answer {
		f.r.Drop()
		return
	}
	f.r.blocks = true
	f.again()
	out, _ := f.read()
	f.reply(out)
}
