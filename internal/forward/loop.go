package forward

import (
	"context"
	"errors"
	"slices"
	"time"

	"gregor/internal/controller"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// run is the goroutine that gives waiting calls to who leads. While a call is on its way it looks who that is: one that
// hangs at a controller which has been deposed since is taken to the next one.
func (f *Forwarder) run() {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	ticking := true
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.wake:
		case <-look.C:
		}
		busy := f.step()
		if busy != ticking {
			if ticking = busy; busy {
				look.Reset(lookEvery)
			} else {
				look.Stop()
			}
		}
	}
}

// step does what can be done now, and reports whether any call is left.
func (f *Forwarder) step() bool {
	now, leader := time.Now(), f.o.Leader()
	f.mu.Lock()
	var late, ready []*call
	for c := range f.calls {
		if now.After(c.deadline) || c.ctx.Err() != nil {
			late = append(late, c)
			delete(f.calls, c)
		}
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(c *call) bool { _, there := f.calls[c]; return !there })
	var old *peer.Conn
	if f.link != nil && f.linked != leader && leader >= 0 {
		old, f.link = f.link, nil
	}
	local := f.isLocal(leader)
	if f.link != nil || leader != f.linked {
		f.missed = false
	}
	if local || f.link != nil {
		f.waiting = slices.DeleteFunc(f.waiting, func(c *call) bool {
			if now.Before(c.notYet) {
				return false
			}
			ready = append(ready, c)
			return true
		})
	} else if leader >= 0 && (f.missed || len(f.waiting) > 0) && f.dialing < 0 && !now.Before(f.redialAt) {
		ctx, cancel := context.WithTimeout(f.ctx, dialTimeout)
		f.dialing, f.giveUp = leader, cancel
		f.wg.Go(func() { f.dial(ctx, leader) })
	} else if leader >= 0 && f.dialing >= 0 && f.dialing != leader {
		f.giveUp() // its host may swallow every packet
	}
	link, busy := f.link, f.missed || len(f.calls) > 0
	f.mu.Unlock()

	if old != nil {
		f.o.Logger.Debug("the active controller is another one", "leader", leader)
		old.Abort() // its calls come back by again
	}
	for _, c := range late {
		c.done(controller.Refusal(c.req, kerr.RequestTimedOut))
	}
	for _, c := range ready {
		if local {
			f.ask(c)
		} else {
			f.send(link, c)
		}
	}
	return busy
}

// dial connects to a leader.
func (f *Forwarder) dial(ctx context.Context, leader int32) {
	addr, ok := f.o.Endpoint(leader)
	var conn *peer.Conn
	err := errors.New("its controller listener is not known")
	if ok {
		conn, err = peer.Dial(ctx, peer.Options{Addr: addr, ClientID: clientID, Dial: f.o.Dial, Logger: f.o.Logger})
	}
	f.mu.Lock()
	gaveUp := errors.Is(ctx.Err(), context.Canceled)
	f.giveUp()
	f.dialing, f.giveUp = -1, nil
	if err == nil && f.closed {
		f.mu.Unlock()
		conn.Close()
		return
	}
	if err != nil {
		if !gaveUp {
			f.redialAt = time.Now().Add(redialAfter)
		}
		if f.ctx.Err() == nil && !gaveUp && f.logged != err.Error() {
			f.logged = err.Error()
			f.o.Logger.Warn("the active controller cannot be reached", "controller", leader, "address", addr, "error", err.Error(), "retry", redialAfter.String())
		}
	} else {
		f.link, f.linked, f.logged = conn, leader, ""
		f.wg.Go(func() { f.watch(conn) })
	}
	f.mu.Unlock()
	if f.o.Gone != nil && peer.IsRefused(err) {
		f.o.Gone(leader)
	}
	f.signal()
}

// watch forgets a connection that has ended.
func (f *Forwarder) watch(conn *peer.Conn) {
	select {
	case <-conn.Done():
	case <-f.ctx.Done():
		return
	}
	conn.Close()
	f.mu.Lock()
	if f.link == conn {
		f.link = nil
		f.missed = f.o.Gone != nil
	}
	f.mu.Unlock()
	f.signal()
}

// drop closes the connection.
func (f *Forwarder) drop() {
	f.mu.Lock()
	link := f.link
	f.link = nil
	f.mu.Unlock()
	if link != nil {
		link.Close()
	}
}

// disown has no further call go over a connection.
func (f *Forwarder) disown(conn *peer.Conn) {
	f.mu.Lock()
	if f.link == conn {
		f.link = nil
		f.missed = f.o.Gone != nil
	}
	f.mu.Unlock()
	conn.Abort()
}

// send gives a call to a remote controller.
func (f *Forwarder) send(conn *peer.Conn, c *call) {
	if own(c.req) {
		conn.Send(c.req, func(resp kmsg.Response, err error) { f.answered(conn, c, resp, err) })
		return
	}
	conn.Send(wrap(c.from, c.req), func(resp kmsg.Response, err error) {
		offset := int64(-1)
		if err == nil {
			e := resp.(*kmsg.EnvelopeResponse)
			offset = offsetOf(e)
			resp, err = unwrap(c.req, e)
		}
		if err != nil || f.o.Applied == nil || f.o.Applied() >= offset || !f.later(func() {
			f.awaitApplied(c.ctx, offset)
			f.answered(conn, c, resp, nil)
		}) {
			f.answered(conn, c, resp, err)
		}
	})
}

// later runs on a goroutine that Close waits for; not after Close.
func (f *Forwarder) later(do func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.wg.Go(do)
	}
	return !f.closed
}

// awaitApplied returns when this node has applied the metadata log up to an offset, or will not in time.
func (f *Forwarder) awaitApplied(ctx context.Context, offset int64) {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for f.o.Applied() < offset {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		case <-f.ctx.Done():
			return
		}
	}
}

// answered takes what came back for a call.
func (f *Forwarder) answered(conn *peer.Conn, c *call, resp kmsg.Response, err error) {
	switch refusal := (*kerr.Error)(nil); {
	case errors.Is(err, peer.ErrUnsupported):
		f.finish(c, controller.Refusal(c.req, kerr.UnsupportedVersion))
	case errors.As(err, &refusal) && refusal != kerr.NotController:
		f.finish(c, controller.Refusal(c.req, refusal))
	case errors.Is(err, peer.ErrBusy):
		f.again(c)
	case err != nil && refusal == nil: // the connection has ended, or should
		f.disown(conn)
		f.again(c)
	case err != nil || controller.IsNotController(resp):
		f.again(c)
	default:
		f.finish(c, resp)
	}
}
