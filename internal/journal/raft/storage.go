package raft

import (
	"encoding/binary"
	"fmt"

	"gregor/internal/record"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// storage shows the metadata log to the Raft library. Raft counts batches, the log counts records.
type storage struct {
	*metaLog
	hard   *pb.HardState
	failed error // the first error of a read
}

// raftID is a node's id for the Raft library, which keeps 0 for nobody.
func raftID(node int32) uint64 { return uint64(node) + 1 }

func nodeID(raft uint64) int32 { return int32(raft) - 1 } // -1 is nobody

func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return s.hard, s.confState(), nil
}

// confState is who votes by the newest change in the log, see voterSet.
func (s *storage) confState() *pb.ConfState {
	return pb.EnsureConfState(&pb.ConfState{Voters: s.voters().raftIDs()})
}

func (s *storage) FirstIndex() (uint64, error) { return s.first, nil }

func (s *storage) LastIndex() (uint64, error) { return s.lastIndex(), nil }

func (s *storage) Term(index uint64) (uint64, error) {
	switch {
	case index == s.first-1:
		return uint64(s.snapshot.epoch), nil
	case index < s.first:
		return 0, etcd.ErrCompacted
	case index > s.lastIndex():
		return 0, etcd.ErrUnavailable
	}
	return uint64(s.at(index).epoch), nil
}

func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo < s.first {
		return nil, etcd.ErrCompacted
	}
	if hi > s.lastIndex()+1 {
		return nil, etcd.ErrUnavailable
	}
	var entries []*pb.Entry
	var size uint64
	for index := lo; index < hi; index++ {
		e := s.at(index)
		if size += uint64(e.size); size > maxSize && len(entries) > 0 {
			break
		}
		batch, err := s.read(e)
		if err != nil {
			s.failed = err
			return nil, err
		}
		entry, err := raftEntry(index, batch, e.voters)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// raftEntry is a batch as the Raft library sees it: its bytes, also those of the LeaderChange that its leader had as an
// empty entry, so that every voter has the same bytes. A change of the voters has them as the context of a change.
func raftEntry(index uint64, b record.Batch, voters bool) (*pb.Entry, error) {
	e := &pb.Entry{Index: new(index), Term: new(uint64(b.LeaderEpoch())), Type: new(pb.EntryNormal), Data: b}
	if voters {
		data, err := proto.Marshal(&pb.ConfChangeV2{Context: b})
		if err != nil {
			return nil, err
		}
		e.Type, e.Data = new(pb.EntryConfChangeV2), data
	}
	return e, nil
}

// batchOf is the batch of an entry, nil for the empty one with which a leader begins its term.
func batchOf(e *pb.Entry) (record.Batch, error) {
	switch e.GetType() {
	case pb.EntryNormal:
		return e.GetData(), nil
	case pb.EntryConfChangeV2:
		var c pb.ConfChangeV2
		if err := proto.Unmarshal(e.GetData(), &c); err != nil {
			return nil, err
		}
		return c.GetContext(), nil
	}
	return nil, fmt.Errorf("type %s", e.GetType())
}

// Snapshot names the newest snapshot; who needs it fetches the file. It says who votes now, which the receiver needs to
// be one of those who follow; the voters as of the snapshot are in the file.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	c := s.snapshot
	if c.index == 0 {
		return nil, etcd.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{
		Data:     binary.BigEndian.AppendUint64(nil, uint64(c.end)),
		Metadata: &pb.SnapshotMetadata{Index: new(c.index), Term: new(uint64(c.epoch)), ConfState: s.confState()},
	}, nil
}

// snapshotOf is the file that a snapshot names.
func snapshotOf(s *pb.Snapshot) (c checkpoint, ok bool) {
	m := s.GetMetadata()
	if len(s.GetData()) != 8 || m.GetTerm() > maxEpoch || m.GetIndex() == 0 || m.GetIndex() > 1<<62 {
		return c, false
	}
	c = checkpoint{end: int64(binary.BigEndian.Uint64(s.GetData())), epoch: int32(m.GetTerm()), index: m.GetIndex()}
	return c, c.end > 0
}
