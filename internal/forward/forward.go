package forward

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gregor/internal/controller"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// DefaultTimeout is how long a request looks for a controller that answers it (Kafka's request.timeout.ms).
	DefaultTimeout = 30 * time.Second

	retryAfter    = 20 * time.Millisecond  // how long a refused request waits before it is tried again
	lookEvery     = 20 * time.Millisecond  // how often it is looked whether the leader is another one, while somebody waits
	appliedWithin = 500 * time.Millisecond // how long an answer waits for the metadata log
	dialTimeout   = 3 * time.Second        // an address that swallows packets must not keep the next leader from being seen
	redialAfter   = 100 * time.Millisecond // after a dial that failed
)

// Controller decides requests; done is called exactly once. A controller that is not active answers NOT_CONTROLLER.
type Controller interface {
	Do(ctx context.Context, from controller.Caller, req kmsg.Request, done func(kmsg.Response))
}

// Options is what a Forwarder is put together from. Leader and Endpoint are required.
type Options struct {
	NodeID int32
	Local  Controller // nil: this node is never the controller
	// Leader is the id of the active controller, -1 while there is none. It is asked often.
	Leader func() int32
	// Endpoint is the "host:port" of a node's controller listener.
	Endpoint func(id int32) (addr string, ok bool)
	// Applied is up to where this node has applied the metadata log: a client that changes something is answered when its own
	// broker knows of it, or a little later. nil: it is answered at once.
	Applied func() int64
	// Gone is told that nobody listens any more where the active controller did: its process has ended, or has not begun.
	// It is for a metadata log whose members do not talk to each other. When the connection to the controller breaks, it is
	// looked for at once, whether or not somebody waits. Gone must not block; it may be told the same again. nil: nobody asks.
	Gone    func(id int32)
	Dial    peer.Dialer
	Timeout time.Duration // 0: DefaultTimeout
	Logger  *slog.Logger
}

// Forwarder takes requests to the active controller.
type Forwarder struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // has room for one signal
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	calls    map[*call]struct{} // all that are not answered
	waiting  []*call            // those of them that are with nobody
	link     *peer.Conn         // to linked; nil for none
	linked   int32
	dialing  int32              // whom; -1: nobody
	giveUp   context.CancelFunc // of the dial
	redialAt time.Time
	missed   bool   // the connection to linked broke: is it still there?
	logged   string // the failure that was logged last, "" after a success
}

// call is one request on its way.
type call struct {
	ctx      context.Context
	from     controller.Caller
	req      kmsg.Request
	done     func(kmsg.Response)
	deadline time.Time
	notYet   time.Time // not to be tried before
}

// New returns a Forwarder that runs until Close.
func New(o Options) *Forwarder {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{o: o, wake: make(chan struct{}, 1), calls: make(map[*call]struct{}), linked: -1, dialing: -1}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Go(f.run)
	return f
}

// Do has the active controller answer a request. done is called exactly once, on any goroutine, and must not block. When no
// controller has answered within the request's own timeout, and at the latest after Options.Timeout, the answer is
// REQUEST_TIMED_OUT; after Close it is NOT_CONTROLLER. Do keeps req: nobody may change it until done was called.
func (f *Forwarder) Do(ctx context.Context, from controller.Caller, req kmsg.Request, done func(kmsg.Response)) {
	now := time.Now()
	c := &call{ctx: ctx, from: from, req: req, done: done, deadline: now.Add(f.timeout(req))}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		done(controller.Refusal(req, kerr.NotController))
		return
	}
	f.calls[c] = struct{}{}
	local := f.isLocal(f.o.Leader())
	if !local {
		f.waiting = append(f.waiting, c)
	}
	f.mu.Unlock()
	if local {
		f.ask(c)
		return
	}
	f.signal()
}

// Close answers every request that waits with NOT_CONTROLLER and waits for the goroutines.
func (f *Forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	f.drop()
	f.mu.Lock()
	var rest []*call
	for c := range f.calls {
		rest = append(rest, c)
	}
	f.mu.Unlock()
	for _, c := range rest {
		f.finish(c, controller.Refusal(c.req, kerr.NotController))
	}
}

// timeout is how long a request may take: what it says itself, if that is less than ours.
func (f *Forwarder) timeout(req kmsg.Request) time.Duration {
	if t, ok := req.(kmsg.TimeoutRequest); ok && t.Timeout() > 0 {
		return min(f.o.Timeout, time.Duration(t.Timeout())*time.Millisecond)
	}
	return f.o.Timeout
}

func (f *Forwarder) isLocal(leader int32) bool { return leader == f.o.NodeID && f.o.Local != nil }

// ask has the controller of this node decide.
func (f *Forwarder) ask(c *call) {
	f.o.Local.Do(c.ctx, c.from, c.req, func(resp kmsg.Response) {
		if controller.IsNotController(resp) {
			f.again(c)
			return
		}
		f.finish(c, resp)
	})
}

// finish answers a call, unless that has been done.
func (f *Forwarder) finish(c *call, resp kmsg.Response) {
	f.mu.Lock()
	_, there := f.calls[c]
	delete(f.calls, c)
	f.mu.Unlock()
	if there {
		c.done(resp)
	}
}

// again has a call wait for its next try.
func (f *Forwarder) again(c *call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.calls[c]; !there {
		return
	}
	c.notYet = time.Now().Add(retryAfter)
	f.waiting = append(f.waiting, c)
	f.signal()
}

func (f *Forwarder) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
