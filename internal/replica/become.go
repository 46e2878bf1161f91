package replica

import (
	"slices"

	"gregor/internal/metadata"
)

// become gives the partition the role that the metadata says, and tells those who wait for the old one.
func (p *Partition) become(m *Manager, mp *metadata.Partition) {
	old := p.role.Load()
	switch {
	case p.log.Load() == nil, p.leaving.Load() && mp.Leader != m.o.NodeID:
		p.resign(m, &role{leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch, offline: true})
	case mp.Leader == m.o.NodeID && old.leader != nil && old.leaderEpoch == mp.LeaderEpoch:
		old.leader.update(mp)
		old.leader.advance()
		return
	case mp.Leader == m.o.NodeID:
		p.becomeLeader(m, mp)
	case old.follower != nil && old.leaderEpoch == mp.LeaderEpoch:
		return
	default:
		f := &follower{p: p, leader: mp.Leader, epoch: mp.LeaderEpoch}
		p.resign(m, &role{follower: f, leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch})
		m.followers.follow(f)
	}
	p.advanced()
}

// becomeLeader begins a leader epoch. The epoch is noted in the log before the first append of it, so that a follower
// can find where it starts even if nothing is ever written in it.
func (p *Partition) becomeLeader(m *Manager, mp *metadata.Partition) {
	l := p.log.Load()
	p.resign(m, &role{leaderID: metadata.NoLeader, leaderEpoch: mp.LeaderEpoch})
	if err := l.AssignEpoch(mp.LeaderEpoch, l.EndOffset()); err != nil {
		m.o.Logger.Error("cannot note the leader epoch; the partition is offline", "topic", p.topic, "partition", p.index, "error", err.Error())
		p.swap(&role{leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch, offline: true})
		return
	}
	ld := newLeader(p, l, mp)
	p.swap(&role{leader: ld, leaderID: mp.Leader, leaderEpoch: mp.LeaderEpoch})
	ld.advance()
	if m.o.OnLeader != nil {
		m.o.OnLeader(p.topic, p.index, ld.epoch, p)
	}
}

// resign ends the present role and takes the next one.
func (p *Partition) resign(m *Manager, next *role) {
	old := p.swap(next)
	if old.follower != nil {
		m.followers.leave(old.follower)
	}
	if old.leader == nil {
		return
	}
	old.leader.resign()
	if m.o.OnResign != nil {
		m.o.OnResign(p.topic, p.index, old.leader.epoch)
	}
}

// swap waits for appends under the present role, so that none of them lands after the next role has begun.
func (p *Partition) swap(next *role) *role {
	p.lockRole()
	defer p.roleMu.Unlock()
	return p.role.Swap(next)
}

// lockRole keeps appends out. What is written and not yet on disk gets there first: the log's end is its true end then.
func (p *Partition) lockRole() {
	p.roleMu.Lock()
	if l := p.log.Load(); l != nil {
		l.FlushPending()
	}
}

// flushed is called when more of the log is on disk, which with flush.messages=1 is its end.
func (p *Partition) flushed() {
	if ld := p.role.Load().leader; ld != nil {
		ld.appended(0)
	}
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
