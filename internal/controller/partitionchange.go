package controller

import (
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

// none is no broker.
const none int32 = -1

// partitionChange works out the record that brings a partition to a target: what is wanted is set, and the leader, the
// eligible leader replicas and the epochs follow.
type partitionChange struct {
	topic metadata.UUID
	id    int32
	old   *metadata.Partition

	// What is wanted; changeOf sets it to what there is.
	replicas, adding, removing []int32
	isr                        []int32
	recovery                   metadata.LeaderRecoveryState
	dir                        func(broker int32) metadata.UUID // nil leaves the log directories of replicas that stay
	unclean                    int32                            // a broker that may have lost records, or none

	election   election
	canLead    func(broker int32) bool
	defaultDir func(broker int32) metadata.UUID
	minISR     int
	hasELR     bool // eligible leader replicas are kept (KIP-966)
	hasDirs    bool // records name log directories
	bumpEpoch  bool // an ISR that shrinks raises the leader epoch, as before metadata.version 3.6

	elr []int32 // follows
}

// changeOf begins a change of a partition under its topic's rules.
func (m *machine) changeOf(e env, at partitionAt) *partitionChange {
	image := m.hard.image
	c := &partitionChange{
		topic: at.topic.ID, id: at.id, old: at.p,
		replicas: at.p.Replicas, adding: at.p.Adding, removing: at.p.Removing, isr: at.p.ISR, recovery: at.p.RecoveryState, unclean: none,
		canLead: m.withDir(at.p, m.hard.isActive), defaultDir: m.defaultDir, minISR: at.minISR,
		hasELR: image.HasELR(), hasDirs: image.HasDirectories(), bumpEpoch: image.HasISRShrinkEpoch(),
	}
	if at.rules.unclean {
		c.election = electUnclean
	}
	return c
}

// appendTo adds the record, if there is a change.
func (c *partitionChange) appendTo(records []metadata.Record) []metadata.Record {
	if r := c.record(); r != nil {
		return append(records, r)
	}
	return records
}

// record returns the change, or nil when there is none.
func (c *partitionChange) record() *metadata.PartitionChangeRecord {
	r := metadata.NewPartitionChangeRecord()
	r.PartitionID, r.TopicID = c.id, c.topic
	c.completeReassignment()
	c.elr = c.eligible()

	leader, unclean := c.elect()
	if leader != c.old.Leader || unclean {
		r.Leader = leader
	}
	switch {
	case unclean: // the new leader's log is the truth now
		c.isr, c.elr = []int32{leader}, nil
		c.recovery = metadata.LeaderRecovering
	case slices.Contains(c.elr, leader): // it has all that was acknowledged, so it is in sync with itself
		c.isr, c.elr = []int32{leader}, without(c.elr, leader)
		if c.minISR == 1 || !c.hasELR {
			c.elr = nil // it acknowledges by itself from now on
		}
	}
	if r.Leader == metadata.NoLeaderChange && !containsAll(c.replicas, c.old.Replicas) {
		r.Leader = c.old.Leader // a replica that was taken away must not go on fetching in the old epoch
	}
	if !slices.Equal(c.elr, c.old.ELR) {
		r.EligibleLeaderReplicas = some(c.elr)
	}
	// Without eligible leader replicas an ISR never becomes empty: its last members are the only ones that are known to
	// have everything.
	if (len(c.isr) > 0 || c.hasELR) && !slices.Equal(c.isr, c.old.ISR) {
		r.ISR = some(c.isr)
	}
	if c.bumpEpoch && r.Leader == metadata.NoLeaderChange && r.ISR != nil && !containsAll(r.ISR, c.old.ISR) {
		r.Leader = c.old.Leader
	}
	c.setLastKnown(r, leader)
	c.setAssignment(r)
	if c.recovery != c.old.RecoveryState {
		r.LeaderRecoveryState = int8(c.recovery)
	}
	if isNoChange(r) {
		return nil
	}
	return r
}

// completeReassignment ends a reassignment once all replicas that stay are in the ISR.
func (c *partitionChange) completeReassignment() {
	if len(c.adding)+len(c.removing) == 0 {
		return
	}
	isr, replicas := difference(c.isr, c.removing), difference(c.replicas, c.removing)
	if len(isr) == 0 || len(replicas) == 0 || !containsAll(isr, replicas) {
		return
	}
	c.isr, c.replicas, c.adding, c.removing = isr, replicas, nil, nil
}

// eligible returns the eligible leader replicas (KIP-966): who left the ISR when it was, or became, smaller than
// min.insync.replicas. While it is, nothing is acknowledged with acks=all, so they have all that ever was. If they are
// not kept any more, those are left who are needed because nobody is in sync.
func (c *partitionChange) eligible() []int32 {
	if len(c.isr) >= min(c.minISR, len(c.replicas)) || len(c.isr) > 0 && !c.hasELR {
		return nil
	}
	from := c.old.ELR
	if c.hasELR {
		from = slices.Concat(from, c.old.ISR)
	}
	var elr []int32
	for _, id := range from {
		if id != c.unclean && !slices.Contains(c.isr, id) && !slices.Contains(elr, id) && slices.Contains(c.replicas, id) {
			elr = append(elr, id)
		}
	}
	slices.Sort(elr)
	return elr
}

// elect returns the leader that the partition should have, and whether it may lack records.
func (c *partitionChange) elect() (leader int32, unclean bool) {
	if c.election == electPreferred && c.isElectable(c.replicas[0]) {
		return c.replicas[0], false
	}
	if c.isElectable(c.old.Leader) {
		return c.old.Leader, false
	}
	for _, id := range c.replicas {
		if c.isElectable(id) {
			return id, false
		}
	}
	// Nobody is known to have everything. The last one who led has at least all that anybody was told of.
	if last := c.old.LastKnownELR; len(c.isr)+len(c.elr) == 0 && len(last) == 1 && slices.Contains(c.replicas, last[0]) && c.canLead(last[0]) {
		return last[0], true
	}
	if c.election == electUnclean {
		for _, id := range c.replicas {
			if c.canLead(id) {
				return id, true
			}
		}
	}
	return metadata.NoLeader, false
}

// isElectable reports whether a replica may lead without a loss: one of the ISR, or if that is empty, an eligible one.
func (c *partitionChange) isElectable(id int32) bool {
	return (slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.elr, id)) && c.canLead(id)
}

// setLastKnown notes who led last when nobody of the ISR is left, and forgets it when somebody leads.
func (c *partitionChange) setLastKnown(r *metadata.PartitionChangeRecord, leader int32) {
	last := c.old.Leader
	if last == metadata.NoLeader && len(c.old.ISR) == 1 {
		last = c.old.ISR[0] // the partition lost its leader before eligible leader replicas were kept
	}
	switch known := c.old.LastKnownELR; {
	case leader != metadata.NoLeader && len(known) > 0:
		r.LastKnownELR = []int32{}
	case c.hasELR && r.ISR != nil && len(r.ISR) == 0 && last != metadata.NoLeader && !slices.Equal(known, []int32{last}):
		r.LastKnownELR = []int32{last}
	}
}

// setAssignment notes replicas that come and go, and where they are.
func (c *partitionChange) setAssignment(r *metadata.PartitionChangeRecord) {
	moved := !slices.Equal(c.replicas, c.old.Replicas)
	if moved {
		r.Replicas = c.replicas
	}
	if c.hasDirs && (moved || c.dir != nil) {
		dirs := make([]metadata.UUID, len(c.replicas))
		for i, id := range c.replicas {
			switch {
			case c.dir != nil:
				dirs[i] = c.dir(id)
			case c.old.IsReplica(id):
				dirs[i] = c.old.Dir(id)
			default:
				dirs[i] = c.defaultDir(id)
			}
		}
		if !slices.Equal(dirs, c.old.Dirs) {
			r.Directories = dirs
		}
	}
	if !slices.Equal(c.removing, c.old.Removing) {
		r.RemovingReplicas = some(c.removing)
	}
	if !slices.Equal(c.adding, c.old.Adding) {
		r.AddingReplicas = some(c.adding)
	}
}

func isNoChange(r *metadata.PartitionChangeRecord) bool {
	return r.Leader == metadata.NoLeaderChange && r.ISR == nil && r.EligibleLeaderReplicas == nil && r.LastKnownELR == nil &&
		r.Replicas == nil && r.AddingReplicas == nil && r.RemovingReplicas == nil && r.Directories == nil &&
		r.LeaderRecoveryState == metadata.NewPartitionChangeRecord().LeaderRecoveryState
}

// some is never nil, which in a record would leave the field as it is.
func some(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

func containsAll(set, members []int32) bool {
	for _, m := range members {
		if !slices.Contains(set, m) {
			return false
		}
	}
	return true
}

// difference returns the members of set that are not in gone, in their order.
func difference(set, gone []int32) []int32 {
	if len(gone) == 0 {
		return set
	}
	return slices.DeleteFunc(slices.Clone(set), func(m int32) bool { return slices.Contains(gone, m) })
}

// without returns a new slice that lacks one member.
func without(set []int32, member int32) []int32 { return difference(set, []int32{member}) }
