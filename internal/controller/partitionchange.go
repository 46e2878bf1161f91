package controller

import (
	"reflect"
	"slices"

	"gregor/internal/metadata"
)

// election says from where a leader may come.
type election int8

const (
	// electOnline keeps the leader while it can lead, and takes another of the ISR otherwise.
	electOnline election = iota
	// electPreferred wants the first replica if it is in the ISR.
	electPreferred
	// electUnclean takes a replica from outside of the ISR rather than none, and may lose records.
	electUnclean
)

// partitionChange works out the record that brings a partition to a target: the ISR, leader and epochs that follow.
type partitionChange struct {
	topic     metadata.UUID
	id        int32
	old       *metadata.Partition
	isr       []int32 // wanted
	recovery  metadata.LeaderRecoveryState
	dirs      []metadata.UUID // wanted, nil to leave them
	election  election
	canLead   func(broker int32) bool
	bumpEpoch bool // an ISR that shrinks raises the leader epoch, as before metadata.version 3.6
}

func changeOf(topic metadata.UUID, id int32, p *metadata.Partition) partitionChange {
	return partitionChange{topic: topic, id: id, old: p, isr: p.ISR, recovery: p.RecoveryState, election: electOnline}
}

// record returns the change, or nil when there is none.
func (c *partitionChange) record() *metadata.PartitionChangeRecord {
	r := metadata.NewPartitionChangeRecord()
	r.PartitionID, r.TopicID = c.id, c.topic
	empty := *r
	leader, unclean := c.elect()
	if leader != c.old.Leader || unclean {
		r.Leader = leader
		if unclean {
			r.ISR = []int32{leader}
			if c.old.RecoveryState != metadata.LeaderRecovering {
				r.LeaderRecoveryState = int8(metadata.LeaderRecovering)
			}
		}
	}
	if len(c.old.ELR) > 0 && leader != metadata.NoLeader {
		// Left from a controller that keeps eligible leader replicas (KIP-966). One of them that leads is in sync.
		if r.ISR == nil && slices.Contains(c.old.ELR, leader) {
			r.ISR = []int32{leader}
		}
		r.EligibleLeaderReplicas = []int32{}
	}
	if len(c.old.LastKnownELR) > 0 && leader != metadata.NoLeader {
		r.LastKnownELR = []int32{}
	}
	// An ISR never becomes empty: its last members are the only ones that are known to have everything.
	if r.ISR == nil && len(c.isr) > 0 && !slices.Equal(c.isr, c.old.ISR) {
		r.ISR = c.isr
	}
	if c.bumpEpoch && r.Leader == metadata.NoLeaderChange && r.ISR != nil && !containsAll(r.ISR, c.old.ISR) {
		r.Leader = c.old.Leader
	}
	if c.recovery != c.old.RecoveryState {
		r.LeaderRecoveryState = int8(c.recovery)
	}
	if c.dirs != nil && !slices.Equal(c.dirs, c.old.Dirs) {
		r.Directories = c.dirs
	}
	if reflect.DeepEqual(*r, empty) {
		return nil
	}
	return r
}

// elect returns the leader that the partition should have, and whether it comes from outside of the ISR.
func (c *partitionChange) elect() (leader int32, unclean bool) {
	valid := func(broker int32) bool {
		return (slices.Contains(c.isr, broker) || len(c.isr) == 0 && slices.Contains(c.old.ELR, broker)) && c.canLead(broker)
	}
	if c.election == electPreferred && valid(c.old.Replicas[0]) {
		return c.old.Replicas[0], false
	}
	if valid(c.old.Leader) {
		return c.old.Leader, false
	}
	for _, broker := range c.old.Replicas {
		if valid(broker) {
			return broker, false
		}
	}
	if c.election == electUnclean {
		for _, broker := range c.old.Replicas {
			if c.canLead(broker) {
				return broker, true
			}
		}
	}
	return metadata.NoLeader, false
}

func containsAll(set, members []int32) bool {
	for _, m := range members {
		if !slices.Contains(set, m) {
			return false
		}
	}
	return true
}

// without returns a new slice that lacks one member.
func without(set []int32, member int32) []int32 {
	return slices.DeleteFunc(slices.Clone(set), func(m int32) bool { return m == member })
}
