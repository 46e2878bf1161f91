package broker

import (
	"sync"
	"time"

	"gregor/internal/replica"
)

// fetchWaiter is a long poll: one waiter on all its partitions, with one deadline. It ends once, by whichever comes
// first: enough bytes, a change of leadership, the deadline, or the end of the connection.
type fetchWaiter struct {
	f     *fetching
	parts []partWaiter

	mu     sync.Mutex
	total  int64 // bytes known to be readable
	ended  bool
	answer bool // what it ended with
	timer  *time.Timer
}

// partWaiter is the waiter on one partition.
type partWaiter struct {
	w         *fetchWaiter
	index     int
	available int64 // guarded by w.mu
	leader    int32
	epoch     int32
}

// wait parks the request. What became readable between the read and the registration is found by looking once more.
func (f *fetching) wait(timeout time.Duration) {
	w := &fetchWaiter{f: f, parts: make([]partWaiter, len(f.parts))}
	f.r.release() // nothing of the request's buffer is needed any more
	w.mu.Lock()
	w.timer = time.AfterFunc(timeout, func() { w.end(true) })
	w.mu.Unlock()
	for i := range w.parts {
		p := &w.parts[i]
		p.w, p.index = w, i
		p.leader, p.epoch = f.parts[i].replica.Leader()
		if f.follower != nil {
			f.parts[i].replica.AddFollower(p)
		} else {
			f.parts[i].replica.AddWaiter(p)
		}
	}
	f.r.Conn.replies.onEnd(f.r.slot, func() { w.end(false) }, func() { w.end(true) })
	for i := range w.parts {
		w.parts[i].Wake(f.parts[i].replica)
	}
	// The deadline, or a Wake, may have ended it while it was still being registered: then it was taken off partitions
	// that it was put on afterwards.
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if ended {
		w.remove()
	}
}

// remove takes the waiter off its partitions.
func (w *fetchWaiter) remove() {
	for i := range w.parts {
		if w.f.follower != nil {
			w.f.parts[i].replica.RemoveFollower(&w.parts[i])
		} else {
			w.f.parts[i].replica.RemoveWaiter(&w.parts[i])
		}
	}
}

// Wake implements [replica.Waiter].
func (p *partWaiter) Wake(part *replica.Partition) {
	in := &p.w.f.parts[p.index]
	available := int64(0)
	if p.w.f.minBytes > 1 {
		available = min(part.Available(&in.opts), int64(in.opts.MaxBytes))
	}
	if available == 0 && part.IsReadable(&in.opts) {
		available = 1
	}
	leader, epoch := part.Leader()
	moved := leader != p.leader || epoch != p.epoch
	p.w.mu.Lock()
	p.w.total += available - p.available
	p.available = available
	enough := !p.w.ended && (moved || p.w.total >= p.w.f.minBytes)
	p.w.mu.Unlock()
	if enough {
		p.w.end(true)
	}
}

// end takes the waiter off its partitions and answers on a goroutine of its own: the caller may be a producer.
func (w *fetchWaiter) end(answer bool) {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return
	}
	w.ended, w.answer = true, answer
	w.timer.Stop()
	w.mu.Unlock()
	if !w.f.b.server.do(w) { // the broker is closed, and every connection with it
		w.f.r.Drop()
	}
}

// run is the end of the wait, on its goroutine.
func (w *fetchWaiter) run() {
	w.remove()
	if !w.answer {
		w.f.r.Drop()
		return
	}
	w.f.r.blocks = true
	w.f.again()
	out, _ := w.f.read()
	w.f.reply(out)
}
