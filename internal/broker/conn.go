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

// read is the reader goroutine: frames in, handlers called in order.
func (c *Conn) read() {
	budget := &connBudget{conn: c}
	frames := wire.NewFrameReader(c.net, &c.server.pool, budget)
	for !c.draining.Load() {
		err := frames.Wait()
		var frame *wire.Frame
		if err == nil {
			// A frame that has begun must end in reasonable time, or half a frame would hold memory for ever.
			l := c.server.limits.Load()
			_ = c.net.SetReadDeadline(time.Now().Add(l.idle))
			if c.draining.Load() {
				return
			}
			frame, err = frames.Read(l.requestMaxBytes)
		}
		if c.draining.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			c.ended(err)
			return
		}
		_ = c.net.SetReadDeadline(time.Time{})
		c.touch()
		if err := c.dispatch(frame); err != nil {
			c.ended(err)
			return
		}
		if !c.replies.waitForRoom() {
			c.close("closed")
			return
		}
	}
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
	h, body, err := wire.ReadRequestHeader(frame.Bytes)
	if err != nil {
		frame.Release()
		return err
	}
	row := c.server.b.table.find(h.Key)
	r := &Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: h.ClientID,
		Conn: c, Arrived: c.server.b.now(), frame: frame, pooled: row != nil && row.pooled, parks: row != nil && row.parks,
	}
	if row == nil || h.Version < row.min || h.Version > row.max {
		if h.Key == wire.ApiVersionsKey {
			r.slot = c.replies.add(r)
			c.server.b.unsupportedApiVersions(r)
			return nil
		}
		frame.Release()
		return fmt.Errorf("unsupported request: key %d (%s) version %d", h.Key, kmsg.NameForKey(h.Key), h.Version)
	}
	if r.Body, err = c.decode(row, h, body, frame); err != nil {
		frame.Release()
		return err
	}
	r.slot = c.replies.add(r)
	if !c.server.b.isReady() && !isEarly(row, r) {
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
	req := row.request()
	req.SetVersion(h.Version)
	if req.IsFlexible() {
		var err error
		if body, err = wire.SkipTags(body); err != nil {
			return nil, err
		}
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
