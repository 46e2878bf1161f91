package metadata

import "slices"

// NoLeader is the leader of a partition that has none; Kafka's value on the wire as well.
const NoLeader int32 = -1

// LeaderRecoveryState tells whether a partition's leader was chosen from its ISR (KIP-704).
type LeaderRecoveryState int8

// The recovery states. A leader that was elected uncleanly is Recovering until it has aligned its followers.
const (
	LeaderRecovered  LeaderRecoveryState = 0
	LeaderRecovering LeaderRecoveryState = 1
)

// Topic is one topic of an Image. It is immutable.
type Topic struct {
	Name       string
	ID         UUID
	Partitions []*Partition // the index is the partition id
}

// Partition is one partition of a Topic. It is immutable.
type Partition struct {
	Replicas     []int32 // the first is the preferred leader
	ISR          []int32
	ELR          []int32 // eligible leader replicas (KIP-966)
	LastKnownELR []int32
	Adding       []int32 // replicas that a reassignment brings in
	Removing     []int32 // replicas that a reassignment takes out
	Dirs         []UUID  // log directory of each replica, in the order of Replicas; nil when unknown (KIP-858)

	Leader         int32 // NoLeader when offline
	LeaderEpoch    int32
	PartitionEpoch int32
	RecoveryState  LeaderRecoveryState
}

// Dir returns the log directory that holds broker's replica, or DirUnassigned.
func (p *Partition) Dir(broker int32) UUID {
	for i, id := range p.Replicas {
		if id == broker && i < len(p.Dirs) {
			return p.Dirs[i]
		}
	}
	return DirUnassigned
}

// IsReplica reports whether broker holds a replica.
func (p *Partition) IsReplica(broker int32) bool { return slices.Contains(p.Replicas, broker) }

// InISR reports whether broker is in sync.
func (p *Partition) InISR(broker int32) bool { return slices.Contains(p.ISR, broker) }

// HasPreferredLeader reports whether the leader is the first replica.
func (p *Partition) HasPreferredLeader() bool {
	return len(p.Replicas) > 0 && p.Leader == p.Replicas[0]
}

// IsReassigning reports whether a reassignment is under way.
func (p *Partition) IsReassigning() bool { return len(p.Adding)+len(p.Removing) > 0 }

// Record returns the record that makes this partition from nothing.
func (p *Partition) Record(topic UUID, id int32) *PartitionRecord {
	return &PartitionRecord{
		PartitionID: id, TopicID: topic,
		Replicas: p.Replicas, ISR: p.ISR, RemovingReplicas: p.Removing, AddingReplicas: p.Adding,
		Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
		LeaderRecoveryState: int8(p.RecoveryState), Directories: p.Dirs,
		EligibleLeaderReplicas: p.ELR, LastKnownELR: p.LastKnownELR,
	}
}

func partitionOf(r *PartitionRecord) *Partition {
	return &Partition{
		Replicas: r.Replicas, ISR: r.ISR, ELR: r.EligibleLeaderReplicas, LastKnownELR: r.LastKnownELR,
		Adding: r.AddingReplicas, Removing: r.RemovingReplicas, Dirs: r.Directories,
		Leader: r.Leader, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch,
		RecoveryState: LeaderRecoveryState(r.LeaderRecoveryState),
	}
}

// NoLeaderChange in PartitionChangeRecord.Leader keeps the leader and its epoch.
const NoLeaderChange int32 = -2

// noRecoveryChange in PartitionChangeRecord.LeaderRecoveryState keeps the state.
const noRecoveryChange int8 = -1

// Merge returns the partition after a change record. Every change raises the partition epoch; one that names a leader,
// even the same one, raises the leader epoch too.
func (p *Partition) Merge(r *PartitionChangeRecord) *Partition {
	next := *p
	next.PartitionEpoch++
	if r.ISR != nil {
		next.ISR = r.ISR
	}
	if r.Leader != NoLeaderChange {
		next.Leader = r.Leader
		next.LeaderEpoch++
	}
	if r.Replicas != nil {
		next.Replicas = r.Replicas
		if r.Directories == nil && next.Dirs != nil {
			next.Dirs = carryDirs(p, r.Replicas)
		}
	}
	if r.Directories != nil {
		next.Dirs = r.Directories
	}
	if r.RemovingReplicas != nil {
		next.Removing = r.RemovingReplicas
	}
	if r.AddingReplicas != nil {
		next.Adding = r.AddingReplicas
	}
	if r.LeaderRecoveryState != noRecoveryChange {
		next.RecoveryState = LeaderRecoveryState(r.LeaderRecoveryState)
	}
	if r.EligibleLeaderReplicas != nil {
		next.ELR = r.EligibleLeaderReplicas
	}
	if r.LastKnownELR != nil {
		next.LastKnownELR = r.LastKnownELR
	}
	return &next
}

// carryDirs keeps the directories of the replicas that stay; a new one is unassigned.
func carryDirs(p *Partition, replicas []int32) []UUID {
	dirs := make([]UUID, len(replicas))
	for i, id := range replicas {
		dirs[i] = p.Dir(id)
	}
	return dirs
}
