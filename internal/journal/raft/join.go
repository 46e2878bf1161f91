package raft

import (
	"fmt"

	"gregor/internal/journal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// joining is a voter that may have forgotten what it promised: its disk was replaced, or it starts for the first time in
// an old quorum, which from inside looks the same. If it went on as if nothing were, acknowledged changes could be lost:
// of three voters one leads, one acknowledged and lost its disk, and the third, which lacks the change, gets the vote of
// the second.
//
// So it goes through two stages, both kept in quorum-state:
//
//  1. It asks all others for their epochs (by a pre-vote that nobody grants) and takes part in nothing. What it voted in,
//     a candidate lived in, so no vote of its former self is of a later epoch. Nobody is waited for longer than
//     askTicks if a majority of all voters, without this one, has answered.
//  2. It begins an epoch above all that it heard of. A leader of an older one steps down when it hears of that, and is
//     elected again by the others at once. Only this makes it forget what our former self acknowledged. From leaders of
//     later epochs we take entries and acknowledge them, and do not vote, until we have an entry of such an epoch: that
//     leader was elected without us, so it has all that was committed, and we have all that it has.
type joining struct {
	epochs map[int32]uint64 // what the others said in the first stage
	ticks  int              // since it began
}

// askTicks is for how long all other voters are waited for: ten election timeouts.
const askTicks = 10 * electionTicks

// openJoining decides whether this voter joins. found is whether there was a quorum-state.
func (e *Engine) openJoining(found bool) error {
	others := e.voters.others(e.o.NodeID)
	empty := e.log.lastIndex() == 0
	switch {
	case len(others) == 0 || e.voters.find(e.o.NodeID) == nil:
		e.quorum.Joining = nil
	case e.quorum.Joining != nil:
		e.join = &joining{epochs: map[int32]uint64{}}
	case empty && e.o.Joining:
		e.o.Logger.Warn("this voter has no log: it takes it from the others before it votes", "voters", e.voters.ids())
		return e.startJoining()
	case !empty && !found:
		e.o.Logger.Error("quorum-state is missing beside the metadata log: this voter does not vote before a leader has brought it up to date", "directory", e.dir)
		return e.startJoining()
	}
	return nil
}

func (e *Engine) startJoining() error {
	e.join = &joining{epochs: map[int32]uint64{}}
	next := e.quorum
	next.Joining = new(int32)
	return e.saveQuorum(next)
}

// forgot begins to join because the leader knows that we acknowledged more than we have.
func (e *Engine) forgot(index uint64) error {
	e.o.Logger.Error("the end of the metadata log is gone: this voter acknowledged changes that it has no more. It takes them from the leader before it votes again",
		"directory", e.dir, "entries", e.log.lastIndex(), "acknowledged", index, "offset", e.log.endOffset())
	if err := e.startJoining(); err != nil {
		return err
	}
	return e.askEpochs()
}

func (e *Engine) asking() bool { return e.join != nil && *e.quorum.Joining == 0 }

// mayHandle takes the messages that a joining voter waits for, and lets those through that it may act on.
func (e *Engine) mayHandle(m *pb.Message) (bool, error) {
	if e.asking() {
		if from := nodeID(m.GetFrom()); m.GetType() == pb.MsgPreVoteResp && e.voters.find(from) != nil {
			e.join.epochs[from] = m.GetTerm()
			return false, e.haveEpochs()
		}
		return false, nil
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		return true, nil
	}
	return false, nil
}

// askEpochs asks who has not answered yet.
func (e *Engine) askEpochs() error {
	if !e.asking() {
		return nil
	}
	for _, v := range e.voters.others(e.o.NodeID) {
		if _, ok := e.join.epochs[v.ID]; ok {
			continue
		}
		ask := &pb.Message{
			Type: new(pb.MsgPreVote), From: new(raftID(e.o.NodeID)), To: new(raftID(v.ID)),
			Term: new(uint64(1)), LogTerm: new(uint64(0)), Index: new(uint64(0)),
		}
		if err := e.sendOne(ask); err != nil {
			return err
		}
	}
	return nil
}

// tickJoining is a tick of a joining voter.
func (e *Engine) tickJoining() error {
	e.join.ticks++
	if e.join.ticks%(10*askTicks) == 0 {
		e.o.Logger.Warn("this voter still waits to be brought up to date by a leader that the others elected; more than half of all voters must be there beside it",
			"voters", e.voters.ids(), "answered", len(e.join.epochs))
	}
	if !e.asking() {
		// A leader may have been elected in the very epoch that we began, with a vote of our former self for all we know.
		// It would stay, and we would never vote: the next epoch is above its.
		if s := e.node.BasicStatus(); s.Lead != 0 && s.GetTerm() == uint64(*e.quorum.Joining) {
			return e.beginEpoch(s.GetTerm())
		}
		return nil
	}
	if e.join.ticks%2 == 0 {
		if err := e.askEpochs(); err != nil {
			return err
		}
	}
	return e.haveEpochs()
}

// haveEpochs ends the first stage.
func (e *Engine) haveEpochs() error {
	others := len(e.voters.voters) - 1
	majority := len(e.voters.voters)/2 + 1
	if n := len(e.join.epochs); n < others && (n < majority || e.join.ticks < askTicks) {
		return nil
	}
	highest := uint64(max(e.quorum.LeaderEpoch, e.log.lastEpoch()))
	for _, epoch := range e.join.epochs {
		highest = max(highest, epoch)
	}
	return e.beginEpoch(highest)
}

// beginEpoch begins the second stage in an epoch above another.
func (e *Engine) beginEpoch(highest uint64) error {
	if highest >= maxEpoch {
		return fmt.Errorf("%w: a voter is at epoch %d, over %d", journal.ErrCorrupt, highest, maxEpoch)
	}
	epoch := highest + 1
	// The library has no call to begin an epoch; a refusal from there does it.
	some := e.voters.others(e.o.NodeID)[0]
	refusal := &pb.Message{
		Type: new(pb.MsgPreVoteResp), From: new(raftID(some.ID)), To: new(raftID(e.o.NodeID)), Term: new(epoch), Reject: new(true),
	}
	if err := e.node.Step(refusal); err != nil {
		return err
	}
	// Term and stage are of one file, written here, before a message of the new epoch goes out.
	next := e.quorum
	next.LeaderEpoch, next.VotedID, next.LeaderID, next.Joining = int32(epoch), -1, -1, new(int32(epoch))
	return e.saveQuorum(next)
}

// Joining reports whether this voter waits to be brought up to date before it votes. It is for an engine that is Stepped.
func (e *Engine) Joining() bool { return e.join != nil }

// afterJoining ends the second stage when an entry is durable here whose leader was elected without us.
func (e *Engine) afterJoining() error {
	if e.join == nil || e.asking() || e.log.lastEpoch() <= *e.quorum.Joining {
		return nil
	}
	e.join = nil
	next := e.quorum
	next.Joining = nil
	if err := e.saveQuorum(next); err != nil {
		return err
	}
	e.o.Logger.Info("this voter is up to date and votes from now on", "epoch", e.quorum.LeaderEpoch, "offset", e.log.endOffset())
	return nil
}
