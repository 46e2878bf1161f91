package node

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"gregor/internal/peer"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	greeterConns      = 256              // at the same time; a quorum has a handful of nodes, a cluster's brokers ask too
	greeterFrame      = 4 << 10          // Hello and ApiVersions are small
	greeterTimeout    = 10 * time.Second // for the next request of a connection
	greeterAPIVersion = 4                // the highest version of ApiVersions
)

// greeter answers Hello on the controllers' listeners while the node does not know yet which cluster it belongs to. It
// knows nothing else: whoever asks for more is cut off and comes again, when the controller's own server has taken over.
type greeter struct {
	who func() peer.Identity

	accepting sync.WaitGroup
	talking   sync.WaitGroup
	listeners []net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func greet(listeners []*bound, who func() peer.Identity) *greeter {
	g := &greeter{who: who, conns: map[net.Conn]struct{}{}}
	for _, b := range listeners {
		g.listeners = append(g.listeners, b.net)
		g.accepting.Go(func() { g.accept(b.net) })
	}
	return g
}

// stop ends all connections and gives the listeners back, open. The second call does nothing.
func (g *greeter) stop() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.closed = true
	g.mu.Unlock()
	for _, l := range g.listeners {
		setDeadline(l, time.Unix(1, 0)) // ends Accept
	}
	g.accepting.Wait()
	for _, l := range g.listeners {
		setDeadline(l, time.Time{})
	}
	g.mu.Lock()
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.talking.Wait()
}

func setDeadline(l net.Listener, t time.Time) {
	if tl, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		_ = tl.SetDeadline(t)
	}
}

func (g *greeter) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			time.Sleep(5 * time.Millisecond) // out of descriptors, say
			continue
		}
		g.mu.Lock()
		if g.closed || len(g.conns) >= greeterConns {
			g.mu.Unlock()
			_ = c.Close()
			continue
		}
		g.conns[c] = struct{}{}
		g.talking.Go(func() { g.talk(c) })
		g.mu.Unlock()
	}
}

func (g *greeter) talk(c net.Conn) {
	defer func() {
		g.mu.Lock()
		delete(g.conns, c)
		g.mu.Unlock()
		_ = c.Close()
	}()
	var pool wire.Pool
	frames := wire.NewFrameReader(c, &pool, nil)
	for {
		_ = c.SetDeadline(time.Now().Add(greeterTimeout))
		f, err := frames.Read(greeterFrame)
		if err != nil {
			return
		}
		answer := g.answer(f.Bytes)
		f.Release()
		if answer == nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// answer is nil for what cannot be answered yet.
func (g *greeter) answer(frame []byte) []byte {
	h, body, err := wire.ReadRequestHeader(frame)
	if err != nil {
		return nil
	}
	var resp kmsg.Response
	switch {
	case h.Key == peer.HelloKey && h.Version == 0:
		var req peer.HelloRequest
		if req.ReadFrom(body) != nil {
			return nil
		}
		resp = &peer.HelloResponse{Identity: g.who()}
	case h.Key == wire.ApiVersionsKey:
		r := kmsg.NewPtrApiVersionsResponse()
		if h.Version < 0 || h.Version > greeterAPIVersion {
			r.ErrorCode = kerr.UnsupportedVersion.Code // answered in version 0 (KIP-511)
		} else {
			r.SetVersion(h.Version)
		}
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MaxVersion = wire.ApiVersionsKey, greeterAPIVersion
		r.ApiKeys = append(r.ApiKeys, key)
		resp = r
	default:
		return nil
	}
	return wire.AppendResponse(nil, h.CorrelationID, resp)
}
