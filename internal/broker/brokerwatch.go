package broker

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"gregor/internal/metadata"
	"gregor/internal/peer"
)

// probeDelays is when a broker whose connection broke is looked for. A process that is being killed loses its connections
// a little before its listeners, so one that still takes a connection is asked again.
var probeDelays = []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}

const (
	probeTimeout = time.Second
	maxProbes    = 64 // at the same time
)

// brokerWatch notices brokers whose process has ended, without waiting for the end of their session: the connection that
// carried a broker's heartbeats breaks, and where the broker listened nobody does any more. Everything else, such as a
// host that does not answer or a process that stands still, is left to the session: only a refusal is proof.
type brokerWatch struct {
	self        int32 // this process does not end without its controller
	server      *server
	image       func() *metadata.Image
	active      func() bool
	lost        func(broker int32, epoch int64)
	dial        peer.Dialer
	interBroker string
	log         *slog.Logger

	mu       sync.Mutex
	carriers map[int32]*Conn // the connection that a broker was last heard of on
}

// heard notes that a broker speaks for its registration on a connection.
func (w *brokerWatch) heard(c *Conn, broker int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.carriers[broker] == c || c.ctx.Err() != nil || !w.active() {
		return
	}
	w.carriers[broker] = c
	context.AfterFunc(c.ctx, func() { w.broken(c, broker) })
}

// broken looks for a broker whose connection is gone, unless there is a newer one.
func (w *brokerWatch) broken(c *Conn, broker int32) {
	w.mu.Lock()
	mine := w.carriers[broker] == c
	if mine {
		delete(w.carriers, broker)
	}
	w.mu.Unlock()
	if !mine || !w.active() || w.server.isClosing() {
		return
	}
	if b := w.image().Broker(broker); b != nil {
		w.server.start(func() { w.probe(b) })
	}
}

// all looks for all brokers that are not fenced.
func (w *brokerWatch) all(image *metadata.Image) {
	slots := make(chan struct{}, maxProbes)
	w.server.start(func() {
		var probes sync.WaitGroup
		defer probes.Wait()
		for b := range image.Brokers() {
			if b.Fenced || b.ID == w.self {
				continue
			}
			slots <- struct{}{}
			probes.Go(func() {
				w.probe(b)
				<-slots
			})
		}
	})
}

// probe finds out whether a broker's process has ended, and tells the controller.
func (w *brokerWatch) probe(b *metadata.Broker) {
	e, ok := b.Endpoint(w.interBroker)
	if !ok {
		if len(b.Endpoints) == 0 {
			return
		}
		e = b.Endpoints[0]
	}
	addr := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	for _, delay := range probeDelays {
		select {
		case <-time.After(delay):
		case <-w.server.ctx.Done():
			return
		}
		if !w.active() || w.isCarried(b.ID) || w.server.isClosing() {
			return
		}
		if now := w.image().Broker(b.ID); now == nil || now.Fenced || now.Epoch != b.Epoch {
			return
		}
		switch err := w.knock(addr); {
		case peer.IsRefused(err):
			w.log.Warn("broker's process has ended: its connection broke and nobody listens at its address", "broker", b.ID, "address", addr)
			w.lost(b.ID, b.Epoch)
			return
		case err != nil:
			w.log.Info("broker cannot be reached; its session decides", "broker", b.ID, "address", addr, "error", err.Error())
			return
		}
	}
}

func (w *brokerWatch) isCarried(broker int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.carriers[broker] != nil
}

func (w *brokerWatch) knock(addr string) error {
	ctx, cancel := context.WithTimeout(w.server.ctx, probeTimeout)
	defer cancel()
	dial := w.dial
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	c, err := dial(ctx, addr)
	if err == nil {
		_ = c.Close()
	}
	return err
}
