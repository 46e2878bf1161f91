package broker

import (
	"sync"

	"gregor/internal/wire"
)

// Limits of what one connection may have waiting. A client that sends without reading its answers is not read further.
const (
	maxPending      = 1024    // requests without a reply on the wire
	maxPendingBytes = 4 << 20 // bytes of replies that wait for the socket, ranges of files not counted
)

// outgoing is an encoded response: bytes, and for Fetch the ranges of files that come between them.
type outgoing struct {
	buf   []byte // pooled memory of head and of the bytes in parts
	head  []byte // empty: nothing to send
	parts []wire.Part
}

// slot is the place of one request in the order of replies. Guarded by the queue's mutex.
type slot struct {
	out     outgoing
	done    bool
	parks   bool   // may wait for long: a shutdown does not wait for it
	onClose func() // called once if the connection closes before the slot is done
	onDrain func() // called once if the broker shuts down before the slot is done
}

// slotID names a slot: the number of its request on the connection.
type slotID uint64

// replyQueue restores the order of replies: slots are added by the reader in the order of the requests, finished by
// anybody in any order, and taken from the front by whoever writes. One goroutine writes at a time: the reader, before it
// waits for more requests; or, if a reply is finished while the reader waits, one that lives as long as there is
// something to write.
type replyQueue struct {
	pool        *wire.Pool
	mu          sync.Mutex
	slots       []slot // a ring whose length is a power of two
	first, next slotID // those in [first, next) wait
	bytes       int
	taken       int // bytes of what is being written
	closed      bool
	// corked: the reader is at requests that it has, and writes what got ready before it waits. writing: somebody has the
	// right to write. draining: see drain.
	corked, writing, draining bool

	room sync.Cond // the reader may go on, or closed
	idle sync.Cond // something ended that drain or waitUntilClosed may wait for
}

func (q *replyQueue) init(pool *wire.Pool) {
	q.pool = pool
	q.room.L = &q.mu
	q.idle.L = &q.mu
}

func (q *replyQueue) at(id slotID) *slot { return &q.slots[id&slotID(len(q.slots)-1)] }

// add begins a request. The reader owes an uncork.
func (q *replyQueue) add(parks bool) slotID {
	q.mu.Lock()
	defer q.mu.Unlock()
	id := q.next
	if q.closed {
		return id
	}
	q.corked = true
	if int(q.next-q.first) == len(q.slots) {
		q.grow()
	}
	q.next++
	*q.at(id) = slot{parks: parks}
	return id
}

func (q *replyQueue) grow() {
	old := q.slots
	q.slots = make([]slot, max(4, 2*len(old)))
	for id := q.first; id < q.next; id++ {
		*q.at(id) = old[id&slotID(len(old)-1)]
	}
}

// finish makes a slot ready to be sent. kept is false when the connection is closed already: then the caller frees what
// it made. write says that the caller has got the right to write, and has to see to it.
func (q *replyQueue) finish(id slotID, out outgoing) (kept, write bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, false
	}
	if id < q.first || q.at(id).done {
		panic("broker: a request was answered twice")
	}
	s := q.at(id)
	s.done, s.out = true, out
	s.onClose, s.onDrain = nil, nil
	q.bytes += len(out.buf)
	if q.draining {
		q.idle.Broadcast()
	}
	if id == q.first && !q.corked && !q.writing {
		q.writing, write = true, true
	}
	return true, write
}

// uncork ends what add began: the reader is about to wait. write is as for finish. full says that it must not read on.
func (q *replyQueue) uncork() (write, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.corked = false
	if q.draining {
		q.idle.Broadcast()
	}
	if !q.closed && !q.writing && q.frontDone() {
		q.writing, write = true, true
	}
	return write, q.full()
}

func (q *replyQueue) frontDone() bool { return q.first < q.next && q.at(q.first).done }

// take moves replies that are ready to dst, until it or limit bytes of heads are full. What was taken before has been
// written. ok is false when there is nothing, or the connection is closed: then the right to write is given up.
func (q *replyQueue) take(dst []outgoing, limit int) (_ []outgoing, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= q.taken
	q.taken = 0
	if q.closed || !q.frontDone() {
		q.writing = false
		q.room.Signal()
		q.idle.Broadcast()
		return dst, false
	}
	for len(dst) < cap(dst) && q.frontDone() && q.taken <= limit {
		s := q.at(q.first)
		q.first++
		out := s.out
		*s = slot{}
		q.taken += len(out.buf)
		if out.head == nil {
			continue
		}
		if n := len(dst); n > 0 && len(out.parts) == 0 && dst[n-1].join(out.head) {
			out.free(q.pool)
			continue
		}
		dst = append(dst, out)
		if len(out.parts) > 0 {
			break // ranges of files are written one response at a time
		}
	}
	if q.first == q.next && len(q.slots) > 64 {
		q.slots = nil // a burst's
	}
	q.room.Signal()
	return dst, true
}

// onEnd has close called once if the connection closes, and drain if the broker shuts down, before the slot is finished;
// at once if that has happened already. Either may be nil.
func (q *replyQueue) onEnd(id slotID, close, drain func()) {
	q.mu.Lock()
	var now func()
	switch {
	case q.closed:
		now = close
	case id < q.first || q.at(id).done:
	case q.draining && drain != nil:
		q.at(id).onClose, now = close, drain
	default:
		q.at(id).onClose, q.at(id).onDrain = close, drain
	}
	q.mu.Unlock()
	if now != nil {
		now()
	}
}

func (q *replyQueue) full() bool {
	return int(q.next-q.first) >= maxPending || q.bytes > maxPendingBytes
}

// waitForRoom holds the reader back while too much waits on its connection. It reports false when the connection ends.
func (q *replyQueue) waitForRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.full() {
		q.room.Wait()
	}
	return !q.closed
}

// drain tells the requests that wait to come to an end, and returns when all but those that park are answered and on the
// wire, or the connection is closed. The reader has stopped or is about to.
func (q *replyQueue) drain() {
	q.mu.Lock()
	q.draining = true
	var told []func()
	for id := q.first; id < q.next; id++ {
		if s := q.at(id); !s.done && s.onDrain != nil {
			told = append(told, s.onDrain)
			s.onDrain = nil
		}
	}
	q.mu.Unlock()
	for _, f := range told {
		f()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.busy() {
		q.idle.Wait()
	}
}

// busy reports whether a reply may still leave soon. What stands behind a parked request cannot.
func (q *replyQueue) busy() bool {
	if q.corked || q.writing || q.frontDone() {
		return true
	}
	for id := q.first; id < q.next; id++ {
		if s := q.at(id); !s.done && !s.parks {
			return true
		}
	}
	return false
}

// waitUntilClosed returns when the queue is closed and nobody writes.
func (q *replyQueue) waitUntilClosed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed || q.writing {
		q.idle.Wait()
	}
}

// pending is how many requests have no reply on the wire.
func (q *replyQueue) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.next - q.first)
}

// close wakes everybody, tells the requests that are still worked on, and frees what waits. Those requests keep their
// frames until their handlers finish.
func (q *replyQueue) close() {
	q.mu.Lock()
	var told []func()
	for id := q.first; id < q.next; id++ {
		if s := q.at(id); s.done {
			s.out.free(nil)
		} else if s.onClose != nil {
			told = append(told, s.onClose)
		}
	}
	q.closed, q.slots, q.first = true, nil, q.next
	q.room.Broadcast()
	q.idle.Broadcast()
	q.mu.Unlock()
	for _, f := range told {
		f()
	}
}

// join appends another reply to o, if o is plain bytes and has room for it.
func (o *outgoing) join(head []byte) bool {
	if len(o.parts) > 0 || len(head) > cap(o.head)-len(o.head) {
		return false
	}
	o.head = append(o.head, head...)
	return true
}

func (o *outgoing) free(pool *wire.Pool) {
	if o.buf != nil && pool != nil {
		pool.Put(o.buf)
	}
	for i := range o.parts {
		o.parts[i].Range.Close()
	}
	*o = outgoing{}
}
