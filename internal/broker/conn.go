package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/peer"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Anonymous is the principal of a connection that did not authenticate.
const Anonymous = "User:ANONYMOUS"

// Conn is one client's connection.
type Conn struct {
	server   *server
	net      net.Conn
	host     string // "/127.0.0.1", as Kafka shows it
	listener string
	ctx      context.Context
	cancel   context.CancelFunc
	replies  replyQueue
	out      *progressConn // of whoever has the right to write

	clientID string // of the last request; the reader's
	timed    bool   // a read deadline is set; the reader's

	draining  atomic.Bool  // the reader is to stop
	active    atomic.Int64 // Unix nanoseconds of the last request or reply
	closeOnce sync.Once
	reason    string

	software atomic.Value // string: name and version that ApiVersions told (KIP-511)
}

// ClientHost is the peer's address as Kafka writes it: a slash and the host.
func (c *Conn) ClientHost() string { return c.host }

// Listener is the name of the listener that the connection came in by.
func (c *Conn) Listener() string { return c.listener }

// Principal is who the connection is authenticated as. No listener authenticates yet.
func (c *Conn) Principal() string { return Anonymous }

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// LocalAddr is the broker's end of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.net.LocalAddr() }

// close ends the connection; the first reason is the one that gets logged.
func (c *Conn) close(reason string) {
	c.closeOnce.Do(func() {
		c.reason = reason
		c.cancel()
		c.replies.close()
		_ = c.net.Close()
	})
}

// drain ends the reader, lets replies leave, and closes the connection.
func (c *Conn) drain() {
	c.draining.Store(true)
	_ = c.net.SetReadDeadline(time.Unix(1, 0))
	c.replies.drain()
	c.close("shutting down")
}

// errGone is why a request is not read: the connection is closing.
var errGone = errors.New("connection is closing")

// read is the reader goroutine: frames in, handlers called in order, and what they answered out before it waits again.
// It ends when the connection is closed and nobody uses it.
func (c *Conn) read() {
	err := c.requests()
	c.flush()
	if err != nil {
		c.ended(err)
	}
	c.replies.waitUntilClosed()
}

// requests serves requests until an error or, with nil, until the broker shuts down.
func (c *Conn) requests() error {
	frames := wire.NewFrameReader(frameSource(c.net), &c.server.pool, &connBudget{conn: c})
	for {
		if !frames.Whole() {
			if full := c.flush(); full && !c.replies.waitForRoom() {
				return errGone
			}
			if c.draining.Load() {
				return nil
			}
			if err := frames.Wait(); err != nil {
				return c.unlessDraining(err)
			}
			c.touch()
		}
		l := c.server.limits.Load()
		if !frames.Whole() {
			// A frame that has begun must end in reasonable time, or half a frame would hold memory for ever.
			c.deadline(l.idle)
		}
		if c.draining.Load() {
			return nil
		}
		var frame wire.Frame
		if err := frames.Next(&frame, l.requestMaxBytes); err != nil {
			return c.unlessDraining(err)
		}
		if c.timed {
			c.timed = false
			_ = c.net.SetReadDeadline(time.Time{})
		}
		if err := c.dispatch(&frame); err != nil {
			return err
		}
	}
}

// deadline ends the connection's read, and with it the connection, if it takes longer. For the reader.
func (c *Conn) deadline(patience time.Duration) {
	c.timed = true
	_ = c.net.SetReadDeadline(time.Now().Add(patience))
	if c.draining.Load() {
		_ = c.net.SetReadDeadline(time.Unix(1, 0)) // drain's, which may have come before ours
	}
}

func (c *Conn) unlessDraining(err error) error {
	if c.draining.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// flush writes what is ready, before the reader waits. full says that too much waits behind it to read on.
func (c *Conn) flush() (full bool) {
	write, full := c.replies.uncork()
	if write {
		c.write()
	}
	return full
}

// ended closes the connection for what the reader met. What is the peer's fault is logged, a plain end is not.
func (c *Conn) ended(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, errGone), isReset(err):
		c.close("peer closed")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.refuse(errors.New("frame not complete in time (connections.max.idle.ms, or less under queued.max.request.bytes)"))
	default:
		c.refuse(err)
	}
}

func (c *Conn) refuse(err error) {
	c.server.b.log.Warn("closing connection: invalid request", "peer", c.net.RemoteAddr().String(), "listener", c.listener, "error", err.Error())
	c.close(err.Error())
}

// dispatch decodes one request and calls its handler. An error ends the connection, as in Kafka: an answer in a form
// that the client did not ask for cannot be read.
func (c *Conn) dispatch(frame *wire.Frame) error {
	h, body, err := wire.ReadNextHeader(frame.Bytes, c.clientID)
	if err != nil {
		frame.Release()
		return err
	}
	c.clientID = h.ClientID
	row := c.server.b.table.find(h.Key)
	served := row != nil && h.Version >= row.min && h.Version <= row.max
	if !served && h.Key != wire.ApiVersionsKey {
		frame.Release()
		return fmt.Errorf("unsupported request: key %d (%s) version %d", h.Key, kmsg.NameForKey(h.Key), h.Version)
	}
	if !served || !row.pooled {
		c.flush() // it may take longer than those before it should wait
		frame.Own()
		body = frame.Bytes[len(frame.Bytes)-len(body):]
	}
	var req kmsg.Request
	if served {
		if req, err = c.decode(row, h, body, frame); err != nil {
			frame.Release()
			return err
		}
	}
	var r *Request
	if p, ok := req.(*producing); ok {
		r = &p.request
	} else {
		r = new(Request)
	}
	r.Body, r.pooled = req, served && row.pooled
	r.Key, r.Version, r.CorrelationID, r.ClientID, r.Conn, r.frame = h.Key, h.Version, h.CorrelationID, h.ClientID, c, *frame
	if !served {
		r.slot = c.replies.add(false)
		c.server.b.unsupportedApiVersions(r)
		return nil
	}
	r.slot = c.replies.add(row.parks)
	if !c.server.b.isReady() && !isEarly(row, r) {
		c.flush()
		select {
		case <-c.server.b.ready:
		case <-c.ctx.Done():
			return errGone
		}
	}
	return c.serve(row, r)
}

// isEarly reports whether a request is answered before the broker is ready for clients: those of other nodes are. Which
// versions it speaks a client learns when it may use them.
func isEarly(row *handler, r *Request) bool {
	if req, ok := r.Body.(*kmsg.ApiVersionsRequest); ok {
		return req.ClientSoftwareName == peer.SoftwareName
	}
	return row.early
}

// serve calls the handler. A request that makes it panic has found a mistake of ours: it costs the client its connection
// and the others nothing.
func (c *Conn) serve(row *handler, r *Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.b.log.Error("panic in a request's handler", "request", kmsg.NameForKey(r.Key), "version", r.Version,
				"peer", c.net.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in the handler of %s: %v", kmsg.NameForKey(r.Key), p)
		}
	}()
	row.serve(c.server.b, c.ctx, r)
	return nil
}

// decode checks the shape of a request before kmsg allocates for it, and charges the memory it is going to take.
func (c *Conn) decode(row *handler, h wire.RequestHeader, body []byte, frame *wire.Frame) (kmsg.Request, error) {
	var req kmsg.Request
	if row.reused {
		req = c.server.newProducing()
	} else {
		req = row.request()
	}
	req.SetVersion(h.Version)
	if req.IsFlexible() {
		var err error
		if body, err = wire.SkipTags(body); err != nil {
			return nil, err
		}
	}
	if p, ok := req.(*producing); ok {
		return p, p.decode(body, frame)
	}
	if row.private != nil {
		if err := req.ReadFrom(body); err != nil {
			return nil, fmt.Errorf("%w: key %d version %d: %w", wire.ErrShape, h.Key, h.Version, err)
		}
		return req, nil
	}
	size, err := c.server.shapes.Check(h.Key, h.Version, body)
	if err != nil {
		return nil, err
	}
	frame.Charge(size)
	if row.pooled {
		err = req.(kmsg.UnsafeReadFrom).UnsafeReadFrom(body)
	} else {
		err = req.ReadFrom(body)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", wire.ErrShape, kmsg.NameForKey(h.Key), h.Version, err)
	}
	return req, nil
}

func (c *Conn) touch() { c.active.Store(time.Now().UnixNano()) }

func (c *Conn) setSoftware(name, version string) {
	c.software.Store(name + " " + version)
	if l := c.server.b.log; l.Enabled(c.ctx, slog.LevelDebug) {
		l.Debug("client tells its software", "peer", c.net.RemoteAddr().String(), "software", c.Software())
	}
}

// Software is the name and version of the client's library, "" if it did not tell (KIP-511).
func (c *Conn) Software() string {
	s, _ := c.software.Load().(string)
	return s
}

// clientHost is Kafka's form of a peer: Java's InetAddress, a slash and the address.
func clientHost(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		host = a.String()
	}
	host, _, _ = strings.Cut(host, "%")
	return "/" + host
}
