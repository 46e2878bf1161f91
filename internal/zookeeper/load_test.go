package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"gregor/internal/zookeeper/proto"
)

// TestPipelining sends a thousand requests before it reads an answer.
func TestPipelining(t *testing.T) {
	ts := newServer(t)
	p := ts.session(20000)
	const n = 1000
	var b []byte
	for i := range n {
		b = p.encode(b, create(fmt.Sprintf("/n%d", i), "x"))
		b = p.encode(b, &proto.GetDataRequest{Path: fmt.Sprintf("/n%d", i)})
	}
	go func() { _, _ = p.Write(b) }()
	last := int64(0)
	for i := range 2 * n {
		h, body := p.receive()
		if h.Xid != int32(i+1) || h.Err != proto.OK || h.Zxid < last || i%2 == 1 && h.Zxid < last {
			t.Fatalf("answer %d: %+v after 0x%x", i, h, last)
		}
		last = h.Zxid
		if d := proto.NewDecoder(body); i%2 == 1 && string(d.Buffer()) != "x" {
			t.Fatalf("answer %d: %x", i, body)
		}
	}
}

// TestWatchOrder has the event before the answer to whoever made the change, and before anything that shows it.
func TestWatchOrder(t *testing.T) {
	ts := newServer(t)
	p := ts.session(20000)
	p.must(create("/w", ""))
	for i := range 50 {
		var b []byte
		b = p.encode(b, &proto.GetDataRequest{Path: "/w", Watch: true})
		b = p.encode(b, setData("/w", fmt.Sprint(i)))
		b = p.encode(b, &proto.GetDataRequest{Path: "/w"})
		if _, err := p.Write(b); err != nil {
			t.Fatal(err)
		}
		var xids []int32
		for range 4 {
			h, _ := p.receive()
			xids = append(xids, h.Xid)
		}
		if want := []int32{p.xid - 2, proto.XidNotification, p.xid - 1, p.xid}; fmt.Sprint(xids) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", xids, want)
		}
	}
}

// TestClient is what a client library sees.
func TestClient(t *testing.T) {
	ts := newServer(t)
	c, other := ts.client(20*time.Second), ts.client(20*time.Second)
	acl := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/c", []byte("1"), 0, acl); err != nil {
		t.Fatal(err)
	}
	kids, _, events, err := other.ChildrenW("/c")
	if err != nil || len(kids) != 0 {
		t.Fatal(kids, err)
	}
	path, err := c.Create("/c/s-", nil, zk.FlagSequence|zk.FlagEphemeral, acl)
	if err != nil || path != "/c/s-0000000000" {
		t.Fatal(path, err)
	}
	if e := <-events; e.Type != zk.EventNodeChildrenChanged || e.Path != "/c" {
		t.Fatal(e)
	}
	res, err := c.Multi(&zk.CheckVersionRequest{Path: "/c", Version: 0}, &zk.SetDataRequest{Path: "/c", Data: []byte("2"), Version: 0},
		&zk.CreateRequest{Path: "/d", Acl: acl})
	if err != nil || len(res) != 3 {
		t.Fatal(res, err)
	}
	if _, err := c.Multi(&zk.SetDataRequest{Path: "/c", Data: []byte("3"), Version: 0}, &zk.DeleteRequest{Path: "/d", Version: -1}); !errors.Is(err, zk.ErrBadVersion) {
		t.Fatal(err)
	}
	if data, stat, err := other.Get("/c"); err != nil || string(data) != "2" || stat.Version != 1 {
		t.Fatal(data, stat, err)
	}
	if _, err := other.Sync("/c"); err != nil {
		t.Fatal(err)
	}
	if err := c.AddAuth("digest", []byte("me:pw")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/mine", nil, 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Get("/mine"); !errors.Is(err, zk.ErrNoAuth) {
		t.Fatal(err)
	}
	if _, _, err := c.Get("/mine"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "the ephemeral node goes with its session", func() bool {
		kids, _, err := other.Children("/c")
		return err == nil && len(kids) == 0
	})
}

// TestManySessions opens sessions by the thousand, each with an ephemeral node, and ends them all.
func TestManySessions(t *testing.T) {
	const n = 2000
	ts := newServer(t)
	var all []*peer
	for range n {
		all = append(all, ts.session(60000))
	}
	for i, p := range all {
		p.send(ephemeral(fmt.Sprintf("/e%d", i)))
	}
	for _, p := range all {
		if h, _ := p.receive(); h.Err != proto.OK {
			t.Fatal(h)
		}
	}
	if got := ts.word("mntr"); !strings.Contains(got, fmt.Sprintf("zk_ephemerals_count\t%d\n", n)) || !strings.Contains(got, fmt.Sprintf("zk_global_sessions\t%d\n", n)) {
		t.Fatal(got)
	}
	for _, p := range all {
		p.send(&proto.CloseSessionRequest{})
	}
	for _, p := range all {
		p.receive()
	}
	eventually(t, "the connections end", func() bool { return len(ts.connections()) <= 1 })
	if got := ts.word("mntr"); !strings.Contains(got, "zk_ephemerals_count\t0\n") || !strings.Contains(got, "zk_global_sessions\t0\n") {
		t.Fatal(got)
	}
}

// TestManyWatches sets a hundred thousand watches, fires them all, and has another client served meanwhile.
func TestManyWatches(t *testing.T) {
	const clients, each = 10, 10_000
	ts := newServer(t)
	maker := ts.session(60000)
	for i := range each {
		maker.send(create(fmt.Sprintf("/w%d", i), ""))
		if i%100 == 99 {
			for range 100 {
				maker.receive()
			}
		}
	}
	var watchers []*peer
	var wg sync.WaitGroup
	for range clients {
		p := ts.session(60000)
		watchers = append(watchers, p)
		wg.Go(func() {
			var b []byte
			for i := range each {
				b = p.encode(b, exists(fmt.Sprintf("/w%d", i), true))
			}
			go func() { _, _ = p.Write(b) }()
			for range each {
				p.receive()
			}
		})
	}
	wg.Wait()
	if got := ts.word("mntr"); !strings.Contains(got, fmt.Sprintf("zk_watch_count\t%d\n", clients*each)) {
		t.Fatal(got)
	}
	for _, p := range watchers {
		wg.Go(func() {
			for range each {
				if h, _ := p.receive(); h.Xid != proto.XidNotification {
					t.Error(h)
					return
				}
			}
		})
	}
	var b []byte
	for i := range each {
		b = maker.encode(b, setData(fmt.Sprintf("/w%d", i), "new"))
	}
	go func() { _, _ = maker.Write(b) }()
	for range each {
		maker.receive()
	}
	wg.Wait()
	if got := ts.word("mntr"); !strings.Contains(got, "zk_watch_count\t0\n") {
		t.Fatal(got)
	}
}

// TestSlowReader has a client that asks for much more than it reads: the server keeps little for it, and serves others.
func TestSlowReader(t *testing.T) {
	ts := newServer(t)
	other := ts.session(60000)
	other.must(create("/big", strings.Repeat("x", 500_000)))
	slow := ts.session(60000)
	var b []byte
	for range 200 {
		b = slow.encode(b, &proto.GetDataRequest{Path: "/big"})
	}
	if _, err := slow.Write(b); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		other.must(&proto.GetDataRequest{Path: "/big"})
	}
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	if mem.HeapAlloc > 60<<20 {
		t.Errorf("%d MB are kept", mem.HeapAlloc>>20)
	}
	for i := range 200 { // nothing is lost when it reads at last
		if h, body := slow.receive(); h.Err != proto.OK || len(body) < 500_000 {
			t.Fatal(i, h, len(body))
		}
	}
}

// TestDeafWatcher ends the connection of a client that lets its watch events pile up.
func TestDeafWatcher(t *testing.T) {
	ts := newServer(t)
	deaf := ts.session(60000)
	_ = deaf.Conn.(*net.TCPConn).SetReadBuffer(4096)
	deaf.must(&proto.AddWatchRequest{Path: "/", Mode: proto.WatchPersistentRecursive})
	other := ts.session(60000)
	long := "/" + strings.Repeat("n", 10_000)
	other.must(create(long, ""))
	for round := 0; !ts.logs.has("does not read its watch events"); round++ {
		if round == 200 {
			t.Fatal("it is still there")
		}
		var b []byte
		for range 20 {
			b = other.encode(b, setData(long, "y"))
		}
		if _, err := other.Write(b); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			other.receive()
		}
	}
	if got := ts.word("wchs"); !strings.HasPrefix(got, "0 connections watching 0 paths\n") {
		t.Error(got)
	}
}

// TestHostileFrames sends what no client sends. Each time its connection alone ends.
func TestHostileFrames(t *testing.T) {
	ts := newServer(t)
	good := ts.session(60000)
	frame := func(n int, b string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(n)), b...) }
	for name, c := range map[string]struct {
		session bool
		bytes   []byte
	}{
		"negative":         {false, frame(-1, "")},
		"most negative":    {false, frame(-1<<31, "")},
		"too long":         {false, frame(0xfffff+1, "")},
		"empty":            {false, frame(0, "")},
		"short handshake":  {false, frame(3, "abc")},
		"lying handshake":  {false, frame(28, strings.Repeat("\x00", 24)+"\x7f\xff\xff\xff")},
		"HTTP":             {false, []byte("GET / HTTP/1.1\r\n\r\n")},
		"TLS":              {false, []byte("\x16\x03\x01\x02\x00\x01\x00\x01")},
		"negative later":   {true, frame(-7, "")},
		"too long later":   {true, frame(1<<30, "")},
		"no header":        {true, frame(4, "abcd")},
		"unknown word":     {false, []byte("what")},
		"a word later":     {true, []byte("ruok")},
		"a pure length":    {false, frame(0xfffff, "")[:4]},
		"half a handshake": {false, frame(44, "abcdef")},
		"half a request":   {true, frame(1000, "abcdef")},
	} {
		t.Run(name, func(t *testing.T) {
			var p *peer
			if c.session {
				p = ts.session(60000)
			} else {
				p = ts.dial()
			}
			if _, err := p.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "half") || strings.HasPrefix(name, "a pure") {
				_ = p.Close()
			} else {
				p.closed()
			}
			good.must(&proto.PingRequest{})
		})
	}
	p := ts.session(60000)
	for name, b := range map[string]string{"nothing": "", "garbage": "\x7f\xff\xff\xffxxxx", "negative": "\xff\xff\xff\xf0"} {
		for _, op := range []proto.Op{proto.OpCreate, proto.OpMulti, proto.OpGetData, proto.OpSetWatches, proto.OpMultiRead, proto.OpSetACL, proto.OpAddWatch} {
			p.xid++
			p.frame(append(proto.RequestHeader{Xid: p.xid, Op: op}.Append(nil), b...))
			if h, _ := p.receive(); h.Xid != p.xid || h.Err != proto.MarshallingError && h.Err != proto.OK {
				t.Errorf("%s with %s: %+v", op, name, h)
			}
		}
	}
	eventually(t, "the connections end", func() bool { return len(ts.connections()) == 2 })
	waiting := ts.gate.waiting()
	if waiting != 0 {
		t.Errorf("%d requests wait for ever", waiting)
	}
}

// TestConnectionsOfOneAddress refuses more connections than are allowed, and takes new ones when old ones end.
func TestConnectionsOfOneAddress(t *testing.T) {
	ts := newServer(t, func(c *Config) { c.MaxClientCnxns = 3 })
	var all []*peer
	for range 3 {
		all = append(all, ts.session(60000))
	}
	ts.dial().closed()
	_ = all[0].Close()
	eventually(t, "there is room again", func() bool { return len(ts.connections()) == 2 })
	ts.session(60000).must(create("/a", ""))
}

// TestGlobalLimit holds readers back while many requests wait, and lets each client come in with one.
func TestGlobalLimit(t *testing.T) {
	g := newGate(32, 1000)
	a, b := newPass(), newPass()
	for range 16 {
		g.enter(a, 1)
	}
	for range 16 {
		g.enter(b, 1)
	}
	entered := make(chan *pass, 10)
	for _, p := range []*pass{a, b} {
		go func() {
			if g.enter(p, 1) {
				entered <- p
			}
		}()
	}
	if c := newPass(); !g.enter(c, 5000) { // one request always, whatever its size
		t.Error("kept out")
	} else {
		g.leave(c, 5000)
	}
	select {
	case <-entered:
		t.Fatal("in though it is full")
	default:
	}
	for range 16 {
		g.leave(a, 1)
	}
	<-entered
	for range 16 {
		g.leave(b, 1)
	}
	<-entered
	if g.waiting() != 2 {
		t.Error(g.waiting())
	}
	for range 15 {
		g.enter(a, 1)
	}
	out := make(chan bool)
	go func() { out <- g.enter(a, 1) }()
	g.close(a)
	if <-out {
		t.Error("in after the end")
	}
}

// TestNothingIsLeft ends a server with clients in every state.
func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	ts := newServer(t)
	for i := range 20 {
		p := ts.session(60000)
		p.must(create(fmt.Sprintf("/n%d", i), ""))
		p.send(&proto.GetDataRequest{Path: "/", Watch: true})
		ts.dial()
		if _, err := ts.dial().Write([]byte{0, 0, 1, 0, 1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}
