package zk

import (
	"errors"
	"fmt"
	"time"

	"gregor/internal/journal"

	gozk "github.com/go-zookeeper/zk"
)

// owner is what /controller says.
type owner struct {
	there   bool
	id      int32 // -1 when there is none, or when it cannot be read
	session int64
	zxid    int64 // that made it
	version int32
}

// errLost is how a leader learns that it leads no more.
var errLost = errors.New("another controller was elected, or somebody changed its znodes")

// run has the engine take part, in one session after another.
func (e *Engine) run() {
	defer close(e.done)
	defer e.dropErrands()
	for {
		s, err := e.c.live(e.ctx)
		if err != nil {
			return
		}
		err = e.serve(s)
		e.depose()
		switch {
		case e.ctx.Err() != nil || errors.Is(err, ErrClosed):
			return
		case errors.Is(err, errSessionOver):
		case errors.Is(err, journal.ErrCorrupt) || errors.Is(err, errHandler):
			e.fail(err)
			return
		default:
			e.log.Error("the metadata log in ZooKeeper cannot be followed, trying again", "error", err)
			select {
			case <-time.After(retryAfter):
			case <-e.ctx.Done():
				return
			}
		}
	}
}

// retryAfter is how long the engine waits after a refusal of ZooKeeper that should not be, such as one for lack of rights.
const retryAfter = 5 * time.Second

// errHandler wraps what the handler refused.
var errHandler = errors.New("the metadata log was refused")

func (e *Engine) fail(err error) {
	e.mu.Lock()
	e.failed, e.fence = err, nil
	e.notify()
	e.mu.Unlock()
	e.handler.Fail(err)
}

func (e *Engine) dropErrands() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errands = nil // who waits for one waits for done as well
}

// serve takes part during one session. It returns when that is over, or on an error of the log.
func (e *Engine) serve(s *session) error {
	var controller, changes <-chan gozk.Event
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if e.leading() == nil && changes == nil {
			n, err := s.getW(e.ctx, headPath)
			if err != nil {
				return e.explain(headPath, err)
			}
			changes = n.watch
			if err := e.catchUp(s, n); err != nil {
				return err
			}
		}
		if controller == nil {
			watch, err := e.look(s)
			if err != nil {
				return err
			}
			controller = watch
			if next, err := e.elect(s); err != nil {
				return err
			} else if next > 0 {
				timer.Reset(next)
			}
			continue // as a leader, or to read what the new one says
		}
		if err := e.work(); errors.Is(err, errLost) {
			e.log.Warn("this node leads the metadata log no more", "error", err)
			e.depose()
			controller, changes = nil, nil
			continue
		} else if err != nil {
			return err
		}
		select {
		case <-e.wake:
			if e.isPressed() {
				controller = nil
			}
		case <-controller:
			controller = nil
		case <-changes:
			changes = nil
		case <-timer.C:
			controller = nil
		case <-s.over:
			return errSessionOver
		case <-e.ctx.Done():
			return ErrClosed
		}
	}
}

// isPressed reports whether somebody asked for an election.
func (e *Engine) isPressed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	pressed := e.campaigns || e.goneID >= 0
	e.campaigns = false
	return pressed
}

// work runs the errands and, on a leader, writes what was appended.
func (e *Engine) work() error {
	for {
		e.mu.Lock()
		errands := e.errands
		e.errands = nil
		waiting := len(e.appends) > 0 && e.fence != nil
		e.mu.Unlock()
		if len(errands) == 0 && !waiting {
			return nil
		}
		for _, f := range errands {
			f(e.ctx)
		}
		if f := e.leading(); f != nil {
			if err := e.write(f); err != nil {
				return err
			}
		}
	}
}

// look reads /controller and sets a watch on it.
func (e *Engine) look(s *session) (<-chan gozk.Event, error) {
	for {
		n, err := s.getW(e.ctx, controllerPath)
		if err == nil {
			e.controller = owner{true, parseController(n.data), n.stat.EphemeralOwner, n.stat.Czxid, n.stat.Version}
			return n.watch, nil
		}
		if !errors.Is(err, gozk.ErrNoNode) {
			return nil, e.explain(controllerPath, err)
		}
		stat, watch, err := s.existsW(e.ctx, controllerPath)
		if err != nil {
			return nil, e.explain(controllerPath, err)
		}
		if stat == nil {
			e.controller = owner{id: -1}
			return watch, nil
		}
	}
}

// lookOnce is look without a watch.
func (e *Engine) lookOnce(s *session) error {
	n, err := s.get(e.ctx, controllerPath)
	switch {
	case err == nil:
		e.controller = owner{true, parseController(n.data), n.stat.EphemeralOwner, n.stat.Czxid, n.stat.Version}
	case errors.Is(err, gozk.ErrNoNode):
		e.controller = owner{id: -1}
	default:
		return e.explain(controllerPath, err)
	}
	return nil
}

// explain says which znode an error is about. One of ours that is gone takes the log with it.
func (e *Engine) explain(p string, err error) error {
	if ended(err) {
		return err
	}
	if errors.Is(err, gozk.ErrNoNode) && p != controllerPath && p != controllerEpochPath {
		return fmt.Errorf("%w: znode %s is not there; somebody deleted it, or this is not the ZooKeeper that it was", journal.ErrCorrupt, e.c.path(p))
	}
	return fmt.Errorf("znode %s: %w", e.c.path(p), err)
}

// follow tells the handler who leads, if that is news.
func (e *Engine) follow(epoch, leader int32, endpoint string) {
	e.mu.Lock()
	e.status.Leader, e.status.Epoch, e.endpoint = leader, epoch, endpoint
	e.status.Voters = voters(leader)
	e.notify()
	e.mu.Unlock()
	if epoch == e.toldEpoch && leader == e.toldLeader {
		return
	}
	e.toldEpoch, e.toldLeader = epoch, leader
	e.handler.Follow(epoch, leader)
}

func voters(leader int32) []int32 {
	if leader < 0 {
		return nil
	}
	return []int32{leader}
}

// depose ends this node's leadership, if it led: what was appended and has not been written is dropped.
func (e *Engine) depose() {
	e.mu.Lock()
	led := e.toldLeader == e.o.NodeID
	e.fence, e.appends = nil, nil
	e.status.EndOffset = e.status.Committed
	e.mu.Unlock()
	if led {
		e.follow(e.toldEpoch, -1, "")
	}
}
