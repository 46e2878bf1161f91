package controller

import (
	"slices"
	"testing"

	"gregor/internal/metadata"

	"pgregory.net/rapid"
)

// drawnPartition is a partition as a history may have left it, and how a change is to find the world.
type drawnPartition struct {
	*metadata.Partition
	alive  []int32
	minISR int
	hasELR bool
}

func drawSubset(t *rapid.T, of []int32, label string) []int32 {
	return slices.DeleteFunc(slices.Clone(of), func(int32) bool { return rapid.Bool().Draw(t, label) })
}

func drawPartition(t *rapid.T) drawnPartition {
	replicas := rapid.Permutation([]int32{1, 2, 3, 4}).Draw(t, "order")[:rapid.IntRange(1, 4).Draw(t, "replicas")]
	d := drawnPartition{Partition: &metadata.Partition{Replicas: replicas, Leader: metadata.NoLeader, LeaderEpoch: 5, PartitionEpoch: 9}}
	d.hasELR = rapid.Bool().Draw(t, "eligible leader replicas")
	d.minISR = rapid.IntRange(1, len(replicas)).Draw(t, "min.insync.replicas")
	d.ISR = drawSubset(t, replicas, "out of isr")
	if len(d.ISR) == 0 && !d.hasELR {
		d.ISR = replicas[:1]
	}
	if d.hasELR && len(d.ISR) < d.minISR {
		d.ELR = drawSubset(t, difference(replicas, d.ISR), "out of elr")
		slices.Sort(d.ELR)
	}
	if d.hasELR && len(d.ISR) == 0 {
		d.LastKnownELR = []int32{rapid.SampledFrom(replicas).Draw(t, "last leader")}
	} else if rapid.Bool().Draw(t, "has a leader") {
		d.Leader = rapid.SampledFrom(d.ISR).Draw(t, "leader")
	}
	d.alive = drawSubset(t, replicas, "dead")
	return d
}

// change begins a change that wants no other replicas.
func (d drawnPartition) change() *partitionChange {
	return &partitionChange{
		topic: metadata.OneUUID, old: d.Partition, replicas: d.Replicas, isr: d.ISR, recovery: d.RecoveryState, unclean: none,
		minISR: d.minISR, hasELR: d.hasELR,
		canLead: func(id int32) bool { return slices.Contains(d.alive, id) },
	}
}

// The leader that is chosen is the one that a naive reading of the rules gives, and every change keeps the rules.
func TestPartitionChangeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPartition(t)
		isr, lost := drawSubset(t, p.ISR, "leaves"), none
		if rapid.Bool().Draw(t, "ends without saying so") {
			lost = rapid.SampledFrom(p.Replicas).Draw(t, "who")
			isr, p.alive = without(isr, lost), without(p.alive, lost)
		}
		if len(isr) == 0 { // they left because they are gone: a leader does not take itself out
			p.alive = difference(p.alive, p.ISR)
		}
		kind := election(rapid.IntRange(0, 2).Draw(t, "election"))
		c := p.change()
		c.isr, c.unclean, c.election = isr, lost, kind

		next := p.Partition
		if r := c.record(); r != nil {
			next = p.Merge(r)
			if next.PartitionEpoch != p.PartitionEpoch+1 {
				t.Fatalf("partition epoch %d", next.PartitionEpoch)
			}
			again := p
			again.Partition = next
			c := again.change()
			c.election = kind
			if r := c.record(); r != nil {
				t.Fatalf("the change is not complete: %+v after %+v", r, next)
			}
		}
		elr := naiveELR(p, isr, lost)
		want, unclean := naiveLeader(p, isr, elr, kind)
		if next.Leader != want {
			t.Fatalf("leader %d, want %d: %+v alive %v to isr %v, elr %v by %d", next.Leader, want, p.Partition, p.alive, isr, elr, kind)
		}
		if (next.Leader != p.Leader || unclean) != (next.LeaderEpoch == p.LeaderEpoch+1) {
			t.Fatalf("leader %d to %d, epoch %d to %d", p.Leader, next.Leader, p.LeaderEpoch, next.LeaderEpoch)
		}
		checkPartition(t, p.hasELR, p.minISR, next)
		switch {
		case unclean:
			if !slices.Equal(next.ISR, []int32{next.Leader}) || next.RecoveryState != metadata.LeaderRecovering || len(next.ELR) > 0 {
				t.Fatalf("unclean: %+v", next)
			}
		case next.Leader >= 0 && slices.Contains(elr, next.Leader):
			left := without(elr, next.Leader)
			if p.minISR == 1 {
				left = nil
			}
			if !slices.Equal(next.ISR, []int32{next.Leader}) || !slices.Equal(next.ELR, left) {
				t.Fatalf("led by an eligible replica: %+v, eligible were %v", next, elr)
			}
		case len(isr) > 0 || p.hasELR:
			if !slices.Equal(next.ISR, isr) || !slices.Equal(next.ELR, elr) {
				t.Fatalf("isr %v, want %v; elr %v, want %v", next.ISR, isr, next.ELR, elr)
			}
		}
	})
}

// checkPartition makes sure of what holds for every partition at any time.
func checkPartition(t *rapid.T, hasELR bool, minISR int, p *metadata.Partition) {
	for _, id := range p.ISR {
		if slices.Contains(p.ELR, id) {
			t.Fatalf("%d is in sync and eligible: %+v", id, p)
		}
	}
	switch {
	case !containsAll(p.Replicas, p.ISR) || !containsAll(p.Replicas, p.ELR):
		t.Fatalf("in sync or eligible, and no replica: %+v", p)
	case p.Leader >= 0 && !slices.Contains(p.ISR, p.Leader):
		t.Fatalf("the leader is not in the ISR: %+v", p)
	case len(p.ISR) == 0 && !hasELR:
		t.Fatalf("the ISR is empty: %+v", p)
	case len(p.ELR) > 0 && len(p.ISR) >= minISR:
		t.Fatalf("eligible replicas beside an ISR of min.insync.replicas %d: %+v", minISR, p)
	case p.Leader >= 0 && len(p.LastKnownELR) > 0:
		t.Fatalf("a last known leader beside a leader: %+v", p)
	case len(p.LastKnownELR) > 1:
		t.Fatalf("several last known leaders: %+v", p)
	case len(p.ISR)+len(p.ELR)+len(p.LastKnownELR) == 0:
		t.Fatalf("nobody can ever lead: %+v", p)
	}
}

func naiveELR(p drawnPartition, isr []int32, lost int32) []int32 {
	if !p.hasELR || len(isr) >= p.minISR {
		return nil
	}
	var elr []int32
	for id := range int32(10) {
		had := slices.Contains(p.ISR, id) || slices.Contains(p.ELR, id)
		if had && id != lost && !slices.Contains(isr, id) {
			elr = append(elr, id)
		}
	}
	return elr
}

func naiveLeader(p drawnPartition, isr, elr []int32, kind election) (leader int32, unclean bool) {
	from := isr
	if len(isr) == 0 {
		from = elr
	}
	var clean, any []int32
	for _, id := range p.Replicas {
		if slices.Contains(p.alive, id) {
			any = append(any, id)
			if slices.Contains(from, id) {
				clean = append(clean, id)
			}
		}
	}
	switch {
	case kind == electPreferred && slices.Contains(clean, p.Replicas[0]):
		return p.Replicas[0], false
	case slices.Contains(clean, p.Leader):
		return p.Leader, false
	case len(clean) > 0:
		return clean[0], false
	case len(from) == 0 && len(p.LastKnownELR) == 1 && slices.Contains(any, p.LastKnownELR[0]):
		return p.LastKnownELR[0], true
	case kind == electUnclean && len(any) > 0:
		return any[0], true
	}
	return metadata.NoLeader, false
}
