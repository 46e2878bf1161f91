package raft

import (
	"fmt"
	"slices"

	"gregor/internal/journal"
	"gregor/internal/record"

	pb "go.etcd.io/raft/v3/raftpb"
)

// voterSet is who votes, from an entry of the log on. A node uses the newest one of its log, committed or not, as in
// Ongaro's dissertation (4.1): a node that restarts does not know what is committed, and with an older set it could be
// elected by a majority that is none any more.
type voterSet struct {
	version int16           // kraft.version: 0 when it comes from the configuration
	voters  []journal.Voter // by id
	offset  int64           // of the change that began it; of a snapshot's, the snapshot's end
}

// votersAt is a set that an entry of the log begins.
type votersAt struct {
	index uint64
	set   voterSet
}

func configured(o *Options) voterSet {
	if len(o.Voters) == 0 && !o.Follow {
		return voterSet{voters: []journal.Voter{{ID: o.NodeID}}}
	}
	return voterSet{voters: sorted(slices.Clone(o.Voters))}
}

func sorted(voters []journal.Voter) []journal.Voter {
	slices.SortFunc(voters, func(a, b journal.Voter) int { return int(a.ID) - int(b.ID) })
	return voters
}

func (s voterSet) find(id int32) *journal.Voter {
	for i := range s.voters {
		if s.voters[i].ID == id {
			return &s.voters[i]
		}
	}
	return nil
}

func (s voterSet) ids() []int32 {
	ids := make([]int32, len(s.voters))
	for i, v := range s.voters {
		ids[i] = v.ID
	}
	return ids
}

func (s voterSet) raftIDs() []uint64 {
	ids := make([]uint64, len(s.voters))
	for i, v := range s.voters {
		ids[i] = raftID(v.ID)
	}
	return ids
}

// others are the voters without one.
func (s voterSet) others(id int32) []journal.Voter {
	return slices.DeleteFunc(slices.Clone(s.voters), func(v journal.Voter) bool { return v.ID == id })
}

// changesTo are the steps from s to another set for the Raft library, one voter each. Nobody leaves before all came.
func (s voterSet) changesTo(to voterSet) (steps []*pb.ConfChangeSingle) {
	for _, v := range to.voters {
		if s.find(v.ID) == nil {
			steps = append(steps, &pb.ConfChangeSingle{Type: new(pb.ConfChangeAddNode), NodeId: new(raftID(v.ID))})
		}
	}
	for _, v := range s.voters {
		if to.find(v.ID) == nil {
			steps = append(steps, &pb.ConfChangeSingle{Type: new(pb.ConfChangeRemoveNode), NodeId: new(raftID(v.ID))})
		}
	}
	return steps
}

// records are the values of the control records that hold the set.
func (s voterSet) record() record.Voters {
	r := record.Voters{}
	for _, v := range s.voters {
		n := record.VoterNode{ID: v.ID, DirectoryID: v.DirectoryID, MaxSupportedVersion: 1}
		for _, e := range v.Endpoints {
			n.Endpoints = append(n.Endpoints, record.VoterEndpoint(e))
		}
		r.Voters = append(r.Voters, n)
	}
	return r
}

// with is the set after a control record of the log or of a snapshot. ok says whether it was one of voters.
func (s voterSet) with(kind record.ControlType, value []byte) (next voterSet, ok bool, err error) {
	switch kind {
	case record.ControlKRaftVersion:
		v, err := record.ParseKRaftVersion(value)
		if err != nil {
			return s, false, err
		}
		return voterSet{version: v.KRaftVersion, voters: s.voters}, true, nil
	case record.ControlKRaftVoters:
		v, err := record.ParseVoters(value)
		if err != nil {
			return s, false, err
		}
		next = voterSet{version: max(1, s.version)}
		for _, n := range v.Voters {
			if n.ID < 0 || next.find(n.ID) != nil {
				return s, false, fmt.Errorf("voter %d is there twice or has no valid id", n.ID)
			}
			voter := journal.Voter{ID: n.ID, DirectoryID: n.DirectoryID}
			for _, e := range n.Endpoints {
				voter.Endpoints = append(voter.Endpoints, journal.Endpoint(e))
			}
			next.voters = append(next.voters, voter)
		}
		if len(next.voters) == 0 {
			return s, false, fmt.Errorf("nobody votes")
		}
		sorted(next.voters)
		return next, true, nil
	}
	return s, false, nil
}
