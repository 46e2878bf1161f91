package zk

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// elect sees to it that somebody leads, after look: this node follows who does, or tries to become the leader when nobody
// does, or when it may take over. again is when to look once more; 0 when a watch tells.
func (e *Engine) elect(s *session) (again time.Duration, err error) {
	gone := e.takeGone()
	if f := e.leading(); f != nil && f.s == s && e.controller.session == s.id() {
		return 0, nil
	} else if f != nil {
		e.log.Warn("this node leads the metadata log no more", "error", errLost, "controller", e.controller.id)
	}
	e.depose()
	takeOver := int64(0)
	switch {
	case !e.controller.there:
		if wait := time.Until(e.yieldUntil); wait > 0 {
			e.follow(e.head.Epoch, -1, "")
			return wait, nil
		}
	case gone >= 0 && gone == e.controller.id:
		e.log.Info("the controller's process has ended, taking over", "controller", gone)
		takeOver = e.controller.zxid
	case e.controller.session == s.id():
		// Ours, at an epoch that somebody changed since.
	case e.controller.id == e.o.NodeID:
		dead, err := e.isDead(s)
		if err != nil {
			return 0, err
		}
		if !dead {
			e.follow(e.head.Epoch, -1, "")
			return lookAgain, nil
		}
		e.log.Info("an older process of this node led the metadata log, taking over")
		takeOver = e.controller.zxid
	default:
		return 0, e.followController(s)
	}
	return 0, e.campaign(s, takeOver)
}

// lookAgain is how often a node looks whether somebody else who leads under its id is known to be dead meanwhile.
const lookAgain = time.Second

// isDead reports whether the leader, which has this node's id, is known to be dead: this process has its directory, or its
// registration, which a living process would have kept.
func (e *Engine) isDead(s *session) (bool, error) {
	if e.c.hasRegistered(e.o.NodeID) {
		return true, nil
	}
	n, err := s.get(e.ctx, headPath)
	if err != nil {
		return false, e.explain(headPath, err)
	}
	h, err := parseHead(n.data)
	if err != nil {
		return false, corrupt(err)
	}
	return e.o.Directory != "" && h.Directory == e.o.Directory && h.Leader == e.o.NodeID, nil
}

// takeGone returns whose process is known to have ended, once.
func (e *Engine) takeGone() int32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone := e.goneID
	e.goneID = -1
	return gone
}

// followController tells who leads. The head names it too, with its epoch.
func (e *Engine) followController(s *session) error {
	n, err := s.get(e.ctx, headPath)
	if err != nil {
		return e.explain(headPath, err)
	}
	if err := e.catchUp(s, n); err != nil {
		return err
	}
	if e.head.Leader != e.controller.id {
		// It was elected since look, and the watch of that fires; or it is none of ours.
		e.log.Warn("/controller and the head of the metadata log name different controllers", "controller", e.controller.id, "head", e.head.Leader)
		e.follow(e.head.Epoch, -1, "")
		return nil
	}
	e.follow(e.head.Epoch, e.head.Leader, e.head.Endpoint)
	return nil
}

// campaign tries to become the leader. The election is one multi: it makes /controller, raises /controller_epoch and
// writes the head, the last two at the versions that were read. Whoever else does one of these meanwhile has it fail.
// takeOver is the /controller of another node that may be deleted, by the zxid that made it.
func (e *Engine) campaign(s *session, takeOver int64) error {
	tried := int32(-1)
	for {
		epochBefore, epochVersion, err := e.readEpoch(s)
		if err != nil {
			return err
		}
		n, err := s.get(e.ctx, headPath)
		if err != nil {
			return e.explain(headPath, err)
		}
		h, err := parseHead(n.data)
		if err != nil {
			return corrupt(err)
		}
		// After the epoch: if that is the same when the multi is done, nobody was elected since, so the /controller that it
		// deletes is the one that is read now.
		if err := e.lookOnce(s); err != nil {
			return err
		}
		there := e.controller.there
		if tried >= 0 && e.controller.session == s.id() && h.Writer == e.writer && h.Epoch == tried && epochBefore == tried {
			return e.won(s, n, epochVersion) // the answer got lost
		}
		if there && e.controller.session != s.id() && e.controller.zxid != takeOver {
			return e.pressAgain()
		}
		epoch := max(epochBefore, h.Epoch) + 1
		h.Epoch, h.Leader, h.Endpoint, h.Directory, h.Writer = epoch, e.o.NodeID, e.o.Endpoint, e.o.Directory, e.writer
		var o ops
		if there {
			o = append(o, s.delete(controllerPath, e.controller.version))
		}
		o = append(o,
			s.create(controllerPath, controllerJSON(e.o.NodeID, e.o.Now().UnixMilli()), gozk.FlagEphemeral),
			s.set(controllerEpochPath, strconv.AppendInt(nil, int64(epoch), 10), epochVersion),
			s.set(headPath, h.encode(), n.stat.Version))
		results, err := s.try(e.ctx, o)
		switch {
		case err == nil:
			last := len(results) - 1
			n.data, n.stat = h.encode(), results[last].Stat
			return e.won(s, n, results[last-1].Stat.Version)
		case errors.Is(err, gozk.ErrNodeExists), errors.Is(err, gozk.ErrNoNode), errors.Is(err, gozk.ErrBadVersion):
			continue // somebody was quicker
		case answered(err) || ended(err):
			return e.explain(controllerPath, err)
		}
		tried = epoch
		if err := s.await(e.ctx); err != nil {
			return err
		}
	}
}

// pressAgain has the loop look at /controller again, after somebody else was quicker.
func (e *Engine) pressAgain() error {
	e.Campaign()
	return nil
}

// readEpoch reads /controller_epoch, and makes it if it is not there.
func (e *Engine) readEpoch(s *session) (epoch, version int32, err error) {
	for {
		n, err := s.get(e.ctx, controllerEpochPath)
		if err == nil {
			epoch, err := strconv.ParseInt(string(n.data), 10, 32)
			if err != nil || epoch < 0 {
				e.log.Warn("/controller_epoch does not hold an epoch; the head of the metadata log does", "data", string(n.data))
				epoch = 0
			}
			return int32(epoch), n.stat.Version, nil
		}
		if !errors.Is(err, gozk.ErrNoNode) {
			return 0, 0, e.explain(controllerEpochPath, err)
		}
		if err := s.ensure(e.ctx, controllerEpochPath, []byte("0")); err != nil {
			return 0, 0, e.explain(controllerEpochPath, err)
		}
	}
}

// won begins to lead after an election: n is the head that it wrote.
func (e *Engine) won(s *session, n znode, epochVersion int32) error {
	if err := e.catchUp(s, n); err != nil {
		return err
	}
	f := &fence{s: s, epoch: e.head.Epoch, epochVersion: epochVersion}
	if err := e.sweepBehind(f); err != nil {
		return err
	}
	e.mu.Lock()
	if e.closed || s.ended() {
		e.mu.Unlock()
		return errSessionOver
	}
	e.fence, e.appends, e.next, e.resigning = f, nil, e.head.EndOffset, false
	e.status.Leader, e.status.Epoch, e.endpoint, e.status.Voters = e.o.NodeID, f.epoch, e.o.Endpoint, voters(e.o.NodeID)
	e.status.EndOffset = e.next
	tell := e.onLead
	e.notify()
	e.mu.Unlock()
	e.toldEpoch, e.toldLeader = f.epoch, e.o.NodeID
	e.log.Info("this node leads the metadata log", "epoch", f.epoch, "offset", e.head.EndOffset)
	e.handler.Lead(f.epoch, e.head.EndOffset)
	for _, t := range tell {
		t()
	}
	return nil
}

// Resign implements journal.Journal: it deletes /controller, and lets others come first. What was appended is written
// before. Without other brokers it does nothing.
func (e *Engine) Resign(ctx context.Context) error {
	began := false
	err := e.perform(ctx, func(ctx context.Context) (err error) {
		began, err = e.resign(ctx)
		return err
	})
	if err != nil || !began {
		return err
	}
	return e.await(ctx, func() bool { return e.status.Leader >= 0 && e.status.Leader != e.o.NodeID })
}

// yieldFor is for how long a node that resigned leaves the election to others.
const yieldFor = 2 * time.Second

func (e *Engine) resign(ctx context.Context) (began bool, err error) {
	f := e.leading()
	if f == nil {
		return false, nil
	}
	ids, err := f.s.children(ctx, brokerIDsPath)
	if err != nil {
		return false, e.explain(brokerIDsPath, err)
	}
	own := strconv.Itoa(int(e.o.NodeID))
	if !slices.ContainsFunc(ids, func(id string) bool { return id != own }) {
		return false, nil
	}
	e.mu.Lock()
	e.resigning = true
	e.mu.Unlock()
	for err == nil && e.hasAppends() {
		err = e.write(f)
	}
	e.log.Info("handing over the metadata log", "epoch", f.epoch)
	e.yieldUntil = time.Now().Add(yieldFor)
	e.depose()
	if err == nil {
		_, err = f.s.try(ctx, ops{f.check(), f.s.delete(controllerPath, -1)})
	}
	if errors.Is(err, errLost) || errors.Is(err, gozk.ErrNoNode) || errors.Is(err, gozk.ErrBadVersion) {
		err = nil // somebody else saw to it
	}
	e.Campaign() // or, after an error, this node is the one that may go on
	return true, err
}

// check is what every write of a leader begins with.
func (f *fence) check() any { return f.s.check(controllerEpochPath, f.epochVersion) }

func (e *Engine) hasAppends() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.appends) > 0
}
