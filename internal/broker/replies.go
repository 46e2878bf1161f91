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
	onClose func() // called once if the connection closes before the slot is done
}

// replyQueue restores the order of replies: slots are added by the reader in the order of the requests, finished by
// anybody in any order, and taken by the writer from the front.
type replyQueue struct {
	mu     sync.Mutex
	slots  []*slot // slots[first:] are waiting
	first  int
	bytes  int
	closed bool
	ready  sync.Cond // the front slot is done, or closed
	room   sync.Cond // the reader may go on, or closed
	idle   sync.Cond // nothing is waiting, or closed
}

func (q *replyQueue) init() {
	q.ready.L = &q.mu
	q.room.L = &q.mu
	q.idle.L = &q.mu
}

func (q *replyQueue) add(r *Request) *slot {
	s := &slot{request: r}
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
	s.onClose = nil
	if q.closed {
		return false
	}
	s.out = out
	q.bytes += len(out.buf)
	if q.slots[q.first] == s {
		q.ready.Signal()
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
	q.room.Signal()
	if q.first == len(q.slots) {
		q.idle.Broadcast()
	}
}

// onClose has f called once if the connection closes before the slot is finished; at once if it is closed already.
func (q *replyQueue) onClose(s *slot, f func()) {
	q.mu.Lock()
	gone := q.closed && !s.done
	if !s.done {
		s.onClose = f
	}
	q.mu.Unlock()
	if gone {
		f()
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

// drain waits until no request is without its reply on the wire, or the connection is closed.
func (q *replyQueue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.first < len(q.slots) || q.bytes > 0) {
		q.idle.Wait()
	}
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
