package zookeeper

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/zookeeper/proto"
	"gregor/internal/zookeeper/tree"
)

const (
	// handshakeTimeout closes a connection that does not say what it wants (ZooKeeper's sessionless connections).
	handshakeTimeout = 10 * time.Second

	// lingerTimeout is how long a connection that is done waits for the client to close it, so that what was sent last
	// is not lost to a reset.
	lingerTimeout = time.Second

	// softBacklogBytes of replies that the client has not taken yet make its next requests wait.
	softBacklogBytes = 1 << 20

	// hardBacklogBytes, with watch events, which cannot wait, end the connection: its client does not read.
	hardBacklogBytes = 16 << 20

	readStepBytes = 64 << 10
)

// conn is a client's connection. A goroutine reads requests and gives them to the loop; the loop puts answers into out,
// which a goroutine writes as long as there is something to write.
type conn struct {
	s      *Server
	net    net.Conn
	remote netip.AddrPort
	number uint64
	pass   *pass
	since  time.Time

	// The loop's own.
	session   int64 // 0 before the handshake
	timeoutMs int32
	auth      []proto.ID
	old       bool      // it sent no read-only flag, and expects none
	gone      bool      // nothing it sends counts any more
	heldBytes int       // answers that wait for the disk
	deferred  []request // requests that wait for the client to read
	stats     connStats

	received atomic.Int64  // packets
	flushed  chan struct{} // closed when everything is written, or will never be

	mu      sync.Mutex
	out     []byte
	writing bool // a goroutine is at it
	ending  bool // close when out is written
	dead    bool
	stalled bool // the loop wants to hear when out is nearly empty
	queued  int  // bytes of out, and those being written
	done    bool // flushed is closed
}

// request is one frame of a client.
type request struct {
	frame []byte
	at    time.Time // when it was complete
}

func newConn(s *Server, nc net.Conn, number uint64) *conn {
	c := &conn{s: s, net: nc, number: number, pass: newPass(), since: time.Now(), flushed: make(chan struct{})}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.remote = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	c.auth = []proto.ID{tree.IPID(javaHost(c.remote.Addr()))}
	c.stats.reset()
	return c
}

// javaHost is how Java writes an address: IPv6 in full.
func javaHost(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	b := a.As16()
	parts := make([]string, 0, 8)
	for i := 0; i < 16; i += 2 {
		parts = append(parts, strconv.FormatUint(uint64(binary.BigEndian.Uint16(b[i:])), 16))
	}
	return strings.Join(parts, ":")
}

// String is how ZooKeeper names a connection.
func (c *conn) String() string {
	host := javaHost(c.remote.Addr())
	if c.remote.Addr().Is6() {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("/%s:%d", host, c.remote.Port())
}

// errFrame is a frame that no client of ours sends.
var errFrame = errors.New("malformed frame")

// read gives the loop everything that the client sends, until it stops or the connection is closed.
func (c *conn) read() {
	err := c.readAll()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		c.s.log.Debug("connection ends", "client", c.String(), "error", err.Error())
		if errors.Is(err, errFrame) {
			c.s.log.Warn("closing a connection", "client", c.String(), "error", err.Error())
		}
	}
	c.linger()
	c.close()
	c.s.post(event{kind: evClosed, c: c})
	c.s.dropped(c)
}

func (c *conn) readAll() error {
	r := bufio.NewReaderSize(c.net, 1024)
	_ = c.net.SetReadDeadline(time.Now().Add(handshakeTimeout))
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if knownWord(string(head[:])) {
		c.received.Add(1)
		c.s.counters.received.Add(1)
		if c.s.post(event{kind: evWord, c: c, frame: head[:]}) {
			<-c.flushed // a client may be done with sending: that is no reason not to answer
		}
		return nil
	}
	kind := evConnect
	for {
		frame, err := c.frame(r, head)
		if err != nil {
			return err
		}
		c.received.Add(1)
		c.s.counters.received.Add(1)
		c.s.counters.receivedBytes.Add(int64(4 + len(frame)))
		if !c.s.gate.enter(c.pass, len(frame)) {
			return nil
		}
		if !c.s.post(event{kind: kind, c: c, frame: frame, at: time.Now()}) {
			return nil
		}
		if kind == evConnect {
			_ = c.net.SetReadDeadline(time.Time{}) // from now on the session's timeout counts
			kind = evRequest
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
	}
}

// frame reads a frame's body. Memory grows with what arrives.
func (c *conn) frame(r io.Reader, head [4]byte) ([]byte, error) {
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > c.s.config.MaxBufferBytes {
		return nil, fmt.Errorf("%w: a length of %d is negative or larger than jute.maxbuffer=%d", errFrame, n, c.s.config.MaxBufferBytes)
	}
	b := make([]byte, min(n, readStepBytes))
	for have := 0; ; {
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, err
		}
		have = len(b)
		if have == n {
			return b, nil
		}
		grown := make([]byte, min(n, 4*have))
		copy(grown, b)
		b = grown
	}
}

// linger reads what the client still sends, for a short time, if the end is ours and there are answers on their way.
func (c *conn) linger() {
	c.mu.Lock()
	ending := c.ending && !c.dead
	c.mu.Unlock()
	if ending {
		<-c.flushed
		_, _ = io.Copy(io.Discard, c.net)
	}
}

// send puts bytes into the connection's queue; it never blocks. Afterwards they belong to nobody else.
func (c *conn) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.ending {
		return
	}
	c.out = append(c.out, b...)
	c.queued += len(b)
	c.startWriter()
}

// startWriter wants mu.
func (c *conn) startWriter() {
	if !c.writing {
		c.writing = true
		c.s.goes.Go(c.write)
	}
}

// backlog is how many bytes the client has not taken yet.
func (c *conn) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued
}

// stall asks for an event when the backlog is small again; false if it is already.
func (c *conn) stall() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.queued <= softBacklogBytes/2 {
		return false
	}
	c.stalled = true
	return true
}

// finish closes the connection when everything that was sent is written.
func (c *conn) finish() {
	c.s.gate.close(c.pass)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.ending {
		return
	}
	c.ending = true
	_ = c.net.SetWriteDeadline(time.Now().Add(handshakeTimeout))
	c.startWriter()
}

// close ends the connection at once.
func (c *conn) close() {
	c.s.gate.close(c.pass)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.dead = true
		c.out, c.queued = nil, 0
		_ = c.net.Close()
		c.setFlushed()
	}
}

// write writes until there is nothing left.
func (c *conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		b := c.out
		if len(b) == 0 || c.dead {
			c.writing = false
			ending := c.ending && !c.dead
			c.mu.Unlock()
			if ending {
				c.halfClose()
			}
			return
		}
		c.out = spare[:0]
		c.mu.Unlock()
		if _, err := c.net.Write(b); err != nil {
			c.close()
			return
		}
		c.mu.Lock()
		c.queued = max(c.queued-len(b), 0)
		wake := c.stalled && c.queued <= softBacklogBytes/2
		if wake {
			c.stalled = false
		}
		c.mu.Unlock()
		if wake {
			c.s.post(event{kind: evDrained, c: c})
		}
		if spare = nil; cap(b) <= readStepBytes {
			spare = b
		}
	}
}

// halfClose tells the client that nothing follows. The reader closes the connection when the client has, or soon.
func (c *conn) halfClose() {
	if tcp, ok := c.net.(interface{ CloseWrite() error }); !ok || tcp.CloseWrite() != nil {
		c.close()
		return
	}
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTimeout))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setFlushed()
}

// setFlushed wants mu.
func (c *conn) setFlushed() {
	if !c.done {
		c.done = true
		close(c.flushed)
	}
}
