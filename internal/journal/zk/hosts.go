package zk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// defaultPort is that of ZooKeeper's clients.
const defaultPort = "2181"

// ParseConnect takes zookeeper.connect apart: "host:port,host:port/chroot". chroot is "" or begins with a slash.
func ParseConnect(connect string) (hosts []string, chroot string, err error) {
	list := connect
	if at := strings.IndexByte(connect, '/'); at >= 0 {
		list, chroot = connect[:at], strings.TrimRight(connect[at:], "/")
	}
	if err := checkPath(chroot); err != nil {
		return nil, "", fmt.Errorf("zookeeper.connect %q: %w", connect, err)
	}
	for h := range strings.SplitSeq(list, ",") {
		h = strings.TrimSpace(h)
		if h == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), defaultPort)
		}
		hosts = append(hosts, h)
	}
	if len(hosts) == 0 {
		return nil, "", fmt.Errorf("zookeeper.connect %q names no host; expected host:port, ... and perhaps a path", connect)
	}
	return hosts, chroot, nil
}

func checkPath(path string) error {
	if path == "" {
		return nil
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return fmt.Errorf("path %q is none of ZooKeeper", path)
		}
	}
	return nil
}

// hosts is the list of servers as the library asks for it: names are looked up at each dial, for addresses may change,
// and after a connection that worked the next server is tried without a pause.
type hosts struct {
	mu        sync.Mutex
	addrs     []string
	at        int
	tried     int       // since a connection worked
	connected time.Time // when one did last
	quick     int       // connections one after the other that were soon lost
}

func (h *hosts) Init(servers []string) error { h.addrs = servers; return nil }
func (h *hosts) Len() int                    { return len(h.addrs) }

// Next implements the library's HostProvider. pause has it fail what waits to be sent and wait for a second.
func (h *hosts) Next() (server string, pause bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.addrs[h.at%len(h.addrs)]
	h.at++
	h.tried++
	if h.tried > 1 {
		return server, (h.tried-1)%len(h.addrs) == 0
	}
	if time.Since(h.connected) > time.Second {
		h.quick = 0
		return server, false
	}
	h.quick++ // a server that takes connections and drops them is not to be asked in a tight loop
	return server, h.quick > maxQuick
}

// maxQuick is how often a connection that was soon lost is followed by the next one without a pause.
const maxQuick = 5

func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried, h.connected = 0, time.Now()
}

// dialer opens the connections of one session, and no more of them when the session is over: the library would begin a
// new session of its own and send in it what was meant for the old one.
type dialer struct {
	dial  func(ctx context.Context, addr string) (net.Conn, error)
	limit time.Duration // of a read: what the library waits for the answer to its first request is ten times as much

	mu     sync.Mutex
	conn   net.Conn
	closed bool
	err    error // of the last dial, nil if it worked
	ctx    context.Context
	cancel context.CancelFunc
}

var errSessionOver = errors.New("the session with ZooKeeper has ended")

func newDialer(dial func(context.Context, string) (net.Conn, error), limit time.Duration) *dialer {
	d := &dialer{dial: dial, limit: limit}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// minDial is the least time for a dial; the library allows one second.
const minDial = 2 * time.Second

func (d *dialer) Dial(_, addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, max(timeout, minDial))
	defer cancel()
	c, err := d.dial(ctx, addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && d.closed {
		_ = c.Close()
		err = errSessionOver
	}
	if d.err = err; err != nil {
		return nil, err
	}
	d.conn = c
	return &limitedConn{Conn: c, limit: d.limit}, nil
}

// failed returns why the last dial failed.
func (d *dialer) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// close ends the connection that there is and allows no other.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.cancel()
	if d.conn != nil {
		_ = d.conn.Close()
	}
}

// deny allows no other connection than the one that there is.
func (d *dialer) deny() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.cancel()
}

// limitedConn bounds the time of a read.
type limitedConn struct {
	net.Conn
	limit time.Duration
}

func (c *limitedConn) SetReadDeadline(t time.Time) error {
	if latest := time.Now().Add(c.limit); t.After(latest) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
