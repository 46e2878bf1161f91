package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gregor/internal/journal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// ChangeVoters implements journal.Quorum. A change is a batch of the log that names all voters; it counts from when a node
// has it in its log, see voterSet. The engine writes it, not the controller: so for the time of a change nobody else may
// write, and the handler is told to follow and then to lead again.
func (e *Engine) ChangeVoters(ctx context.Context, change journal.VoterChange) error {
	if change.Add != nil {
		if err := e.awaitCaughtUp(ctx, *change.Add); err != nil {
			return err
		}
	}
	var index uint64
	var epoch int32
	var refused error
	err := e.do(ctx, func() error {
		index, refused = e.proposeChange(change)
		epoch = e.quorum.LeaderEpoch
		return nil
	})
	if err = errors.Join(err, refused); err != nil || index == 0 || e.o.Stepped {
		return err
	}
	for {
		s := e.Status() // before the look, so that nothing is missed between look and wait
		var done, lost bool
		if err := e.do(ctx, func() error { done, lost = e.outcome(index, epoch); return nil }); err != nil {
			return err
		}
		if done {
			return nil
		}
		if lost {
			return fmt.Errorf("%w: it lost leadership before the change was committed", journal.ErrNotLeader)
		}
		if err := e.await(ctx, func() bool {
			return e.status.Committed != s.Committed || e.status.Epoch != s.Epoch || e.status.Leader != s.Leader
		}); err != nil {
			return err
		}
	}
}

// outcome is what became of the entry that was proposed at an index and epoch.
func (e *Engine) outcome(index uint64, epoch int32) (done, lost bool) {
	if index < e.log.first {
		return true, false // in a snapshot: it was committed, or another was and leadership was lost
	}
	if index > e.log.lastIndex() || e.log.at(index).epoch != epoch {
		return false, e.quorum.LeaderEpoch != epoch || !e.isMe
	}
	return index <= e.applied, false
}

// awaitCaughtUp waits until a node that is to vote follows the log: else the others could commit less, or nothing, until
// it does.
func (e *Engine) awaitCaughtUp(ctx context.Context, v journal.Voter) error {
	if s := e.Status(); s.Leader != e.o.NodeID {
		return fmt.Errorf("%w: %d leads", journal.ErrNotLeader, s.Leader)
	}
	if v.DirectoryID == (journal.DirectoryID{}) || v.ID < 0 || len(v.Endpoints) == 0 {
		return fmt.Errorf("%w: voter %d needs a directory id and an endpoint", journal.ErrInvalidVoter, v.ID)
	}
	if slices.ContainsFunc(e.Voters(), func(w journal.Voter) bool { return w.ID == v.ID }) {
		return fmt.Errorf("%w: %d", journal.ErrDuplicateVoter, v.ID)
	}
	key := journal.VoterKey{ID: v.ID, DirectoryID: v.DirectoryID}
	began := e.Status()
	caughtUp := func() bool {
		o := e.observers[key]
		return o != nil && o.offset >= began.Committed || e.status.Leader != e.o.NodeID
	}
	if e.o.Stepped {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !caughtUp() {
			return journal.ErrNotCaughtUp
		}
		return nil
	}
	if err := e.await(ctx, caughtUp); err != nil {
		if ctx.Err() == nil {
			return err
		}
		return fmt.Errorf("%w: node %d with directory id %s does not fetch up to offset %d: is it running, with controller.quorum.bootstrap.servers set?",
			journal.ErrNotCaughtUp, v.ID, directoryText(v.DirectoryID), began.Committed)
	}
	return nil
}

// proposeChange writes a change of the voters and returns its index; 0 when there is nothing to change.
func (e *Engine) proposeChange(change journal.VoterChange) (uint64, error) {
	if err := e.drain(); err != nil {
		return 0, err
	}
	if !e.isMe {
		return 0, fmt.Errorf("%w: %d leads", journal.ErrNotLeader, e.leader)
	}
	if !e.told || len(e.log.changes) > 0 && e.log.changes[len(e.log.changes)-1].index > e.applied {
		return 0, journal.ErrChangePending
	}
	current, err := e.inLog()
	if err != nil {
		return 0, err
	}
	next, err := current.after(change)
	if err != nil {
		return 0, err
	}
	if next.find(e.o.NodeID) == nil {
		// Who is removed must not commit its own removal without a vote; somebody else leads first.
		if !e.transfer() {
			return 0, fmt.Errorf("%w: it cannot remove itself, and no other voter is in reach to lead", journal.ErrNotLeader)
		}
		return 0, fmt.Errorf("%w: this node leads and is to be removed; it hands leadership over first, ask again", journal.ErrNotLeader)
	}
	if e.voters.version > 0 && e.voters.equal(next) {
		return 0, nil
	}
	return e.write(next)
}

// write proposes a set of voters behind everything that was appended.
func (e *Engine) write(next voterSet) (uint64, error) {
	offset, epoch := e.tail, e.quorum.LeaderEpoch
	e.resign()
	b := votersBatch(offset, epoch, e.o.Now().UnixMilli(), next, e.voters.version == 0)
	data, err := proto.Marshal(&pb.ConfChangeV2{Context: b})
	if err != nil {
		return 0, err
	}
	index := e.log.lastIndex() + 1
	// The new set counts before the entry goes out, so that who is removed does not get it: it would take itself for
	// removed, stand for no election, and refuse its vote to everybody whose log is shorter, though the change may fail.
	before := e.config
	e.configure(next)
	m := &pb.Message{Type: new(pb.MsgProp), From: new(raftID(e.o.NodeID)), Entries: []*pb.Entry{{Type: new(pb.EntryConfChangeV2), Data: data}}}
	if err := e.node.Step(m); err != nil {
		e.configure(before)
		return 0, fmt.Errorf("%w: %v", journal.ErrNotLeader, err)
	}
	e.o.Logger.Info("changing the voters", "from", e.voters.ids(), "to", next.ids(), "offset", offset, "epoch", epoch)
	return index, nil
}

// inLog are the voters as the log is to name them: with directory ids and endpoints, which the configuration has not all.
func (e *Engine) inLog() (voterSet, error) {
	if e.voters.version > 0 {
		return e.voters, nil
	}
	set := voterSet{version: 1, voters: slices.Clone(e.voters.voters)}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range set.voters {
		v := &set.voters[i]
		if v.DirectoryID = e.directory[v.ID]; v.ID == e.o.NodeID {
			v.DirectoryID = e.o.DirectoryID
		}
		if v.DirectoryID == (journal.DirectoryID{}) {
			return set, fmt.Errorf("%w: the directory id of voter %d is not known yet: is it running?", journal.ErrInvalidVoter, v.ID)
		}
		if len(v.Endpoints) == 0 {
			return set, fmt.Errorf("%w: the controller endpoint of voter %d is not known; name it in controller.quorum.voters", journal.ErrInvalidVoter, v.ID)
		}
	}
	return set, nil
}

// after is the set after a change.
func (s voterSet) after(change journal.VoterChange) (voterSet, error) {
	next := voterSet{version: s.version, voters: slices.Clone(s.voters)}
	at := func(key journal.VoterKey) (int, error) {
		i := slices.IndexFunc(next.voters, func(v journal.Voter) bool { return v.ID == key.ID && v.DirectoryID == key.DirectoryID })
		if i < 0 {
			return i, fmt.Errorf("%w: %d with directory id %s", journal.ErrVoterNotFound, key.ID, directoryText(key.DirectoryID))
		}
		return i, nil
	}
	switch {
	case change.Add != nil:
		if s.find(change.Add.ID) != nil {
			return s, fmt.Errorf("%w: %d", journal.ErrDuplicateVoter, change.Add.ID)
		}
		next.voters = sorted(append(next.voters, *change.Add))
	case change.Remove != nil:
		i, err := at(*change.Remove)
		if err != nil {
			return s, err
		}
		if len(next.voters) == 1 {
			return s, journal.ErrLastVoter
		}
		next.voters = slices.Delete(next.voters, i, i+1)
	case change.Update != nil:
		i, err := at(journal.VoterKey{ID: change.Update.ID, DirectoryID: change.Update.DirectoryID})
		if err != nil {
			return s, err
		}
		if len(change.Update.Endpoints) == 0 {
			return s, fmt.Errorf("%w: voter %d without an endpoint", journal.ErrInvalidVoter, change.Update.ID)
		}
		next.voters[i] = *change.Update
	}
	return next, nil
}

func (s voterSet) equal(t voterSet) bool {
	return s.version == t.version && slices.EqualFunc(s.voters, t.voters, func(a, b journal.Voter) bool {
		return a.ID == b.ID && a.DirectoryID == b.DirectoryID && slices.Equal(a.Endpoints, b.Endpoints)
	})
}
