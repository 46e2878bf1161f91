package zookeeper

import (
	"time"

	"gregor/internal/zookeeper/proto"
	"gregor/internal/zookeeper/tree"
)

// connect answers the first frame of a connection: a new session, or an old one that goes on here.
func (l *loop) connect(c *conn, r request) {
	req, err := proto.DecodeConnectRequest(r.frame)
	if err != nil {
		l.s.log.Warn("closing a connection", "client", c.String(), "error", err.Error())
		l.drop(c, r)
		return
	}
	l.s.counters.connects.Add(1)
	if last := l.tree.Zxid(); req.LastZxidSeen > last {
		// It has seen what this server has not, so it would see time go backwards.
		l.s.log.Info("refusing a session: the client has seen a later transaction and must try another server",
			"client", c.String(), "seen", hexOf(req.LastZxidSeen), "last", hexOf(last))
		l.drop(c, r)
		return
	}
	c.old = !req.HasReadOnly
	lo, hi := l.s.config.MinSessionTimeout.Milliseconds(), l.s.config.MaxSessionTimeout.Milliseconds()
	c.timeoutMs = int32(min(max(int64(req.TimeoutMs), lo), hi))
	if req.SessionID == 0 {
		l.openSession(c)
	} else if !l.reopenSession(c, req) {
		l.s.log.Debug("session is over, or the password is wrong", "session", hexOf(req.SessionID), "client", c.String())
		l.answerConnect(c, r, proto.ConnectResponse{Password: make([]byte, passwordBytes)}, true)
		return
	}
	l.answerConnect(c, r, proto.ConnectResponse{TimeoutMs: c.timeoutMs, SessionID: c.session, Password: password(c.session)}, false)
}

func (l *loop) answerConnect(c *conn, r request, resp proto.ConnectResponse, end bool) {
	resp.HasReadOnly = !c.old
	b := append(l.scratch[:0], 0, 0, 0, 0)
	l.scratch = resp.Append(b)
	l.answer(c, r, answered{op: "SESS", end: end})
}

// openSession gives the connection a new session. Its id is as ZooKeeper's: the server's number, and time, so that it
// differs from those of other starts.
func (l *loop) openSession(c *conn) {
	for {
		l.nextSession++
		if _, taken := l.tree.Session(l.nextSession); !taken {
			break
		}
	}
	c.session = l.nextSession
	l.commit(l.tree.Decide(&proto.CreateSessionRequest{TimeoutMs: c.timeoutMs}, tree.Origin{Session: c.session, TimeMs: l.wallMs()}))
	l.sessions[c.session] = c
	l.touch(c)
}

// reopenSession moves a session to a new connection and closes the one that it had.
func (l *loop) reopenSession(c *conn, req proto.ConnectRequest) bool {
	if _, open := l.tree.Session(req.SessionID); !open || !checkPassword(req.SessionID, req.Password) {
		return false
	}
	if old := l.sessions[req.SessionID]; old != nil {
		l.part(old)
		old.close()
	}
	l.s.counters.revalidated.Add(1)
	c.session = req.SessionID
	l.sessions[c.session] = c
	l.touch(c)
	return true
}

// firstSession is where a server's session ids begin (SessionTrackerImpl.initializeNextSessionId, server 1).
func firstSession(now time.Time) int64 {
	return int64(uint64(now.UnixMilli())<<24>>8) | 1<<56
}

// expireSessions closes the sessions whose time is over, and their connections.
func (l *loop) expireSessions() {
	for _, id := range l.expiry.due(l.nowMs()) {
		timeoutMs, open := l.tree.Session(id)
		if !open {
			continue
		}
		l.s.log.Info("expiring session", "session", hexOf(id), "timeoutMs", timeoutMs)
		l.s.counters.expired.Add(1)
		l.closeSession(id, 0)
	}
}

// closeSession ends a session that its client did not end.
func (l *loop) closeSession(id int64, cxid int32) tree.Result {
	res := l.commit(l.tree.Decide(&proto.CloseSessionRequest{}, tree.Origin{Session: id, Cxid: cxid, TimeMs: l.wallMs()}))
	l.expiry.forget(id)
	if c := l.sessions[id]; c != nil {
		l.part(c)
		c.close()
	}
	return res
}

// touch lets the connection's session live on.
func (l *loop) touch(c *conn) { l.expiry.touch(c.session, l.nowMs(), int64(c.timeoutMs)) }

// part takes a connection out of everything but the table of connections: nothing it sends counts any more.
func (l *loop) part(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.watches.Remove(tree.Watcher(c.number))
	if l.sessions[c.session] == c {
		delete(l.sessions, c.session)
	}
	for _, r := range c.deferred {
		l.s.gate.leave(c.pass, len(r.frame))
	}
	c.deferred = nil
}

// drop closes a connection without an answer.
func (l *loop) drop(c *conn, r request) {
	l.s.gate.leave(c.pass, len(r.frame))
	l.part(c)
	c.close()
}
