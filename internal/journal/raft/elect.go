package raft

import (
	"context"
	"errors"
	"slices"

	"gregor/internal/journal"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// hurry is an election that does not wait for the election timeout: at the start, and when the leader's process has
// ended. The voters take turns, a tick each, so that two seldom split the votes, and the next one comes when the log of
// the first is too old. It is harmless when it is wrong: a pre-vote does not disturb a leader that others hear of.
type hurry struct {
	left int // ticks
	turn int // ticks since it began
	rank int // of this node among who may lead
	of   int
}

// Campaign implements journal.Journal.
func (e *Engine) Campaign() {
	e.enqueue(func() error {
		if e.alone() {
			return e.node.Campaign()
		}
		e.hasten(-1)
		return nil
	})
}

// PeerGone tells that a voter's process has ended: its connection broke, and nobody listens where it did. If it led, the
// others elect another at once.
func (e *Engine) PeerGone(id int32) {
	e.enqueue(func() error {
		e.node.ReportUnreachable(raftID(id))
		if e.leader != id || e.isMe {
			return nil
		}
		e.o.Logger.Info("the leader of the metadata log has ended", "leader", id, "epoch", e.quorum.LeaderEpoch)
		if err := e.node.ForgetLeader(); err != nil {
			return err
		}
		e.hasten(id)
		return nil
	})
}

// hasten begins a hurry. gone is who cannot lead, or -1.
func (e *Engine) hasten(gone int32) {
	ids := slices.DeleteFunc(e.voters.ids(), func(id int32) bool { return id == gone })
	rank := slices.Index(ids, e.o.NodeID)
	if rank < 0 {
		return
	}
	e.hurry = hurry{left: 2 * electionTicks, rank: rank, of: len(ids)}
	if rank == 0 {
		e.campaign()
	}
}

// yield lets another voter that begins an election have its time, so that they do not depose each other.
func (e *Engine) yield(m *pb.Message) {
	if t := m.GetType(); t == pb.MsgVote || t == pb.MsgPreVote {
		e.hurry.turn = 0
	}
}

func (e *Engine) tickHurry() {
	h := &e.hurry
	if h.left == 0 {
		return
	}
	h.left--
	h.turn++
	if e.node.BasicStatus().Lead != 0 {
		h.left = 0
	} else if h.turn%h.of == h.rank {
		e.campaign()
	}
}

// campaignAlone lets the only voter lead again that somebody deposed who does not know that it is the only one.
func (e *Engine) campaignAlone() error {
	if s := e.node.BasicStatus(); s.RaftState == etcd.StateLeader {
		return nil
	}
	return e.node.Campaign()
}

// campaign begins an election, unless there is a leader or this node is about to be one.
func (e *Engine) campaign() {
	s := e.node.BasicStatus()
	if e.join != nil || e.voters.find(e.o.NodeID) == nil || s.Lead != 0 || s.RaftState == etcd.StateLeader || s.RaftState == etcd.StateCandidate {
		return
	}
	if err := e.node.Campaign(); err != nil {
		e.o.Logger.Debug("no election", "error", err)
	}
}

// peerUp tells that a voter can be reached (again). What it missed meanwhile it gets sooner than with the next tick.
func (e *Engine) peerUp(id int32) {
	e.enqueue(func() error {
		if e.asking() {
			return e.askEpochs()
		}
		if e.hurry.left > 0 && e.hurry.rank == 0 {
			e.campaign()
		}
		return nil
	})
}

// leftOutBy takes note that another voter has a committed change of the voters, at an offset, which leaves this node out.
// A newer one of ours may have brought it back.
func (e *Engine) leftOutBy(id int32, offset int64) {
	e.enqueue(func() error {
		if v := e.voters.find(e.o.NodeID); v == nil || e.voters.version == 0 || offset > e.voters.offset {
			e.removed(id)
		}
		return nil
	})
}

func (e *Engine) removed(by int32) {
	if e.wasRemoved {
		return
	}
	e.wasRemoved = true
	if e.join != nil {
		e.o.Logger.Warn("the quorum knows this voter by the directory id of another disk: remove that voter and add this one (kafka-metadata-quorum remove-controller, add-controller); it follows as an observer meanwhile",
			"by", by, "directory_id", directoryText(e.o.DirectoryID))
	} else {
		e.o.Logger.Info("this node is no voter any more and follows as an observer", "by", by, "epoch", e.quorum.LeaderEpoch)
	}
	if e.o.Removed != nil {
		e.o.Removed()
	}
}

// leadAgain follows a step down that a joining voter asked for: the others, which have heard nothing of it, elect this
// node again at once. It is the way in which leadership is handed over, which does not ask for pre-votes.
func (e *Engine) leadAgain() {
	e.o.Logger.Info("a voter joins: electing anew", "epoch", e.node.BasicStatus().GetTerm())
	_ = e.node.Step(&pb.Message{Type: new(pb.MsgTimeoutNow), From: new(raftID(e.o.NodeID)), To: new(raftID(e.o.NodeID))})
}

// Tick tells that a tenth of the election timeout has passed. It is for an engine that is Stepped.
func (e *Engine) Tick() { e.enqueue(e.tick) }

func (e *Engine) tick() error {
	if e.join != nil {
		return e.tickJoining()
	}
	if e.alone() {
		return e.campaignAlone()
	}
	if e.voters.find(e.o.NodeID) == nil {
		// A leader whose change adds this node would be heard. One whose change removes it has no more to say to it.
		// It never begins an election, so its time is not counted; but whom its log does not tell of may want its vote.
		if e.silent++; e.silent > electionTicks {
			e.removed(-1)
			return e.node.ForgetLeader()
		}
		return nil
	}
	e.node.Tick()
	e.tickHurry()
	e.offerAgain()
	return nil
}

// Resign implements journal.Journal. For an engine that is Stepped it only begins.
func (e *Engine) Resign(ctx context.Context) error {
	began := false
	if err := e.do(ctx, func() error { began = e.transfer(); return nil }); err != nil || !began || e.o.Stepped {
		return err
	}
	return e.await(ctx, func() bool { return e.status.Leader != e.o.NodeID && e.status.Leader >= 0 })
}

// transfer begins to hand leadership to the voter that is most likely to win, and reports whether there is one.
func (e *Engine) transfer() bool {
	if !e.isMe {
		return false
	}
	best, match := uint64(0), uint64(0)
	e.node.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) {
		if id != raftID(e.o.NodeID) && p.RecentActive && (best == 0 || p.Match > match) {
			best, match = id, p.Match
		}
	})
	if best == 0 {
		return false
	}
	e.o.Logger.Info("handing over the metadata log", "to", nodeID(best), "epoch", e.quorum.LeaderEpoch)
	e.node.TransferLeader(best)
	if e.told {
		e.resign()
	}
	return true
}

// await waits until a condition on what mu guards holds.
func (e *Engine) await(ctx context.Context, holds func() bool) error {
	for {
		e.mu.Lock()
		switch {
		case holds():
			e.mu.Unlock()
			return nil
		case e.failed != nil || e.closed:
			err := errors.Join(journal.ErrClosed, e.failed)
			e.mu.Unlock()
			return err
		}
		if e.changed == nil {
			e.changed = make(chan struct{})
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

// notify wakes who awaits.
func (e *Engine) notify() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}
