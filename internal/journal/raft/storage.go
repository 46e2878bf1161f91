package raft

import (
	"fmt"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// storage shows the metadata log to the Raft library. Raft counts batches, the log counts records.
type storage struct {
	*metaLog
	voters []uint64
	hard   *pb.HardState
	failed error // the first error of a read
}

// raftID is a node's id for the Raft library, which keeps 0 for nobody.
func raftID(node int32) uint64 { return uint64(node) + 1 }

func nodeID(raft uint64) int32 { return int32(raft) - 1 } // -1 is nobody

func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return s.hard, pb.EnsureConfState(&pb.ConfState{Voters: s.voters}), nil
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
		entry := &pb.Entry{Index: new(index), Term: new(uint64(e.epoch)), Type: new(pb.EntryNormal)}
		if !e.leader {
			data, err := s.read(e)
			if err != nil {
				s.failed = err
				return nil, err
			}
			entry.Data = data
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return nil, fmt.Errorf("%w: a quorum of one sends none", etcd.ErrSnapshotTemporarilyUnavailable)
}
