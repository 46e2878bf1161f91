package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"gregor/internal/zookeeper/proto"
)

// zkState is a session's state, in the words of ZooKeeper's client (ZooKeeper.States and Watcher.Event.KeeperState).
type zkState int

const (
	zkConnecting zkState = iota
	zkConnected
	zkClosed
	zkAuthFailed
	zkExpired
)

// String is the name for a prompt.
func (s zkState) String() string {
	return [...]string{"CONNECTING", "CONNECTED", "CLOSED", "AUTH_FAILED", "CLOSED"}[s]
}

// event is the name in a watcher's event.
func (s zkState) event() string {
	return [...]string{"Disconnected", "SyncConnected", "Closed", "AuthFailed", "Expired"}[s]
}

// zkEvent is what a watcher is told. Type is empty when only the state has changed.
type zkEvent struct {
	state zkState
	kind  string // "None" for a change of state
	path  string
}

// String is the event as ZooKeeper's client prints it.
func (e zkEvent) String() string {
	path := "null"
	if e.kind != "None" {
		path = e.path
	}
	return fmt.Sprintf("WatchedEvent state:%s type:%s path:%s", e.state.event(), e.kind, path)
}

// errNotConnected is a request to a session that has ended.
var errNotConnected = errors.New("Not connected") //nolint:staticcheck // ZooKeeper's words

const (
	zkMaxFrame = 64 << 20 // a reply may be larger than jute.maxbuffer: a list of many children
	zkBackoff  = time.Second
)

// zkClient is one session with a ZooKeeper server. It connects again when the connection breaks, and keeps its watches and
// what it has proved to be. Requests are answered in their order; watch events come between the replies as the server
// orders them.
type zkClient struct {
	servers []string
	chroot  string // "" or a path
	timeout time.Duration
	tls     *tls.Config
	event   func(zkEvent) // called by the goroutine that reads, so it sees events in order

	mu       sync.Mutex
	state    zkState
	closing  bool
	conn     net.Conn // nil unless connected
	waiting  []*zkCall
	sent     []*zkCall
	xid      int32
	session  int64
	password []byte
	lastZxid int64
	auths    []*proto.AuthRequest
	watches  zkWatches

	cancel context.CancelFunc
	done   chan struct{}
}

// zkCall is a request on its way.
type zkCall struct {
	xid   int32
	op    proto.Op
	body  []byte
	reply chan zkReply
}

type zkReply struct {
	body []byte
	err  error // a proto.Code, or errNotConnected
}

// parseConnectString cuts host:port,host:port/chroot.
func parseConnectString(s string) (servers []string, chroot string, err error) {
	hosts := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		hosts, chroot = s[:i], strings.TrimSuffix(s[i:], "/")
		if chroot != "" {
			if err := checkPath(chroot); err != nil {
				return nil, "", err
			}
		}
	}
	for _, h := range strings.Split(hosts, ",") {
		h = strings.TrimSpace(h)
		if h == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), "2181")
		}
		servers = append(servers, h)
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("%q names no server: give host:port, for example localhost:2181", s)
	}
	return servers, chroot, nil
}

// dialZookeeper begins a session; it does not wait for it.
func dialZookeeper(ctx context.Context, connect string, timeout time.Duration, tls *tls.Config, event func(zkEvent)) (*zkClient, error) {
	servers, chroot, err := parseConnectString(connect)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &zkClient{servers: servers, chroot: chroot, timeout: timeout, tls: tls, event: event, password: make([]byte, 16), watches: zkWatches{}, cancel: cancel, done: make(chan struct{})}
	go c.run(ctx)
	return c, nil
}

// call sends a request and waits for its answer. The error is a proto.Code, errNotConnected, or one of decoding.
func (c *zkClient) call(ctx context.Context, req proto.Request) (proto.Reply, error) {
	call := &zkCall{op: req.Op(), body: req.Append(nil), reply: make(chan zkReply, 1)}
	if err := c.enqueue(call, req); err != nil {
		return nil, err
	}
	select {
	case r := <-call.reply:
		if r.err != nil {
			return nil, r.err
		}
		return proto.DecodeReply(call.op, r.body)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *zkClient) enqueue(call *zkCall, req proto.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state > zkConnected {
		return errNotConnected
	}
	c.xid++
	call.xid = c.xid
	if auth, ok := req.(*proto.AuthRequest); ok {
		call.xid = proto.XidAuth
		c.auths = append(c.auths, auth)
	}
	if c.conn == nil {
		c.waiting = append(c.waiting, call)
		return nil
	}
	c.send(call)
	return nil
}

// send writes a request. A connection that does not take it breaks, which its reader notices.
func (c *zkClient) send(call *zkCall) {
	frame := proto.RequestHeader{Xid: call.xid, Op: call.op}.Append(make([]byte, 4))
	frame = append(frame, call.body...)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if call.reply != nil {
		c.sent = append(c.sent, call)
	}
	if _, err := c.conn.Write(frame); err != nil {
		_ = c.conn.Close()
	}
}

// close ends the session, and waits until the server knows it.
func (c *zkClient) close() {
	c.mu.Lock()
	open := c.state <= zkConnected
	connected := c.conn != nil
	c.closing = true
	c.mu.Unlock()
	if connected {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, _ = c.call(ctx, &proto.CloseSessionRequest{})
		cancel()
	}
	c.end(zkClosed)
	c.cancel()
	<-c.done
	if open {
		c.event(zkEvent{state: zkClosed, kind: "None"})
	}
}

// end puts the session into a state of which it does not come back.
func (c *zkClient) end(s zkState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state <= zkConnected {
		c.state = s
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.failAll(errNotConnected)
}

func (c *zkClient) current() zkState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// goesOn tells whether the session is to be connected again.
func (c *zkClient) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state <= zkConnected && !c.closing
}

// failAll answers every request that waits. The lock is held.
func (c *zkClient) failAll(err error) {
	for _, call := range append(c.sent, c.waiting...) {
		call.reply <- zkReply{err: err}
	}
	c.sent, c.waiting = nil, nil
}

// run keeps the session connected.
func (c *zkClient) run(ctx context.Context) {
	defer close(c.done)
	for tried := 0; ; tried++ {
		conn, err := c.connect(ctx, c.servers[tried%len(c.servers)])
		if err == nil {
			tried = -1
			c.read(ctx, conn)
			if c.goesOn() && ctx.Err() == nil {
				c.event(zkEvent{state: zkConnecting, kind: "None"})
			}
		}
		if ctx.Err() != nil || !c.goesOn() {
			c.end(zkClosed)
			return
		}
		if err != nil && (tried+1)%len(c.servers) == 0 {
			c.mu.Lock()
			c.failAll(proto.ConnectionLoss)
			c.mu.Unlock()
		}
		select {
		case <-time.After(zkBackoff):
		case <-ctx.Done():
		}
	}
}

// connect opens a connection and takes up the session, or begins one.
func (c *zkClient) connect(ctx context.Context, server string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: min(c.timeout, 10*time.Second)}
	conn, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	if c.tls != nil {
		config := c.tls.Clone()
		config.ServerName, _, _ = net.SplitHostPort(server)
		conn = tls.Client(conn, config)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := c.shakeHands(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *zkClient) shakeHands(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(min(c.timeout, 10*time.Second)))
	hello := proto.ConnectRequest{LastZxidSeen: c.lastZxid, TimeoutMs: int32(c.timeout.Milliseconds()), SessionID: c.session, Password: c.password, HasReadOnly: true}
	frame := hello.Append(make([]byte, 4))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	body, err := readFrame(conn)
	if err != nil {
		return err
	}
	welcome, err := proto.DecodeConnectResponse(body)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	if welcome.SessionID == 0 || welcome.TimeoutMs <= 0 {
		c.end(zkExpired)
		c.event(zkEvent{state: zkExpired, kind: "None"})
		return proto.SessionExpired
	}
	c.mu.Lock()
	c.session, c.password = welcome.SessionID, welcome.Password
	c.timeout = time.Duration(welcome.TimeoutMs) * time.Millisecond
	c.mu.Unlock()
	c.event(zkEvent{state: zkConnected, kind: "None"})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state > zkConnected {
		return errNotConnected
	}
	c.state, c.conn = zkConnected, conn
	for _, a := range c.auths {
		c.send(&zkCall{xid: proto.XidAuth, op: a.Op(), body: a.Append(nil)})
	}
	if set := c.watches.request(c.lastZxid); set != nil {
		c.send(&zkCall{xid: proto.XidSetWatches, op: set.Op(), body: set.Append(nil)})
	}
	waiting := c.waiting
	c.waiting = nil
	for _, call := range waiting {
		if call.xid == proto.XidAuth { // sent above
			call.reply <- zkReply{}
			continue
		}
		c.send(call)
	}
	return nil
}

// read takes replies and events off a connection until it breaks, and keeps it alive meanwhile.
func (c *zkClient) read(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		c.ping(ctx)
	}()
	for {
		_ = conn.SetReadDeadline(time.Now().Add(c.timeout * 2 / 3))
		body, err := readFrame(conn)
		if err == nil {
			err = c.take(body)
		}
		if err != nil {
			break
		}
	}
	cancel()
	<-pinging
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = conn.Close()
	c.conn = nil
	if c.state == zkConnected {
		c.state = zkConnecting
	}
	c.failAll(proto.ConnectionLoss)
}

// ping keeps the session alive. The server answers, so that the reader knows that the server is.
func (c *zkClient) ping(ctx context.Context) {
	tick := time.NewTicker(max(c.timeout/3, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		if c.conn != nil {
			c.send(&zkCall{xid: proto.XidPing, op: proto.OpPing})
		}
		c.mu.Unlock()
	}
}

// take handles one message of the server.
func (c *zkClient) take(body []byte) error {
	d := proto.NewDecoder(body)
	h := d.ReplyHeader()
	if err := d.Err(); err != nil {
		return err
	}
	if h.Zxid > 0 {
		c.mu.Lock()
		c.lastZxid = max(c.lastZxid, h.Zxid)
		c.mu.Unlock()
	}
	switch h.Xid {
	case proto.XidPing, proto.XidSetWatches:
		return nil
	case proto.XidNotification:
		e := d.WatcherEvent()
		if err := d.Err(); err != nil {
			return err
		}
		c.mu.Lock()
		c.watches.fired(e.Type, e.Path)
		c.mu.Unlock()
		c.event(zkEvent{state: zkConnected, kind: e.Type.String(), path: c.withoutChroot(e.Path)})
		return nil
	case proto.XidAuth:
		if h.Err != proto.OK {
			c.event(zkEvent{state: zkAuthFailed, kind: "None"})
			c.end(zkAuthFailed)
			return proto.AuthFailed
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 || c.sent[0].xid != h.Xid {
		if h.Xid == proto.XidAuth { // an old one, sent again
			return nil
		}
		return fmt.Errorf("a reply to request %d, which was not asked for", h.Xid)
	}
	call := c.sent[0]
	c.sent = c.sent[1:]
	call.reply <- zkReply{body: d.Rest(), err: h.Err.Err()}
	return nil
}

// readFrame reads one message.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > zkMaxFrame {
		return nil, fmt.Errorf("a message of %d bytes is announced, more than %d", n, zkMaxFrame)
	}
	var body []byte
	for uint32(len(body)) < n { // no more is allocated than what comes
		part := make([]byte, min(n-uint32(len(body)), 1<<20))
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		body = append(body, part...)
	}
	return body, nil
}

// withChroot is a path as the server knows it.
func (c *zkClient) withChroot(path string) string {
	if path == "/" {
		return cmp.Or(c.chroot, "/")
	}
	return c.chroot + path
}

func (c *zkClient) withoutChroot(path string) string {
	return cmp.Or(strings.TrimPrefix(path, c.chroot), "/")
}
