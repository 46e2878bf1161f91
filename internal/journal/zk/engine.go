package zk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gregor/internal/journal"
	"gregor/internal/record"
)

// EngineOptions say who this member of the log is.
type EngineOptions struct {
	NodeID int32
	// Endpoint is "host:port" where this node answers requests for the active controller: its broker's inter-broker
	// listener.
	Endpoint string
	// Directory is the id of a log directory that this process holds the lock of, "" when there is none: a leader with this
	// node's id and this directory is an older process that is dead. Without it, that is known once the broker is registered.
	Directory string
	Logger    *slog.Logger
	Now       func() time.Time
}

// Engine is a journal.Journal in ZooKeeper. One goroutine asks ZooKeeper and calls the handler; everything else leaves
// requests for it in a queue.
type Engine struct {
	c      *Client
	o      EngineOptions
	log    *slog.Logger
	writer string // in head.Writer
	wake   chan struct{}
	done   chan struct{} // closed when the goroutine has ended; nil before Start
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex // guards what follows
	errands   []func(ctx context.Context)
	appends   []proposal
	status    journal.Status
	endpoint  string // of status.Leader
	changed   chan struct{}
	fence     *fence // while this node leads: what every write of it checks
	next      int64  // offset of the next append
	resigning bool   // no append is taken any more
	closed    bool
	failed    error
	onLead    []func()
	goneID    int32 // whose process is known to have ended; -1 when nobody's
	campaigns bool  // Campaign was called

	// What follows belongs to the goroutine.
	handler     journal.Handler
	head        head
	headVersion int32
	position    position
	toldEpoch   int32
	toldLeader  int32
	controller  owner
	yieldUntil  time.Time // after Resign: others come first
}

// fence is what a leader's writes check. It never changes; another election makes another one.
type fence struct {
	s            *session
	epoch        int32
	epochVersion int32 // of controllerEpochPath
}

// proposal is a batch that Append took.
type proposal struct {
	bytes record.Batch
	batch journal.Batch
}

var _ journal.Journal = (*Engine)(nil)

// Open makes the journal of a node. The Client must be closed after it, and by the caller.
func Open(c *Client, o EngineOptions) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NodeID < 0 {
		return nil, fmt.Errorf("zk: node id %d", o.NodeID)
	}
	e := &Engine{
		c: c, o: o, log: o.Logger, writer: c.id, wake: make(chan struct{}, 1), goneID: -1, toldLeader: -1, toldEpoch: -1,
		changed: make(chan struct{}), status: journal.Status{Leader: -1, Epoch: 0}, controller: owner{id: -1},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.engines = append(c.engines, e)
	return e, nil
}

// Start implements journal.Journal.
func (e *Engine) Start(h journal.Handler) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.done != nil {
		return journal.ErrClosed
	}
	e.handler, e.done = h, make(chan struct{})
	go e.run()
	return nil
}

// Append implements journal.Journal.
func (e *Engine) Append(epoch int32, offset, timestampMs int64, values [][]byte) error {
	batch, err := journal.Encode(epoch, offset, timestampMs, values)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.failed != nil:
		return e.failed
	case e.closed:
		return journal.ErrClosed
	case e.fence == nil || e.fence.epoch != epoch || e.resigning:
		return fmt.Errorf("%w: at epoch %d", journal.ErrNotLeader, epoch)
	case offset != e.next:
		return fmt.Errorf("%w: offset %d, the end is %d", journal.ErrUnexpectedOffset, offset, e.next)
	}
	e.next = batch.NextOffset()
	e.status.EndOffset = e.next
	e.appends = append(e.appends, proposal{batch, journal.Batch{
		Offset: offset, LastOffset: batch.LastOffset(), Epoch: epoch, TimestampMs: timestampMs, SizeBytes: len(batch), Values: values,
	}})
	e.signal()
	return nil
}

// Campaign implements journal.Journal. Any member campaigns by itself when nobody leads.
func (e *Engine) Campaign() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.campaigns = true
	e.signal()
}

// PeerGone tells that a node's process has ended. If it leads, this node takes over at once instead of waiting for the
// end of its session. It is safe even if it is wrong, for the one that led cannot write any more.
func (e *Engine) PeerGone(id int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == e.o.NodeID || e.status.Leader != id {
		return
	}
	e.goneID = id
	e.signal()
}

// Status implements journal.Journal.
func (e *Engine) Status() journal.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Endpoint is where a node answers requests for the active controller, as far as it is known: it is that of the leader.
func (e *Engine) Endpoint(id int32) (addr string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id < 0 || id != e.status.Leader || e.endpoint == "" {
		return "", false
	}
	return e.endpoint, true
}

// Close implements journal.Journal. What this node led is free for others when the Client is closed.
func (e *Engine) Close() error {
	e.mu.Lock()
	already := e.closed
	e.closed, e.fence = true, nil
	done := e.done
	e.notify()
	e.mu.Unlock()
	e.cancel()
	if done != nil {
		<-done
	}
	if !already {
		e.c.forget(e)
	}
	return nil
}

// expired comes the moment that a session ends, before the next one begins: who led by it appends nothing any more.
func (e *Engine) expired(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fence != nil && e.fence.s == s {
		e.fence = nil
	}
}

// enqueue leaves an errand for the goroutine. ctx of an errand ends with the engine.
func (e *Engine) enqueue(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.failed != nil || e.done == nil {
		return false
	}
	e.errands = append(e.errands, f)
	e.signal()
	return true
}

// perform runs f on the goroutine and waits for it.
func (e *Engine) perform(ctx context.Context, f func(ctx context.Context) error) error {
	ran := make(chan error, 1)
	if !e.enqueue(func(ctx context.Context) { ran <- f(ctx) }) {
		return journal.ErrClosed
	}
	select {
	case err := <-ran:
		return err
	case <-e.done:
		return journal.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// notify wakes who waits for a change of the status. e.mu is held.
func (e *Engine) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until a condition on what mu guards holds.
func (e *Engine) await(ctx context.Context, holds func() bool) error {
	for {
		e.mu.Lock()
		if holds() {
			e.mu.Unlock()
			return nil
		}
		if e.failed != nil || e.closed {
			err := errors.Join(journal.ErrClosed, e.failed)
			e.mu.Unlock()
			return err
		}
		changed := e.changed
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leading returns the fence of this node's writes, nil when it does not lead.
func (e *Engine) leading() *fence {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fence
}
