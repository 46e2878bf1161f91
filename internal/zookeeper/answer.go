package zookeeper

import (
	"time"

	"gregor/internal/zookeeper/proto"
	"gregor/internal/zookeeper/tree"
)

// answered says what an answer is to.
type answered struct {
	op    string // as cons tells it
	cxid  int32
	watch bool // not an answer, but an event
	end   bool // the connection is closed after it
}

// outgoing is an answer on its way.
type outgoing struct {
	answered
	c    *conn
	b    []byte
	zxid int64 // to be on disk before it leaves
	size int   // of the request
	at   time.Time
}

// tell gives a watcher an event, unless it may not read the node.
func (l *loop) tell(w tree.Watcher, e tree.Event) {
	c := l.conns[w]
	if c == nil || c.gone || e.ACL != nil && !l.opts.Allowed(e.ACL, proto.PermRead, c.auth) {
		return
	}
	if e.Type != l.eventOf.Type || e.Path != l.eventOf.Path || e.Path == "" {
		b := make([]byte, 4, 64+len(e.Path)) // shared by all who are told
		b = proto.ReplyHeader{Xid: proto.XidNotification, Zxid: -1}.Append(b)
		l.event = setLength(proto.WatcherEvent{Type: e.Type, State: proto.StateSyncConnected, Path: e.Path}.Append(b))
		l.eventOf = e
	}
	l.s.counters.watchBytes.Add(int64(len(l.event)))
	l.emit(outgoing{answered: answered{watch: true}, c: c, b: l.event})
	if c.heldBytes+c.backlog() > hardBacklogBytes {
		l.s.log.Warn("closing a connection: its client does not read its watch events", "client", c.String(), "session", hexOf(c.session))
		l.part(c)
		c.close()
	}
}

// reply answers a request.
func (l *loop) reply(c *conn, r request, a answered, code proto.Code, body proto.Reply) {
	l.replyAt(c, r, a, proto.ReplyHeader{Xid: a.cxid, Zxid: l.tree.Zxid(), Err: code}, body)
}

func (l *loop) replyAt(c *conn, r request, a answered, h proto.ReplyHeader, body proto.Reply) {
	b := h.Append(append(l.scratch[:0], 0, 0, 0, 0))
	if h.Err == proto.OK && body != nil {
		b = body.Append(b)
	}
	l.scratch = b
	l.answer(c, r, a)
}

// answer sends what is in scratch.
func (l *loop) answer(c *conn, r request, a answered) {
	l.emit(outgoing{answered: a, c: c, b: setLength(l.scratch), size: len(r.frame), at: r.at})
	if a.end {
		l.part(c) // nothing after it counts; it is closed when the answer has left
	}
	if cap(l.scratch) > 1<<20 {
		l.scratch = nil
	}
}

func setLength(b []byte) []byte {
	n := len(b) - 4
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return b
}

// emit sends an answer if everything that its client can have seen is on disk, and keeps it back until then otherwise.
// All answers leave in the order in which they were made.
func (l *loop) emit(a outgoing) {
	a.zxid = l.tree.Zxid()
	if a.zxid <= l.durable {
		l.let(a, time.Now())
		return
	}
	if !a.watch {
		a.b = append(make([]byte, 0, len(a.b)), a.b...)
	}
	a.c.heldBytes += len(a.b)
	l.held = append(l.held, a)
}

// release lets go what waited for the transactions that are on disk now.
func (l *loop) release() {
	l.durable = l.s.durable.Load()
	now := time.Now()
	n := 0
	for ; n < len(l.held) && l.held[n].zxid <= l.durable; n++ {
		a := &l.held[n]
		a.c.heldBytes -= len(a.b)
		l.let(*a, now)
		if len(a.c.deferred) > 0 {
			l.resumes = append(l.resumes, a.c)
		}
		*a = outgoing{}
	}
	l.held = l.held[n:]
	if len(l.held) == 0 && cap(l.held) > 1<<16 {
		l.held = nil
	}
	for _, c := range l.resumes {
		l.resume(c)
	}
	clear(l.resumes)
	l.resumes = l.resumes[:0]
}

// let gives an answer to its connection.
func (l *loop) let(a outgoing, now time.Time) {
	a.c.send(a.b)
	a.c.stats.sent++
	l.s.counters.sent.Add(1)
	l.s.counters.responseBytes.Add(int64(len(a.b)))
	l.sizes.add(int64(len(a.b) - 4))
	if a.watch {
		return
	}
	l.s.gate.leave(a.c.pass, a.size)
	ms := now.Sub(a.at).Milliseconds()
	l.latency.add(ms)
	a.c.stats.answered(a.op, a.cxid, a.zxid, now.UnixMilli(), ms)
	if a.end {
		a.c.finish()
	}
}
