package group

import (
	"cmp"

	"gregor/internal/coordinator"
)

// offset is a committed offset.
type offset struct {
	at          int64
	leaderEpoch int32 // -1 if unknown
	metadata    string
	committedMs int64
	expiresMs   int64    // -1: the broker's retention applies
	topicID     [16]byte // zero if unknown
	position    int64    // of its record, to tell which of two is newer
}

// slot is the place of one partition's offset. Decisions see latest; an OffsetFetch sees visible, which follows when
// the record is committed, so that no client starts from an offset that a failover takes back.
type slot struct {
	latest, visible *offset
	changes         int // applied and not committed
}

// offsets are a group's, by topic and partition.
type offsets map[string]map[int32]*slot

func (o offsets) get(topic string, partition int32) *slot { return o[topic][partition] }

func (o offsets) slot(topic string, partition int32) *slot {
	partitions := o[topic]
	if partitions == nil {
		partitions = make(map[int32]*slot, 1)
		o[topic] = partitions
	}
	s := partitions[partition]
	if s == nil {
		s = &slot{}
		partitions[partition] = s
	}
	return s
}

// place names a slot.
type place struct {
	group     string
	topic     string
	partition int32
}

// change is an applied record that is not committed yet.
type change struct {
	position int64
	place    place
	slot     *slot
	to       *offset
}

// transaction holds the offsets that a producer has sent (TxnOffsetCommit) and neither committed nor aborted.
type transaction map[place]*offset

// setOffset is the effect of an offset's record, or of the end of its transaction.
func (m *Machine) setOffset(position int64, p place, to *offset) {
	of := m.offsets[p.group]
	var s *slot
	if to == nil {
		if s = of.get(p.topic, p.partition); s == nil {
			return
		}
	} else {
		if m.groups[p.group] == nil {
			m.create(p.group)
		}
		if of == nil {
			of = offsets{}
			m.offsets[p.group] = of
		}
		s = of.slot(p.topic, p.partition)
		to.position = position
	}
	s.latest = to
	s.changes++
	m.uncommitted = append(m.uncommitted, change{position, p, s, to})
}

// tidy removes a slot that holds nothing any more, and what held nothing but it.
func (m *Machine) tidy(p place) {
	of := m.offsets[p.group]
	if s := of.get(p.topic, p.partition); s == nil || s.changes > 0 || s.visible != nil {
		return
	}
	if delete(of[p.topic], p.partition); len(of[p.topic]) > 0 {
		return
	}
	if delete(of, p.topic); len(of) == 0 {
		delete(m.offsets, p.group)
	}
}

// Committed shows the offsets up to position to clients.
func (m *Machine) Committed(position int64) {
	n := 0
	for n < len(m.uncommitted) && m.uncommitted[n].position <= position {
		c := &m.uncommitted[n]
		c.slot.visible = c.to
		c.slot.changes--
		if c.to == nil {
			m.tidy(c.place)
		}
		n++
	}
	if n > 0 {
		rest := copy(m.uncommitted, m.uncommitted[n:])
		clear(m.uncommitted[rest:])
		m.uncommitted = m.uncommitted[:rest]
	}
}

// Mark ends a transaction: its offsets take effect, or are forgotten.
func (m *Machine) Mark(position int64, mark coordinator.Marker) {
	t := m.transactions[mark.ProducerID]
	delete(m.transactions, mark.ProducerID)
	for p, o := range t {
		if g := m.groups[p.group]; g != nil {
			delete(g.openTxn, mark.ProducerID)
		}
		if !mark.Commit {
			continue
		}
		// A plain commit that came after the transaction's own wins.
		if s := m.offsets[p.group].get(p.topic, p.partition); s == nil || s.latest == nil || s.latest.position < o.position {
			written := o.position
			m.setOffset(position, p, o)
			o.position = written
		}
	}
}

// unsettled tells whether a transaction holds an offset for the partition.
func (m *Machine) unsettled(g *group, topic string, partition int32) bool {
	for producer := range g.openTxn {
		if _, ok := m.transactions[producer][place{g.id, topic, partition}]; ok {
			return true
		}
	}
	return false
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.group, q.group), cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition))
}
