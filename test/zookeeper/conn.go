package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Conn is a connection with a session. It keeps no books: requests and replies are the caller's to match.
type Conn struct {
	net.Conn
	Session   int64
	Password  []byte
	TimeoutMs int32 // as negotiated
	ReadOnly  bool
	xid       int32
}

// Hello is what a connection begins with.
type Hello struct {
	LastZxid  int64
	TimeoutMs int32
	Session   int64  // 0: a new one
	Password  []byte // nil: sixteen zeros
}

// readTimeout bounds the wait for a frame.
const readTimeout = 30 * time.Second

// ErrSessionExpired is the answer to a session that is no longer there.
var ErrSessionExpired = errors.New("session expired")

// Dial connects and begins or takes up a session. With ErrSessionExpired the connection is returned, too: the server ends it.
func Dial(addr string, h Hello) (*Conn, error) {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw}
	if err := c.hello(h); err != nil && !errors.Is(err, ErrSessionExpired) {
		_ = raw.Close()
		return nil, err
	} else if err != nil {
		return c, err
	}
	return c, nil
}

func (c *Conn) hello(h Hello) error {
	if h.Password == nil {
		h.Password = make([]byte, 16)
	}
	if err := c.WriteFrame(*new(Builder).Int(0).Long(h.LastZxid).Int(h.TimeoutMs).Long(h.Session).Bytes(h.Password).Bool(false)); err != nil {
		return err
	}
	frame, err := c.ReadFrame()
	if err != nil {
		return err
	}
	d := decoder{b: frame}
	d.int()
	c.TimeoutMs, c.Session, c.Password, c.ReadOnly = d.int(), d.long(), d.bytes(), d.bool()
	switch {
	case d.err != nil:
		return fmt.Errorf("the answer to a connect request: %w: %x", d.err, frame)
	case len(d.b) > 0:
		return fmt.Errorf("the answer to a connect request has %d bytes too many", len(d.b))
	case c.TimeoutMs <= 0:
		return ErrSessionExpired
	}
	return nil
}

// WriteFrame sends bytes behind their length.
func (c *Conn) WriteFrame(b []byte) error {
	_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// ReadFrame reads one message.
func (c *Conn) ReadFrame() ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 64<<20 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// Send sends a request and returns its xid.
func (c *Conn) Send(r Request) (xid int32, err error) {
	switch r.Op {
	case OpPing:
		xid = XidPing
	case OpAuth:
		xid = XidAuth
	case OpSetWatches, OpSetWatches2:
		xid = XidSetWatches
	default:
		c.xid++
		xid = c.xid
	}
	return xid, c.WriteFrame(append(*new(Builder).Int(xid).Int(r.Op), r.Body...))
}

// Message is a reply or an event.
type Message struct {
	Xid  int32
	Zxid int64
	Err  int32
	Body []byte
}

// Receive reads the next reply or event.
func (c *Conn) Receive() (Message, error) {
	frame, err := c.ReadFrame()
	if err != nil {
		return Message{}, err
	}
	d := decoder{b: frame}
	m := Message{Xid: d.int(), Zxid: d.long(), Err: d.int()}
	m.Body = d.b
	return m, d.err
}

// Do sends a request and returns its reply; events before it are passed over.
func (c *Conn) Do(r Request) (Message, error) {
	xid, err := c.Send(r)
	if err != nil {
		return Message{}, err
	}
	for {
		m, err := c.Receive()
		if err != nil || m.Xid == xid {
			return m, err
		}
	}
}
