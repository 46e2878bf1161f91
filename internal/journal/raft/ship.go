package raft

import (
	"fmt"
	"path/filepath"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// A voter that needs entries which the leader has no more gets the leader's snapshot. Raft's message only names it; the
// voter fetches the file as observers do (FetchSnapshot, KIP-630), under a temporary name, and then hands the message to
// Raft as if it had just come. The leader offers it again and again meanwhile, so a fetch that fails needs no word.

// fetching is a snapshot on its way. It is a machine: it says what to ask for next and takes answers.
type fetching struct {
	leader int32
	c      checkpoint
	offer  *pb.Message
	path   string
	file   vfs.File
	pos    int64
}

// fetchName is what a snapshot of the leader is called until it is put in place; openLog removes it.
func fetchName(c checkpoint) string { return c.name() + ".fetch.tmp" }

// offer takes a leader's offer of a snapshot.
func (e *Engine) offer(m *pb.Message) error {
	if err := e.drain(); err != nil { // what is durable is what Raft has
		return err
	}
	c, _ := snapshotOf(m.GetSnapshot()) // decode has seen that it is one
	now := e.node.BasicStatus()
	have := false
	if c.index <= e.log.lastIndex() {
		term, err := e.storage.Term(c.index)
		have = err != nil || term == uint64(c.epoch) // in our snapshot or log
	}
	switch {
	case m.GetTerm() < now.GetTerm() || have || c.index <= now.GetCommit():
		return e.stepOffer(m) // Raft answers without it
	case e.fetched != nil && *e.fetched == c:
		return e.stepOffer(m)
	case m.GetTerm() > now.GetTerm() || now.Lead != m.GetFrom():
		// It is from a leader all the same: an empty append tells Raft so, and cannot match.
		hello := &pb.Message{Type: new(pb.MsgHeartbeat), From: m.From, To: m.To, Term: m.Term, Commit: new(uint64(0))}
		if err := e.node.Step(hello); err != nil {
			return nil
		}
	}
	if e.fetch != nil && e.fetch.leader == nodeID(m.GetFrom()) && e.fetch.c.index <= c.index {
		if e.fetch.c == c {
			e.fetch.offer = m
		}
		return nil // one at a time: an older one brings us on, too
	}
	e.dropFetch()
	f := &fetching{leader: nodeID(m.GetFrom()), c: c, offer: m, path: filepath.Join(e.dir, fetchName(c))}
	var err error
	if f.file, err = e.o.FS.Create(f.path); err != nil {
		return err
	}
	e.fetch = f
	e.o.Logger.Info("fetching a snapshot of the metadata from the leader", "leader", f.leader, "snapshot", c.name())
	if e.links != nil {
		e.links.fetch(f)
	}
	return nil
}

// stepOffer hands an offer to Raft. It puts the snapshot in place only for a voter, and a node that gets one before the
// change that makes it a voter may be none in the snapshot's list.
func (e *Engine) stepOffer(m *pb.Message) error {
	if cs := m.GetSnapshot().GetMetadata().GetConfState(); e.config.find(e.o.NodeID) == nil {
		cs = pb.EnsureConfState(&pb.ConfState{Voters: cs.GetVoters()})
		me := raftID(e.o.NodeID)
		listed := false
		for _, id := range cs.Voters {
			listed = listed || id == me
		}
		if !listed {
			cs.Learners = []uint64{me}
		}
		m.Snapshot.Metadata.ConfState = cs
	}
	if err := e.node.Step(m); err != nil {
		e.o.Logger.Debug("the offer of a snapshot was dropped", "error", err)
	}
	return nil
}

// WantedPart tells which part of which snapshot to ask whom for; ok is false when none is wanted. It is for an engine
// that is Stepped.
func (e *Engine) WantedPart() (leader int32, id journal.SnapshotID, position int64, ok bool) {
	if e.fetch == nil {
		return -1, id, 0, false
	}
	return e.fetch.leader, e.fetch.c.id(), e.fetch.pos, true
}

// TakePart takes an answer to what WantedPart said. It is for an engine that is Stepped.
func (e *Engine) TakePart(id journal.SnapshotID, position int64, data []byte, sizeBytes int64, err error) {
	f := e.fetch
	if f == nil || f.c.id() != id || f.pos != position {
		return
	}
	done := false
	if err == nil {
		done, err = f.take(data, sizeBytes)
	}
	if done || err != nil {
		e.enqueue(func() error { return e.endFetch(f, err) })
	}
}

// take writes a part of the file.
func (f *fetching) take(data []byte, sizeBytes int64) (done bool, err error) {
	if len(data) == 0 || f.pos+int64(len(data)) > sizeBytes {
		return false, fmt.Errorf("%w: %d bytes at position %d of %d", errBadMessage, len(data), f.pos, sizeBytes)
	}
	if _, err := f.file.WriteAt(data, f.pos); err != nil {
		return false, err
	}
	f.pos += int64(len(data))
	if f.pos < sizeBytes {
		return false, nil
	}
	return true, f.file.Sync()
}

// endFetch takes a file that is complete, or forgets one that is not to be had: the leader's next offer begins anew.
func (e *Engine) endFetch(f *fetching, err error) error {
	if e.fetch != f {
		return nil
	}
	e.fetch = nil
	if closeErr := f.file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = checkCheckpoint(e.o.FS, f.path, f.c)
	}
	if err != nil {
		e.o.Logger.Warn("a snapshot of the metadata could not be fetched", "leader", f.leader, "snapshot", f.c.name(), "error", err)
		return e.o.FS.Remove(f.path)
	}
	if old := e.fetched; old != nil && *old != f.c {
		if err := e.o.FS.Remove(filepath.Join(e.dir, fetchName(*old))); err != nil {
			return err
		}
	}
	e.fetched = &f.c
	if f.offer.GetTerm() != e.node.BasicStatus().GetTerm() {
		return nil // the next leader offers, perhaps the same one
	}
	return e.stepOffer(f.offer)
}

// checkCheckpoint reads a file to its end.
func checkCheckpoint(fsys vfs.FS, path string, c checkpoint) error {
	h, err := readCheckpointHeader(fsys, path)
	if err != nil {
		return err
	}
	if h.raftIndex != 0 && h.raftIndex != c.index || h.raftIndex == 0 && uint64(c.end) != c.index {
		return fmt.Errorf("%w: %s: its Raft index is %d, the leader says %d", journal.ErrCorrupt, path, h.raftIndex, c.index)
	}
	_, err = walkCheckpoint(fsys, path, func([]byte) bool { return true })
	return err
}

// dropFetch gives up what is being fetched.
func (e *Engine) dropFetch() {
	f := e.fetch
	if f == nil {
		return
	}
	e.fetch = nil
	if e.links != nil {
		e.links.stopFetch()
	}
	_ = f.file.Close()
	_ = e.o.FS.Remove(f.path)
}

// install puts a snapshot in the place of the log, as Raft says, and hands it over.
func (e *Engine) install(s *pb.Snapshot) error {
	if etcd.IsEmptySnap(s) {
		return nil
	}
	c, ok := snapshotOf(s)
	if !ok || e.fetched == nil || *e.fetched != c {
		return fmt.Errorf("raft wants snapshot %s, index %d, which is not here", c.name(), c.index)
	}
	e.fetched = nil
	if err := e.log.replace(filepath.Join(e.dir, fetchName(c)), c); err != nil {
		return err
	}
	e.config = voterSet{}
	for _, id := range s.GetMetadata().GetConfState().GetVoters() {
		e.config.voters = append(e.config.voters, journal.Voter{ID: nodeID(id)})
	}
	if e.config.find(e.o.NodeID) == nil {
		e.node.ApplyConfChange(&pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: new(pb.ConfChangeRemoveNode), NodeId: new(raftID(e.o.NodeID))}}})
	}
	e.followVoters()
	e.applied = c.index
	e.o.Logger.Info("took a snapshot of the metadata from the leader", "snapshot", c.name(), "index", c.index)
	if e.told {
		e.resign()
	}
	return e.load()
}

// replace makes a snapshot that came from elsewhere the start of the log, which is empty then.
func (l *metaLog) replace(path string, c checkpoint) error {
	// With the name in its place the snapshot is what openLog goes by, see otherHistory.
	if err := l.fs.Rename(path, filepath.Join(l.dir, c.name())); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.adopt(c); err != nil {
		return err
	}
	return l.restart()
}

// offerAgain lets Raft offer a snapshot again to who has not told that it has it: the offer may be lost, or the fetch
// have failed. Whoever is fetching it goes on.
func (e *Engine) offerAgain() {
	if e.offered++; e.offered < electionTicks || !e.isMe {
		return
	}
	e.offered = 0
	var waiting []uint64
	e.node.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) {
		if p.State == tracker.StateSnapshot {
			waiting = append(waiting, id)
		}
	})
	for _, id := range waiting {
		e.node.ReportSnapshot(id, etcd.SnapshotFailure)
	}
}
