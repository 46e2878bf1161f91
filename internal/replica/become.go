package replica

import (
	"slices"

	"gregor/internal/metadata"
)

// become gives the partition the role that the metadata says. What is to be told to others is returned.
func (p *Partition) become(m *Manager, mp *metadata.Partition) (after []func()) {
	old := p.role.Load()
	l := p.log.Load()
	switch {
	case l == nil:
		return append(p.resign(m, &role{leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch, offline: true}), p.advanced)
	case mp.Leader == m.o.NodeID && old.leader != nil && old.leaderEpoch == mp.LeaderEpoch:
		old.leader.update(mp)
		return []func(){old.leader.advance}
	case mp.Leader == m.o.NodeID:
		return p.becomeLeader(m, mp)
	default:
		next := &role{follower: &follower{}, leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch}
		return append(p.resign(m, next), p.advanced)
	}
}

// becomeLeader begins a leader epoch. The epoch is noted in the log before the first append of it, so that a follower
// can find where it starts even if nothing is ever written in it.
func (p *Partition) becomeLeader(m *Manager, mp *metadata.Partition) (after []func()) {
	l := p.log.Load()
	after = p.resign(m, &role{leaderID: metadata.NoLeader, leaderEpoch: mp.LeaderEpoch})
	if err := l.AssignEpoch(mp.LeaderEpoch, l.EndOffset()); err != nil {
		m.o.Logger.Error("cannot note the leader epoch; the partition is offline", "topic", p.topic, "partition", p.index, "error", err.Error())
		p.swap(&role{leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch, offline: true})
		return append(after, p.advanced)
	}
	ld := newLeader(p, l, mp)
	p.swap(&role{leader: ld, leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch})
	return append(after, ld.advance, p.advanced, func() {
		if m.o.OnLeader != nil {
			m.o.OnLeader(p.topic, p.index, ld.epoch, p)
		}
	})
}

// resign ends the present role and takes the next one.
func (p *Partition) resign(m *Manager, next *role) (after []func()) {
	old := p.swap(next)
	if old.leader == nil {
		return nil
	}
	return []func(){old.leader.resign, func() {
		if m.o.OnResign != nil {
			m.o.OnResign(p.topic, p.index, old.leader.epoch)
		}
	}}
}

// swap waits for appends under the present role, so that none of them lands after the next role has begun.
func (p *Partition) swap(next *role) *role {
	p.roleMu.Lock()
	defer p.roleMu.Unlock()
	return p.role.Swap(next)
}

// ISR returns the replicas that are in sync, as the leader knows them; nil if this broker does not lead.
func (p *Partition) ISR() []int32 {
	ld, err := p.lead(NoEpoch)
	if err != nil {
		return nil
	}
	ld.mu.Lock()
	defer ld.mu.Unlock()
	return slices.Clone(ld.isr)
}
