package broker

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/config"
	"gregor/internal/wire"
)

// limits are the connection settings in force; they change with the configuration.
type limits struct {
	requestMaxBytes int           // socket.request.max.bytes
	queuedMaxBytes  int64         // queued.max.request.bytes, -1 none
	idle            time.Duration // connections.max.idle.ms
	frameGrace      time.Duration // see hurry
	maxConns        int           // max.connections
	maxPerIP        int           // max.connections.per.ip
	perIP           map[string]int
	sendBuffer      int // socket.send.buffer.bytes, -1 the system's
	receiveBuffer   int // socket.receive.buffer.bytes, -1 the system's
}

// server owns the listeners and connections of a broker.
type server struct {
	b    *Broker
	pool wire.Pool
	// producing is Produce requests to be used again.
	producing sync.Pool
	shapes    *wire.Shapes
	limits    atomic.Pointer[limits]
	budget    *budget

	unsubscribe func()

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // connection goroutines, the janitor, and what handlers start by [Broker.start]

	mu        sync.Mutex
	closing   bool
	tidying   bool // the janitor runs
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	byIP      map[string]int
	workers   workers
}

func newServer(b *Broker) *server {
	s := &server{
		b: b, shapes: wire.NewShapes(),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*Conn]struct{}), byIP: make(map[string]int),
		workers: workers{next: make(chan task, maxIdleWorkers)},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.budget = newBudget(-1)
	s.configure(b.config.Load())
	s.unsubscribe = b.config.Subscribe(func(_, v *config.Values) { s.configure(v) })
	return s
}

func (s *server) configure(v *config.Values) {
	l := &limits{
		requestMaxBytes: v.Int("socket.request.max.bytes"),
		queuedMaxBytes:  v.Int64("queued.max.request.bytes"),
		idle:            v.Millis("connections.max.idle.ms"),
		frameGrace:      frameGrace,
		maxConns:        v.Int("max.connections"),
		maxPerIP:        v.Int("max.connections.per.ip"),
		perIP:           perIPOverrides(v.String("max.connections.per.ip.overrides")),
		sendBuffer:      v.Int("socket.send.buffer.bytes"),
		receiveBuffer:   receiveBuffer(v),
	}
	s.limits.Store(l)
	s.b.fetchMaxBytes.Store(v.Int32("fetch.max.bytes"))
	s.budget.resize(l.queuedMaxBytes)
}

// receiveBuffer is socket.receive.buffer.bytes if somebody has set it. Kafka's default of 100 KB is too small for a large batch:
// the reader wakes up several times for one, which costs a tenth of the processor; left alone, the system finds the size.
func receiveBuffer(v *config.Values) int {
	const key = "socket.receive.buffer.bytes"
	if v.Source(key) == config.SourceDefault {
		return -1
	}
	return v.Int(key)
}

// serve accepts connections until the listener fails or the server closes.
func (s *server) serve(name string, l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	var backoff time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Out of descriptors or a connection that was gone at once: neither ends the listener.
			if !isTemporary(err) {
				return err
			}
			backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
			s.b.log.Warn("cannot accept a connection", "listener", name, "error", err.Error(), "retry", backoff.String())
			select {
			case <-time.After(backoff):
			case <-s.ctx.Done():
			}
			continue
		}
		backoff = 0
		s.accept(name, nc)
	}
}

func (s *server) accept(name string, nc net.Conn) {
	l := s.limits.Load()
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetNoDelay(true)
		_ = tc.SetKeepAlive(true)
		if l.sendBuffer > 0 {
			_ = tc.SetWriteBuffer(l.sendBuffer)
		}
		if l.receiveBuffer > 0 {
			_ = tc.SetReadBuffer(l.receiveBuffer)
		}
	}
	c := &Conn{server: s, net: nc, host: clientHost(nc.RemoteAddr()), listener: name}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.replies.init(&s.pool)
	c.out = newProgressConn(nc, func() time.Duration { return s.limits.Load().idle })
	c.touch()
	if why := s.admit(c, l); why != "" {
		s.b.log.Warn("refusing connection", "peer", nc.RemoteAddr().String(), "listener", name, "reason", why)
		c.cancel()
		_ = nc.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		defer s.forget(c)
		c.read()
	}()
}

// admit counts the connection, or says why it is one too many.
func (s *server) admit(c *Conn, l *limits) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	perIP := l.maxPerIP
	if n, ok := l.perIP[c.host[1:]]; ok {
		perIP = n
	}
	switch {
	case s.closing:
		return "shutting down"
	case len(s.conns) >= l.maxConns:
		return "max.connections is reached"
	case s.byIP[c.host] >= perIP:
		return "max.connections.per.ip is reached"
	}
	if !s.tidying {
		s.tidying = true
		s.wg.Go(s.janitor)
	}
	s.conns[c] = struct{}{}
	s.byIP[c.host]++
	s.wg.Add(1)
	return ""
}

func (s *server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.byIP[c.host]--; s.byIP[c.host] == 0 {
		delete(s.byIP, c.host)
	}
}

func (s *server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
