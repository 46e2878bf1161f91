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
	request *Request
	out     outgoing
	done    bool
	parks   bool   // may wait for long: a shutdown does not wait for it
	onClose func() // called once if the connection closes before the slot is done
	onDrain func() // called once if the broker shuts down before the slot is done
}

// replyQueue restores the order of replies: slots are added by the reader in the order of the requests, finished by
// anybody in any order, and taken by the writer from the front.
type replyQueue struct {
	mu     sync.Mutex
	slots  []*slot // slots[first:] are waiting
	first  int
	bytes  int
	closed bool
	// sending: the writer has replies that are not on the wire. draining: see drain.
	sending, draining bool

	ready sync.Cond // the front slot is done, or closed
	room  sync.Cond // the reader may go on, or closed
	idle  sync.Cond // nothing is waiting, or closed
}

func (q *replyQueue) init() {
	q.ready.L = &q.mu
	q.room.L = &q.mu
	q.idle.L = &q.mu
}

func (q *replyQueue) add(r *Request) *slot {
	s := &slot{request: r, parks: r.parks}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return s
	}
	if q.first > 64 && q.first > len(q.slots)/2 {
		n := copy(q.slots, q.slots[q.first:])
		clear(q.slots[n:])
		q.slots, q.first = q.slots[:n], 0
	}
	q.slots = append(q.slots, s)
	return s
}

// finish makes a slot ready to be sent. It reports false when the connection is closed already: then the caller frees
// what it made.
func (q *replyQueue) finish(s *slot, out outgoing) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.done {
		panic("broker: a request was answered twice")
	}
	s.done = true
	s.onClose, s.onDrain = nil, nil
	if q.closed {
		return false
	}
	s.out = out
	q.bytes += len(out.buf)
	if q.slots[q.first] == s {
		q.ready.Signal()
	}
	if q.draining {
		q.idle.Broadcast()
	}
	return true
}

// take waits for replies and moves all that are ready, at most limit bytes of heads, to dst. ok is false at the end.
func (q *replyQueue) take(dst []outgoing, limit int) (_ []outgoing, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.first == len(q.slots) || !q.slots[q.first].done) {
		q.ready.Wait()
	}
	if q.closed {
		return dst, false
	}
	q.sending = true
	for n := 0; q.first < len(q.slots) && q.slots[q.first].done && n <= limit; q.first++ {
		s := q.slots[q.first]
		q.slots[q.first] = nil
		if s.out.head != nil {
			dst = append(dst, s.out)
			n += len(s.out.buf)
		}
		if len(s.out.parts) > 0 {
			q.first++
			break // ranges of files are written one response at a time
		}
	}
	return dst, true
}

// sent tells that n bytes of heads have left.
func (q *replyQueue) sent(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= n
	q.sending = false
	q.room.Signal()
	if q.draining {
		q.idle.Broadcast()
	}
}

// onEnd has close called once if the connection closes, and drain if the broker shuts down, before the slot is finished;
// at once if that has happened already. Either may be nil.
func (q *replyQueue) onEnd(s *slot, close, drain func()) {
	q.mu.Lock()
	var now func()
	switch {
	case s.done:
	case q.closed:
		now = close
	case q.draining && drain != nil:
		s.onClose, now = close, drain
	default:
		s.onClose, s.onDrain = close, drain
	}
	q.mu.Unlock()
	if now != nil {
		now()
	}
}

// waitForRoom holds the reader back while too much waits on its connection. It reports false when the connection ends.
func (q *replyQueue) waitForRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (len(q.slots)-q.first >= maxPending || q.bytes > maxPendingBytes) {
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
	for _, s := range q.slots[q.first:] {
		if !s.done && s.onDrain != nil {
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
	if q.first == len(q.slots) {
		return q.sending
	}
	for _, s := range q.slots[q.first:] {
		if !s.done && !s.parks {
			return true
		}
	}
	front := q.slots[q.first]
	return q.sending || front.done
}

// pending is how many requests have no reply on the wire.
func (q *replyQueue) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.slots) - q.first
}

// close wakes everybody, tells the requests that are still worked on, and frees what waits. Those requests keep their
// frames until their handlers finish.
func (q *replyQueue) close() {
	q.mu.Lock()
	slots := q.slots[q.first:]
	q.closed, q.slots, q.first = true, nil, 0
	var told []func()
	for _, s := range slots {
		if s.done {
			s.out.free(nil)
		} else if s.onClose != nil {
			told = append(told, s.onClose)
			s.onClose = nil
		}
	}
	q.ready.Broadcast()
	q.room.Broadcast()
	q.idle.Broadcast()
	q.mu.Unlock()
	for _, f := range told {
		f()
	}
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

// finish hands the response to the connection's writer and gives the request's memory back.
func (r *Request) finish(out outgoing) {
	r.release()
	if !r.Conn.replies.finish(r.slot, out) {
		out.free(&r.Conn.server.pool)
	}
}
