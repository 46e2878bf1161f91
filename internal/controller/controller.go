package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Caller is on whose behalf a request is made.
type Caller struct {
	Principal  string
	ClientID   string
	ClientHost string
	Listener   string
}

// Options is what a Controller is put together from. All fields but Bootstrap, Logger, Now, OnFail, OnActive
// and OnLeader are required.
type Options struct {
	NodeID    int32
	ClusterID string
	Journal   journal.Journal // belongs to the controller from now on, which closes it
	Config    *config.Live
	// Bootstrap is what the first leader writes into an empty log; nil is BootstrapRecords().
	Bootstrap []metadata.Versioned
	Logger    *slog.Logger
	Now       func() time.Time
	// Random gives a number in [0, n); nil is rand.IntN.
	Random func(n int) int
	// Stepped says that there are no goroutines: somebody calls Step, StepLoader and Tick. The simulation does.
	Stepped bool
	// OnFail is told once when the metadata log cannot go on, because of the disk or of damage.
	OnFail func(error)
	// OnActive is told each time this node has become the active controller, with what is committed then. A new active
	// controller knows of nobody when he was last heard of, so the shell looks who is still there, and tells by Lost. It
	// must not block.
	OnActive func(*metadata.Image)
	// OnLeader is told each time another node has become the active controller. It must not block.
	OnLeader func()
}

// Controller follows the metadata log and, while its journal leads, decides what is written to it.
type Controller struct {
	o      Options
	loader *loader
	wake   chan struct{} // has room for one signal
	done   chan struct{}
	active chan struct{} // closed when this node led for the first time
	leader atomic.Int32

	asking sync.WaitGroup // requests that the journal answers

	mu     sync.Mutex // guards what follows; nobody holds it while deciding
	queue  []event
	closed bool
	failed error

	// What follows belongs to the goroutine.
	machine *machine // nil while this node does not lead
	ticking bool     // there was a machine after the last turn
	stopped bool
	epoch   int32
	waiting []waiting // replies, in the order of their offsets
	known   int64     // last offset that the publishers were told of
}

// event is one thing for the goroutine: a request, or something to do.
type event struct {
	from Caller
	req  kmsg.Request
	done func(kmsg.Response)
	do   func()
}

// waiting is a reply that goes when an offset is committed.
type waiting struct {
	offset int64
	event
	reply kmsg.Response
}

// Open starts the journal, and has it campaign if this node is the only voter. The controller is not active until its journal leads: see WaitActive.
func Open(ctx context.Context, o Options) (*Controller, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.IntN
	}
	if o.Bootstrap == nil {
		o.Bootstrap = BootstrapRecords()
	}
	c := &Controller{o: o, wake: make(chan struct{}, 1), done: make(chan struct{}), active: make(chan struct{}), known: -1}
	c.leader.Store(-1)
	c.loader = newLoader(o.ClusterID, o.Logger)
	c.loader.stepped = o.Stepped
	c.loader.onImage = func(image *metadata.Image) { c.enqueue(event{do: func() { c.settle(image.Offset()) }}) }
	c.loader.onLead = func(epoch int32, next int64, image *metadata.Image, inTxn bool) {
		c.enqueue(event{do: func() { c.lead(epoch, next, image, inTxn) }})
	}
	c.loader.onFollow = func(epoch, leader int32) { c.enqueue(event{do: func() { c.follow(leader) }}) }
	c.loader.onFail = c.fail
	saving, cancel := context.WithCancel(context.Background())
	c.loader.saver = saver{journal: o.Journal, config: o.Config, log: o.Logger, now: o.Now, stepped: o.Stepped, ctx: saving, cancel: cancel}
	if err := o.Journal.Start(c.loader); err != nil {
		cancel()
		return nil, err
	}
	if !o.Stepped {
		go c.loader.run()
		go c.run()
	}
	o.Journal.Campaign() // a voter that is alone leads at once, and several that start together do not wait for a timeout
	return c, nil
}

// WaitActive returns when this node is the active controller and the first records are in the log.
func (c *Controller) WaitActive(ctx context.Context) error {
	select {
	case <-c.active:
		return nil
	case <-c.done:
		return c.whyEnded()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Controller) whyEnded() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	return journal.ErrClosed
}

// Do asks the active controller. done is called exactly once, on any goroutine, when the outcome is durable and the
// publishers of this node know of it; it must not block. While this node is not the active controller every request is
// answered with NOT_CONTROLLER. Do keeps req: nobody may change it until done was called.
func (c *Controller) Do(ctx context.Context, from Caller, req kmsg.Request, done func(kmsg.Response)) {
	if c.quorum(ctx, req, done) {
		return
	}
	if !c.enqueue(event{from: from, req: req, done: done}) {
		done(notController(req))
	}
}

// Lost tells that the process of a broker has ended: nobody listens where it did. It is fenced now, not when its session
// ends, unless it has registered again since: epoch is the one that the lost process had. While this node is not the
// active controller nothing happens.
func (c *Controller) Lost(broker int32, epoch int64) {
	c.enqueue(event{do: func() {
		if c.machine != nil {
			c.decide(event{}, c.machine.lost(c.env(), broker, epoch))
		}
	}})
}

// Active reports whether this node is the active controller. It may have been deposed already without knowing.
func (c *Controller) Active() bool { return c.leader.Load() == c.o.NodeID }

// Image is the newest image that all publishers have been told of.
func (c *Controller) Image() *metadata.Image { return c.loader.image.Load() }

// AddPublisher lets p follow the metadata: it gets one delta from the empty image to the newest before AddPublisher
// returns, and then every step. A publisher must not wait for a reply of Do.
func (c *Controller) AddPublisher(ctx context.Context, p metadata.Publisher) error {
	return c.loader.do(ctx, func() error { return c.loader.addPublisher(p) })
}

// Leader is the id of the active controller, -1 when there is none.
func (c *Controller) Leader() int32 { return c.leader.Load() }

// Status tells where the metadata log stands.
func (c *Controller) Status() journal.Status { return c.o.Journal.Status() }

// Close ends the controller and its journal. Requests that wait are answered with NOT_CONTROLLER; what they asked for
// may have been done all the same.
func (c *Controller) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	if c.o.Stepped {
		c.Step()
	}
	<-c.done
	err := c.o.Journal.Close()
	c.asking.Wait()
	c.loader.close()
	return err
}

// fail ends the controller for good; the node is told.
func (c *Controller) fail(err error) {
	c.mu.Lock()
	first := c.failed == nil && !c.closed
	if first {
		c.failed, c.closed = fmt.Errorf("the metadata log cannot go on: %w", err), true
	}
	c.mu.Unlock()
	if !first {
		return
	}
	c.o.Logger.Error("the metadata log cannot go on", "error", err)
	c.signal()
	if c.o.OnFail != nil {
		c.o.OnFail(err)
	}
}

func (c *Controller) enqueue(e event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.queue = append(c.queue, e)
	c.signal()
	return true
}

func (c *Controller) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
