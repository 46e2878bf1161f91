package replica

import (
	"context"
	"errors"
	"maps"
	"slices"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// A log in which the start found damage is not opened, so its replica is not whole and serves nobody. If another one is, the
// controller is told that this one is lost, so that it is neither elected nor counted; its file is repaired as it lies there;
// then it is opened, and follows. Where nothing fits, the replica is made anew. While no other replica is whole this one stays
// offline as it is: what can be read of it may be all there is.

// maxMended is how many ranges of a log are repaired before all of it is copied instead: each one costs a recovery.
const maxMended = 32

// noteBroken remembers a replica whose log holds something else than what was written.
func (m *Manager) noteBroken(p *Partition, cause error) {
	if !errors.Is(cause, log.ErrCorrupt) {
		return
	}
	m.repairs.mu.Lock()
	defer m.repairs.mu.Unlock()
	if m.repairs.broken == nil {
		m.repairs.broken = make(map[*Partition]struct{})
	}
	m.repairs.broken[p] = struct{}{}
}

func (m *Manager) brokenOnes() []*Partition {
	m.repairs.mu.Lock()
	defer m.repairs.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.repairs.broken), (*Partition).compare)
}

func (m *Manager) forgetBroken(p *Partition) {
	m.repairs.mu.Lock()
	defer m.repairs.mu.Unlock()
	delete(m.repairs.broken, p)
}

// mendPartition takes the next step with a replica whose log could not be opened.
func (m *Manager) mendPartition(ctx context.Context, p *Partition) {
	r, now := m.turn(p)
	if !now {
		return
	}
	cause := m.o.Dirs.Broken(p.topic, p.index)
	if cause == nil || p.log.Load() != nil || p.role.Load().gone {
		m.forgetBroken(p)
		return
	}
	ids, mp := m.sources(p)
	if !m.whole(ids, mp) {
		return
	}
	if m.needed(mp) || mp.Dir(m.o.NodeID) != metadata.DirLost {
		r.until = m.now()
		m.becomeLost(p, r)
		return
	}
	d, found := log.DamageOf(cause)
	if !found || r.mended >= maxMended {
		m.replaceBroken(p, d, cause)
		return
	}
	r.until = m.now() // the next range need not wait
	err := m.mendDamage(ctx, p, d)
	if err == nil {
		r.mended++
		_, err = m.o.Dirs.Reopen(p.topic, p.index)
		if next, again := log.DamageOf(err); again && next.File == d.File && next.Position == d.Position {
			err = errors.Join(log.ErrNoFit, err)
		}
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		m.openMended(p)
	case errors.Is(err, log.ErrNoFit), errors.Is(err, errShort): // nobody waits for what is not committed here
		m.replaceBroken(p, d, err)
	case errors.Is(err, log.ErrCorrupt): // there is more
	default:
		r.until = m.now().Add(repairPause)
		r.say(m, p, d, err)
	}
}

// becomeLost tells the controller that it must not count on the replica.
func (m *Manager) becomeLost(p *Partition, r *repairing) {
	if r.leaving || m.o.AssignDirs == nil || !m.current.Load().HasDirectories() {
		return
	}
	m.o.Logger.Error("a replica is damaged and does not serve until it is repaired from another one", "topic", p.topic, "partition", p.index)
	m.leave(p, r)
}

// mendDamage fills a range with what another replica has there. What has nothing intact behind it is fetched again.
func (m *Manager) mendDamage(ctx context.Context, p *Partition, d log.Damage) error {
	fill := func(records []byte) (bool, error) { return m.o.Dirs.Mend(p.topic, p.index, d, records) }
	if d.Tail() {
		_, err := fill(nil)
		return err
	}
	return m.repairDamage(ctx, p, d, fill)
}

// openMended takes a log into use that could be opened.
func (m *Manager) openMended(p *Partition) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	_, mp := m.sources(p)
	if mp == nil || p.role.Load().gone {
		return
	}
	m.openLog(p, mp)
	if p.log.Load() == nil {
		return
	}
	m.o.Logger.Warn("a damaged replica is whole again and follows", "topic", p.topic, "partition", p.index)
	m.backInService(p, mp)
}

// replaceBroken has the whole replica copied.
func (m *Manager) replaceBroken(p *Partition, d log.Damage, cause error) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	ids, mp := m.sources(p)
	if p.log.Load() != nil || p.role.Load().gone || !m.whole(ids, mp) || m.needed(mp) {
		return
	}
	m.o.Logger.Error("a damaged replica is copied again as a whole", "topic", p.topic, "partition", p.index, "file", d.File, "offset", d.Offset, "error", cause.Error())
	m.makeAnew(p, mp)
}
