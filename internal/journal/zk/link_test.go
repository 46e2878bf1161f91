package zk

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// link is the way of one client to ZooKeeper, with faults on demand.
type link struct {
	mu       sync.Mutex
	changed  *sync.Cond
	conns    map[*linkConn]struct{}
	down     bool
	paused   bool
	onFrame  func(frame []byte) verdict // called for each request, with its length in front
	sent     int                        // requests
	session  int64
	password []byte
}

// verdict is what becomes of a request.
type verdict int

const (
	deliver    verdict = iota
	loseAnswer         // ZooKeeper gets the request; the connection breaks before its answer
	loseIt             // the connection breaks before ZooKeeper gets the request
)

func newLink() *link {
	l := &link{conns: map[*linkConn]struct{}{}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

var errDown = errors.New("the link is down")

func (l *link) dial(ctx context.Context, addr string) (net.Conn, error) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return nil, errDown
	}
	c, err := dialTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	lc := &linkConn{Conn: c, l: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[lc] = struct{}{}
	return lc, nil
}

// set changes the link: down refuses new connections and breaks those there are; paused holds everything back both ways.
func (l *link) set(down, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.paused = down, paused
	if down {
		l.breakAll()
	}
	l.changed.Broadcast()
}

// cut breaks the connections that there are.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakAll()
}

func (l *link) breakAll() {
	for c := range l.conns {
		c.broken = true
		_ = c.Conn.Close()
		delete(l.conns, c)
	}
	l.changed.Broadcast()
}

// judge has f say what becomes of each request from now on; nil delivers all.
func (l *link) judge(f func(frame []byte) verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onFrame = f
}

// once says what becomes of the next request that fits.
func (l *link) once(v verdict, fits func(frame []byte) bool) {
	done := false
	l.judge(func(frame []byte) verdict {
		if done || !fits(frame) {
			return deliver
		}
		done = true
		return v
	})
}

// requests is how many requests were sent.
func (l *link) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

const opMultiCode = 14

// opOf is the operation of a request.
func opOf(frame []byte) int32 {
	if len(frame) < 12 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(frame[8:]))
}

type linkConn struct {
	net.Conn
	l      *link
	hello  []byte // the first answer
	first  bool   // the first request was sent
	deaf   bool   // answers are lost
	broken bool
}

// pass waits while the link is paused, and reports whether the connection is still there.
func (c *linkConn) pass() bool {
	for c.l.paused && !c.broken {
		c.l.changed.Wait()
	}
	return !c.broken
}

func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if !c.pass() || c.deaf {
		return 0, net.ErrClosed
	}
	if len(c.hello) < helloBytes { // length, version, time, session, length of password, password
		c.hello = append(c.hello, b[:n]...)
		if len(c.hello) >= helloBytes {
			if id := int64(binary.BigEndian.Uint64(c.hello[12:])); id != 0 {
				c.l.session, c.l.password = id, append([]byte{}, c.hello[24:40]...)
			}
		}
	}
	return n, err
}

func (c *linkConn) Write(b []byte) (int, error) {
	c.l.mu.Lock()
	if !c.pass() {
		c.l.mu.Unlock()
		return 0, net.ErrClosed
	}
	v := deliver
	if c.first && c.l.onFrame != nil {
		v = c.l.onFrame(b)
	}
	if c.first {
		c.l.sent++
	}
	c.first = true
	c.deaf = c.deaf || v != deliver
	c.l.mu.Unlock()
	switch v {
	case loseIt:
		_ = c.Close()
		return 0, net.ErrClosed
	case loseAnswer:
		n, err := c.Conn.Write(b)
		// The server reads what was sent before it sees the end.
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
		return n, err
	}
	return c.Conn.Write(b)
}

func (c *linkConn) Close() error {
	c.l.mu.Lock()
	c.broken = true
	delete(c.l.conns, c)
	c.l.changed.Broadcast()
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// expire ends the session that the link's client has, as ZooKeeper does after its timeout: another connection takes the
// session over and closes it.
func (l *link) expire(addr string) error {
	l.mu.Lock()
	id, password := l.session, l.password
	wasDown := l.down
	l.down = true // or the client takes its session back
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.down = wasDown
	}()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	hello := binary.BigEndian.AppendUint32(nil, 0)           // protocol version
	hello = binary.BigEndian.AppendUint64(hello, 0)          // last zxid seen
	hello = binary.BigEndian.AppendUint32(hello, 10_000)     // timeout
	hello = binary.BigEndian.AppendUint64(hello, uint64(id)) // session
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(password)))
	hello = append(hello, password...)
	bye := binary.BigEndian.AppendUint32(nil, 1) // xid
	closing := int32(-11)                        // closeSession
	bye = binary.BigEndian.AppendUint32(bye, uint32(closing))
	for _, frame := range [][]byte{hello, bye} {
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return err
		}
		var size [4]byte
		if _, err := readFull(c, size[:]); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := readFull(c, body); err != nil {
			return err
		}
		if len(body) >= 16 && &frame[0] == &hello[0] && binary.BigEndian.Uint64(body[8:]) == 0 {
			return errors.New("the session was gone already")
		}
	}
	return nil
}

func readFull(c net.Conn, b []byte) (int, error) {
	at := 0
	for at < len(b) {
		n, err := c.Read(b[at:])
		at += n
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// helloBytes is how much of the answer to the first request is looked at, up to the end of the password.
const helloBytes = 40
