package zookeeper

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"gregor/internal/zookeeper/proto"
)

// TestPassword has a password that Apache ZooKeeper 3.8.4 gave.
func TestPassword(t *testing.T) {
	if got := hex.EncodeToString(password(72059191144415236)); got != "e77b9fa10c0f53ca463b7cbf0425c7a4" {
		t.Error(got)
	}
	if checkPassword(0, password(0)) || checkPassword(5, password(6)) || checkPassword(5, nil) || !checkPassword(5, password(5)) {
		t.Error("checked wrongly")
	}
}

func TestHandshake(t *testing.T) {
	ts := newServer(t)
	a := ts.session(5000)
	if a.timeoutMs != 5000 || len(a.password) != 16 {
		t.Error(a.timeoutMs, a.password)
	}
	for _, c := range []struct{ asked, got int32 }{{1, 200}, {-5, 200}, {1 << 30, 60000}} {
		if p := ts.session(c.asked); p.timeoutMs != c.got {
			t.Errorf("%d became %d", c.asked, p.timeoutMs)
		}
	}
	for name, r := range map[string]proto.ConnectRequest{
		"no such session": {TimeoutMs: 5000, SessionID: 99, Password: password(99)},
		"wrong password":  {TimeoutMs: 5000, SessionID: a.session, Password: make([]byte, 16)},
		"short password":  {TimeoutMs: 5000, SessionID: a.session},
	} {
		p := ts.dial()
		if got := p.connect(r); got.SessionID != 0 || got.TimeoutMs != 0 || !bytes.Equal(got.Password, make([]byte, 16)) {
			t.Errorf("%s: %+v", name, got)
		}
		p.closed()
	}
	a.must(create("/a", "")) // and a's session was not touched by all that

	p := ts.dial()
	ahead := proto.ConnectRequest{TimeoutMs: 5000, LastZxidSeen: 1 << 40}
	p.frame(ahead.Append(nil))
	p.closed()

	old := proto.ConnectRequest{TimeoutMs: 5000, Password: make([]byte, 16)}
	if got := ts.dial().connect(old); got.HasReadOnly {
		t.Error("a client before 3.4 got the read-only flag")
	}
	old.HasReadOnly = true
	if got := ts.dial().connect(old); !got.HasReadOnly || got.ReadOnly {
		t.Error("the read-only flag is missing or set")
	}
}

// TestSessionMoves moves a session to a second connection, which closes the first.
func TestSessionMoves(t *testing.T) {
	ts := newServer(t)
	a := ts.session(20000)
	a.must(ephemeral("/e"))
	b := ts.dial()
	if r := b.connect(proto.ConnectRequest{TimeoutMs: 20000, SessionID: a.session, Password: a.password}); r.SessionID != a.session {
		t.Fatal(r)
	}
	a.closed()
	b.must(exists("/e", false))
	b.must(&proto.CloseSessionRequest{})
	b.closed()
	c := ts.session(5000)
	if h, _ := c.do(exists("/e", false)); h.Err != proto.NoNode {
		t.Error(h.Err)
	}
	again := ts.dial()
	if r := again.connect(proto.ConnectRequest{TimeoutMs: 5000, SessionID: a.session, Password: a.password}); r.SessionID != 0 {
		t.Error("a closed session came back")
	}
}

// TestExpiry lets sessions end that are not heard of, and live those that only ping.
func TestExpiry(t *testing.T) {
	ts := newServer(t)
	silent := ts.session(1000)
	silent.must(ephemeral("/silent"))
	gone := ts.session(1000)
	gone.must(ephemeral("/gone"))
	_ = gone.Close()
	pinging := ts.session(3000)
	pinging.must(ephemeral("/pinging"))
	watcher := ts.session(60000)
	watcher.must(exists("/silent", true))
	h, body := watcher.receive()
	if e := proto.NewDecoder(body).WatcherEvent(); h.Xid != proto.XidNotification || e.Type != proto.EventNodeDeleted || e.Path != "/silent" {
		t.Fatal(h, e)
	}
	silent.closed()
	began := time.Now()
	eventually(t, "the session without a connection ends", func() bool {
		pinging.must(&proto.PingRequest{})
		h, _ := watcher.do(exists("/gone", false))
		return h.Err == proto.NoNode && time.Since(began) > 4*time.Second
	})
	pinging.must(exists("/pinging", false))
}

// TestSessionsLiveOn goes on with a session after restarts, clean and not, and lets another one end that nobody goes on
// with.
func TestSessionsLiveOn(t *testing.T) {
	ts := newServer(t)
	a := ts.session(60000)
	a.must(ephemeral("/a"))
	b := ts.session(2000)
	b.must(ephemeral("/b"))
	for i, restart := range []func(){ts.restart, ts.crash} {
		restart()
		next := ts.dial()
		if r := next.connect(proto.ConnectRequest{TimeoutMs: 60000, SessionID: a.session, Password: a.password}); r.SessionID != a.session {
			t.Fatal(i, r)
		}
		next.must(exists("/a", false))
		a = next
	}
	eventually(t, "the other session ends", func() bool {
		h, _ := a.do(exists("/b", false))
		return h.Err == proto.NoNode
	})
	ts.restart()
	p := ts.session(5000)
	p.must(exists("/a", false))
	if h, _ := p.do(exists("/b", false)); h.Err != proto.NoNode {
		t.Error("it is back")
	}
}

func TestExpiryQueue(t *testing.T) {
	e := newExpiry(100, 0)
	e.touch(1, 0, 250)
	e.touch(2, 0, 250)
	e.touch(3, 0, 950)
	e.touch(2, 60, 250) // a tick later
	for _, now := range []int64{100, 200, 299} {
		if over := e.due(now); over != nil {
			t.Error(now, over)
		}
	}
	if over := e.due(300); len(over) != 1 || over[0] != 1 {
		t.Error(over)
	}
	e.forget(3)
	if over := e.due(400); len(over) != 1 || over[0] != 2 {
		t.Error(over)
	}
	if len(e.at) != 0 || len(e.buckets) != 0 {
		t.Error(e)
	}
	// A process that did not run for a minute gives its clients the minute back.
	e.touch(4, 400, 1000)
	if over := e.due(60_400); over != nil {
		t.Error("expired at once", over)
	}
	if over := e.due(e.next - 1); over != nil {
		t.Error(over)
	}
	now := e.next
	for ; now < 61_400; now += 100 {
		if over := e.due(now); over != nil {
			t.Fatal(now, over)
		}
	}
	for ; len(e.at) > 0; now += 100 {
		if e.due(now); now > 62_000 {
			t.Fatal("it lives for ever")
		}
	}
}
