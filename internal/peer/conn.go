package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	// ErrClosed ends the requests of a connection that was closed on this side.
	ErrClosed = errors.New("connection to the peer is closed")
	// ErrPeerClosed ends the requests of a connection that the peer closed.
	ErrPeerClosed = errors.New("the peer closed the connection")
	// ErrTimeout ends the requests of a connection on which no answer came within Options.Timeout.
	ErrTimeout = errors.New("the peer does not answer")
	// ErrProtocol ends the requests of a connection whose peer sent what no Kafka process sends.
	ErrProtocol = errors.New("the peer does not speak the protocol")
	// ErrUnsupported refuses a request that the peer does not serve in any version known here. The connection goes on.
	ErrUnsupported = errors.New("the peer does not serve this request")
	// ErrBusy refuses a request while maxQueuedBytes wait to be sent. The connection goes on.
	ErrBusy = errors.New("too many requests wait for the peer")
)

const (
	// DefaultTimeout is how long a peer may let a request wait without any response coming (Kafka's request.timeout.ms).
	DefaultTimeout = 30 * time.Second
	// DefaultMaxResponseBytes bounds a response (Kafka's socket.request.max.bytes).
	DefaultMaxResponseBytes = 100 << 20

	maxQueuedBytes = 64 << 20 // encoded requests that the socket has not taken
)

// Dialer opens a connection to "host:port".
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// Options says whom to connect to.
type Options struct {
	Addr     string // "host:port"
	ClientID string
	Dial     Dialer // nil: TCP
	// MaxResponseBytes is up to how large a response may be; 0: DefaultMaxResponseBytes. It takes memory as it arrives.
	MaxResponseBytes int
	// Timeout ends the connection when requests wait and nothing comes for so long; 0: DefaultTimeout. It must be longer
	// than any wait that a request asks for.
	Timeout time.Duration
	Logger  *slog.Logger
}

// Conn is a connection to another node. Its methods may be called on any goroutine.
type Conn struct {
	o        Options
	net      net.Conn
	format   *kmsg.RequestFormatter
	pool     wire.Pool
	versions map[int16]versionRange // what the peer serves; set before anybody else sees the Conn

	direct *direct // nil: only the writer writes; used by who has set writing

	wake chan struct{} // for the writer; has room for one signal
	done chan struct{} // closed when every request has been told of the end
	wg   sync.WaitGroup

	mu      sync.Mutex
	err     error // why it ended; nothing is queued afterwards
	nextID  int32
	out     [][]byte // encoded requests, not yet with the writer
	outSize int      // bytes of out and of what the writer holds
	writing bool     // somebody is at the socket: the writer, or who sends
	pending []pending
}

// pending is a request without its response.
type pending struct {
	id     int32
	resp   kmsg.Response // empty, of the request's version
	pooled bool          // the response's bytes stay in the frame, which goes to done
	done   func(kmsg.Response, *wire.Frame, error)
}

// Dial connects and asks which versions the peer serves. ctx bounds both.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.MaxResponseBytes <= 0 {
		o.MaxResponseBytes = DefaultMaxResponseBytes
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	nc, err := o.Dial(ctx, o.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.Addr, err)
	}
	c := &Conn{
		o: o, net: nc, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(o.ClientID)),
		direct: newDirect(nc), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.wg.Go(c.write)
	c.wg.Go(c.read)
	if err := c.negotiate(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connecting to %s: %w", o.Addr, err)
	}
	return c, nil
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// Addr is where the connection goes, as it was dialed.
func (c *Conn) Addr() string { return c.o.Addr }

// Done is closed when the connection has ended and every request has been told.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil while it goes on.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, tells the requests that wait, and waits until all have been told. It must not be called by
// a done function: see Abort.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	c.wg.Wait()
}

// Abort ends the connection without waiting. A done function may call it.
func (c *Conn) Abort() { c.fail(ErrClosed) }

// Do sends a request and waits for its response. The request gets the highest version that both sides know. When ctx ends
// first, a response that comes later is dropped.
func (c *Conn) Do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return c.await(ctx, func(done func(kmsg.Response, error)) { c.Send(req, done) })
}

func (c *Conn) await(ctx context.Context, send func(done func(kmsg.Response, error))) (kmsg.Response, error) {
	type result struct {
		resp kmsg.Response
		err  error
	}
	ch := make(chan result, 1)
	send(func(resp kmsg.Response, err error) { ch <- result{resp, err} })
	select {
	case r := <-ch:
		return r.resp, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Send queues a request and returns; it does not keep req. done is called exactly once, with the response or with an
// error, and must not block: responses behind it wait. It is called by the connection's reader in the order of the
// requests, or by Send itself when the request cannot be sent.
func (c *Conn) Send(req kmsg.Request, done func(kmsg.Response, error)) {
	c.send(req, false, func(resp kmsg.Response, _ *wire.Frame, err error) { done(resp, err) })
}

// Fetched is a response to Fetch. Its record batches lie in a buffer that is used again after Release.
type Fetched struct {
	*kmsg.FetchResponse
	frame *wire.Frame
}

// Release gives the buffer back. The second call does nothing.
func (f *Fetched) Release() { f.frame.Release() }

// SendFetch is Send for a Fetch, without copying the records.
func (c *Conn) SendFetch(req *kmsg.FetchRequest, done func(*Fetched, error)) {
	c.send(req, true, func(resp kmsg.Response, frame *wire.Frame, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(&Fetched{resp.(*kmsg.FetchResponse), frame}, nil)
	})
}

func (c *Conn) send(req kmsg.Request, pooled bool, done func(kmsg.Response, *wire.Frame, error)) {
	v, err := c.version(req)
	if err != nil {
		done(nil, nil, err)
		return
	}
	req.SetVersion(v)
	c.sendAs(req, pooled, done)
}

// sendAs sends a request in the version it has.
func (c *Conn) sendAs(req kmsg.Request, pooled bool, done func(kmsg.Response, *wire.Frame, error)) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	b := c.format.AppendRequest(c.pool.Get(1 << 10)[:0], req, 0)
	err := c.queue(b, pending{resp: resp, pooled: pooled, done: done})
	if err != nil {
		c.pool.Put(b)
		done(nil, nil, err)
	}
}

// queue has an encoded request sent: by the caller if nobody else is at it and the socket takes it at once, or else by the
// writer, which costs a switch of threads.
func (c *Conn) queue(b []byte, p pending) error {
	c.mu.Lock()
	switch {
	case c.err != nil:
		defer c.mu.Unlock()
		return c.err
	case c.outSize > 0 && c.outSize+len(b) > maxQueuedBytes:
		defer c.mu.Unlock()
		return fmt.Errorf("%w: %s, %d bytes", ErrBusy, c.o.Addr, c.outSize)
	}
	p.id = c.nextID
	c.nextID++
	binary.BigEndian.PutUint32(b[8:], uint32(p.id)) // behind length, key and version
	c.outSize += len(b)
	c.pending = append(c.pending, p)
	if len(c.pending) == 1 {
		_ = c.net.SetReadDeadline(time.Now().Add(c.o.Timeout))
	}
	if c.direct == nil || c.writing || len(c.out) > 0 {
		c.out = append(c.out, b)
		c.mu.Unlock()
		c.wakeWriter()
		return nil
	}
	c.writing = true
	c.mu.Unlock()
	n := c.direct.try(b)
	c.mu.Lock()
	c.writing = false
	c.outSize -= n
	if n < len(b) && c.err == nil {
		c.out = slices.Insert(c.out, 0, b[n:])
	}
	more := len(c.out) > 0
	c.mu.Unlock()
	if n == len(b) {
		c.pool.Put(b)
	}
	if more {
		c.wakeWriter()
	}
	return nil
}

func (c *Conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fail ends the connection; the reader tells the requests.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		c.out = nil
	}
	c.mu.Unlock()
	if !first {
		return
	}
	_ = c.net.Close()
	c.wakeWriter()
}
