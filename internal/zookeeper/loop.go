package zookeeper

import (
	"errors"
	"fmt"
	"time"

	"gregor/internal/zookeeper/proto"
	"gregor/internal/zookeeper/storage"
	"gregor/internal/zookeeper/tree"
)

// event is what the loop is told.
type event struct {
	kind  eventKind
	c     *conn
	frame []byte
	at    time.Time
}

type eventKind uint8

const (
	evOpened   eventKind = iota // a connection was made
	evConnect                   // its first frame
	evRequest                   // another one
	evWord                      // a four-letter word
	evDrained                   // the client has read on
	evClosed                    // the connection is closed
	evSnapshot                  // a snapshot is written, or given up
)

// loop is the state of a server that one goroutine owns. It never waits for a client or for the disk.
type loop struct {
	s        *Server
	opts     tree.Options
	tree     *tree.Tree
	watches  *tree.Watches
	store    *storage.Store
	conns    map[tree.Watcher]*conn
	sessions map[int64]*conn // those that have a connection
	expiry   *expiry
	start    time.Time

	nextSession int64
	durable     int64      // the last transaction on disk
	held        []outgoing // what waits for the disk, in order
	scratch     []byte     // the answer being made, with room for its length
	entry       []byte     // the transaction being made
	event       []byte     // the watch event being told
	eventOf     tree.Event
	resumes     []*conn
	latency     latency
	sizes       sizes

	snapshot           *snapshotter
	chunk              []byte
	sinceSnapshot      int
	bytesSinceSnapshot int64
	doomed             []string // nodes to be deleted, see expireNodes
}

func hexOf(n int64) string { return fmt.Sprintf("0x%x", uint64(n)) }

// nowMs is a clock that does not go back.
func (l *loop) nowMs() int64 { return time.Since(l.start).Milliseconds() }

func (l *loop) wallMs() int64 { return time.Now().UnixMilli() }

// run serves until quit is closed.
func (l *loop) run() {
	tick := time.NewTimer(0)
	defer tick.Stop()
	nodes := time.NewTicker(l.s.config.ContainerInterval)
	defer nodes.Stop()
	for {
		var more <-chan time.Time
		if len(l.doomed) > 0 {
			more = time.After(0)
		}
		select {
		case e := <-l.s.inbox:
			l.handle(e)
			l.handleWaiting()
		case <-l.s.synced:
			l.release()
		case <-tick.C:
			l.expireSessions()
			tick.Reset(time.Duration(l.expiry.next-l.nowMs()) * time.Millisecond)
		case <-nodes.C:
			l.doomed = l.tree.Expired(l.wallMs(), l.s.config.ContainerUnused.Milliseconds())
		case <-more:
			l.expireNodes()
		case <-l.wanted():
			l.giveNodes()
		case <-l.s.quit:
			return
		}
	}
}

// handleWaiting takes what else has come, so that a busy loop does not select for each event. It stops now and then for
// the clock.
func (l *loop) handleWaiting() {
	for range 64 {
		select {
		case e := <-l.s.inbox:
			l.handle(e)
		default:
			return
		}
	}
}

func (l *loop) handle(e event) {
	c, r := e.c, request{e.frame, e.at}
	switch e.kind {
	case evOpened:
		l.conns[tree.Watcher(c.number)] = c
		return
	case evClosed:
		l.part(c)
		delete(l.conns, tree.Watcher(c.number))
		return
	case evSnapshot:
		l.snapshot = nil
		return
	case evDrained:
		l.resume(c)
		return
	case evWord:
		c.send([]byte(l.word(c, string(e.frame))))
		delete(l.conns, tree.Watcher(c.number)) // the next one who asks does not find it in the list
		c.finish()
		return
	}
	switch {
	case c.gone:
		l.s.gate.leave(c.pass, len(r.frame))
	case e.kind == evConnect:
		l.connect(c, r)
	default:
		l.touch(c)
		if len(c.deferred) > 0 || l.full(c) {
			c.deferred = append(c.deferred, r)
			if len(c.deferred) == 1 {
				l.resume(c)
			}
			return
		}
		l.request(c, r)
	}
}

// full says that a client has so much to read that its requests wait.
func (l *loop) full(c *conn) bool { return c.heldBytes+c.backlog() > softBacklogBytes }

// resume does the requests that waited for their client to read, as long as it does.
func (l *loop) resume(c *conn) {
	for len(c.deferred) > 0 && !c.gone {
		if l.full(c) {
			if c.heldBytes > softBacklogBytes/2 || c.stall() {
				return // the disk, or the client, lets it go on
			}
			continue
		}
		r := c.deferred[0]
		c.deferred = c.deferred[1:]
		l.request(c, r)
	}
}

// request does what a client asks for.
func (l *loop) request(c *conn, r request) {
	d := proto.NewDecoder(r.frame)
	h := d.RequestHeader()
	if d.Err() != nil {
		l.s.log.Warn("closing a connection: a request without a header", "client", c.String())
		l.drop(c, r)
		return
	}
	req, err := proto.DecodeRequest(h.Op, d.Rest())
	o := tree.Origin{Session: c.session, Cxid: h.Xid, TimeMs: l.wallMs(), Auth: c.auth}
	a := answered{op: opName(h.Op), cxid: h.Xid}
	switch {
	case errors.Is(err, proto.Unimplemented):
		l.s.log.Warn("closing a connection: unknown operation", "client", c.String(), "type", int32(h.Op))
		a.end = true
		l.replyAt(c, r, a, proto.ReplyHeader{Xid: a.cxid, Zxid: -1, Err: proto.Unimplemented}, nil)
	case err != nil:
		l.s.log.Debug("a request cannot be read", "client", c.String(), "error", err.Error())
		if h.Op.Writes() && h.Op != proto.OpReconfig { // as ZooKeeper, so that zxids are the same
			l.commit(l.tree.Refuse(proto.MarshallingError, o))
		}
		l.reply(c, r, a, proto.MarshallingError, nil)
	case h.Op == proto.OpCloseSession:
		l.expiry.forget(c.session)
		res := l.commit(l.tree.Decide(req, o))
		a.end = true
		l.reply(c, r, a, res.Err, nil)
	case h.Op.Writes():
		res := l.commit(l.tree.Decide(req, o))
		reply, code := res.Reply(h.Op)
		l.reply(c, r, a, code, reply)
	case h.Op == proto.OpAuth:
		l.authenticate(c, r, a, req.(*proto.AuthRequest))
	case h.Op == proto.OpSASL:
		// As a server that is not set up for it does.
		l.replyAt(c, r, a, proto.ReplyHeader{Xid: a.cxid}, noToken{})
	default:
		reply, missed, code := l.tree.Read(l.watches, req, tree.Reader{Session: c.session, Watcher: tree.Watcher(c.number), Auth: c.auth})
		for _, e := range missed {
			l.tell(tree.Watcher(c.number), e)
		}
		l.reply(c, r, a, code, reply)
	}
}

type noToken struct{}

func (noToken) Append(b []byte) []byte { return proto.AppendBuffer(b, nil) }

func (l *loop) authenticate(c *conn, r request, a answered, req *proto.AuthRequest) {
	ids, code := l.opts.Authenticate(c.auth, req)
	c.auth = ids
	if code != proto.OK {
		l.s.log.Warn("authentication failed", "client", c.String(), "scheme", req.Scheme)
		l.s.counters.authFailed.Add(1)
		a.end = true
	}
	l.replyAt(c, r, a, proto.ReplyHeader{Xid: a.cxid, Err: code}, nil)
}

// commit applies a transaction and gives it to the disk.
func (l *loop) commit(h proto.TxnHeader, txn proto.Txn) tree.Result {
	res := l.tree.Apply(h, txn)
	l.entry = proto.AppendTxn(l.entry[:0], h, txn, l.tree.Digest())
	if err := l.store.Append(h.Zxid, l.entry); err != nil {
		l.s.fail(err)
	}
	l.watches.Fire(res.Events, l.tell)
	l.eventOf = tree.Event{}
	l.sinceSnapshot++
	l.bytesSinceSnapshot += int64(len(l.entry))
	if l.sinceSnapshot >= l.s.config.SnapCount || l.bytesSinceSnapshot >= l.s.config.SnapBytes {
		l.startSnapshot()
	}
	if cap(l.entry) > 1<<20 {
		l.entry = nil
	}
	return res
}

// expireNodes deletes some of the containers that are empty and of the nodes whose time is over.
func (l *loop) expireNodes() {
	for range min(len(l.doomed), 100) {
		l.commit(l.tree.Decide(&proto.DeleteContainerRequest{Path: l.doomed[0]}, tree.Origin{TimeMs: l.wallMs()}))
		l.doomed = l.doomed[1:]
	}
}
