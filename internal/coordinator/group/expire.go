package group

import (
	"maps"
	"slices"
)

// expireAtOnce bounds how many tombstones one decision of a round writes.
const expireAtOnce = 1000

// scheduleExpiry begins a round over all groups at a time, and then one every offsets.retention.check.interval.ms.
func (m *Machine) scheduleExpiry(at int64) { m.timers.schedule(&m.expiry, at, m.expire) }

// expire removes offsets whose time is over, and empty groups without offsets, in steps.
func (m *Machine) expire() {
	if len(m.expiring) == 0 {
		m.expiring = slices.AppendSeq(slices.Sorted(maps.Keys(m.groups)), maps.Keys(m.foreign))
	}
	m.out.Divisible = true
	for len(m.expiring) > 0 && len(m.out.Records) < expireAtOnce {
		id := m.expiring[0]
		m.expiring = m.expiring[1:]
		f, occupied := m.occupied(id)
		if f != nil && (occupied || f.kind != consumerKind) {
			continue // what its members read is not known here
		}
		if g := m.groups[id]; g != nil {
			m.expireGroup(g)
		} else {
			m.retire(id)
		}
	}
	if len(m.expiring) > 0 {
		m.scheduleExpiry(m.now)
	} else {
		m.scheduleExpiry(m.now + m.config().OffsetsRetentionCheckMs)
	}
}

func (m *Machine) expireGroup(g *group) {
	since, ok := g.retainedSince()
	if !ok {
		return
	}
	retentionMs := m.config().OffsetsRetentionMs
	kept := false
	for topic, partitions := range m.offsets[g.id] {
		for p, s := range partitions {
			if s.latest == nil {
				continue
			}
			if !s.latest.expired(m.now, retentionMs, since) || g.live.subscribes(topic) || m.unsettled(g, topic, p) {
				kept = true
				continue
			}
			m.out.Append(offsetTombstone(g.id, topic, p))
		}
	}
	if !kept && g.live.state == Empty && len(g.openTxn) == 0 && len(g.live.invited) == 0 {
		m.retire(g.id)
		m.out.Append(groupTombstone(g.id))
	}
}

// retainedSince says from when the retention of the group's offsets counts (KIP-211): since the group became empty, or,
// with -1, since each commit: for consumers that assign partitions themselves, for topics that the group no longer
// subscribes to, and for groups from before that time was recorded. ok is false if no offset may expire.
func (g *group) retainedSince() (ms int64, ok bool) {
	l := g.live
	switch {
	case l.protocolType == "":
		return -1, true
	case l.state == Empty:
		return l.timestampMs, true
	case l.state == Stable && l.usesConsumerProtocol() && l.topics != nil:
		return -1, true
	}
	return 0, false
}

// expired tells whether an offset's time is over. One that was committed with a retention time of its own (OffsetCommit
// v2 to v4) keeps it.
func (o *offset) expired(now, retentionMs, since int64) bool {
	if o.expiresMs != -1 {
		return now >= o.expiresMs
	}
	if since == -1 {
		since = o.committedMs
	}
	return now-since >= retentionMs
}
