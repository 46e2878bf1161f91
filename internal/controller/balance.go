package controller

import (
	"gregor/internal/metadata"
)

// maxElections is how many leaders one decision of a round changes. Requests get their turn in between.
const maxElections = 1000

// balanceState is how far a round of elections got that nobody asked for. A failover begins anew.
type balanceState struct {
	dueMs int64 // when the next round begins, 0 when that was not decided yet
	kind  election
	left  []metadata.UUID // topics that the round has still to look at
	from  int32           // partition of left[0] that is next
}

// balance gives leadership back to preferred leaders that are in sync again (auto.leader.rebalance.enable,
// leader.imbalance.check.interval.seconds), and elects unclean leaders where a topic has come to allow it
// (unclean.leader.election.interval.ms).
func (m *machine) balance(e env) decision {
	var d decision
	if e.config.Bool("auto.leader.rebalance.enable") {
		d.records = m.round(e, &m.soft.preferred, m.hard.imbalanced, e.config.Int64("leader.imbalance.check.interval.seconds")*1000)
	}
	d.records = append(d.records, m.round(e, &m.soft.unclean, m.hard.leaderless, e.config.Int64("unclean.leader.election.interval.ms"))...)
	d.apart = true
	return d
}

// hurryUnclean begins the next round of unclean elections at once when a configuration has come to allow them: somebody
// waits for his partitions. (Apache Kafka begins it when its time has come.)
func (m *machine) hurryUnclean(e env, changes []metadata.Record) {
	for _, r := range changes {
		if c, ok := r.(*metadata.ConfigRecord); ok && c.Name == keyUnclean && c.Value != nil && *c.Value == "true" {
			m.soft.unclean.dueMs = e.nowMs
		}
	}
}

// beforeBalance is when the machine wants to see the time again.
func (m *machine) beforeBalance(e env, periodMs int64) int64 {
	for _, s := range []*balanceState{&m.soft.preferred, &m.soft.unclean} {
		if len(s.left) > 0 {
			return 1
		}
		if s.dueMs > 0 {
			periodMs = max(min(periodMs, s.dueMs-e.nowMs), 1)
		}
	}
	return periodMs
}

// round goes on with a round, or begins the next one when its time has come.
func (m *machine) round(e env, s *balanceState, set partitionSet, intervalMs int64) []metadata.Record {
	if s.dueMs == 0 {
		s.dueMs = e.nowMs + intervalMs
	}
	if len(s.left) == 0 && e.nowMs >= s.dueMs {
		s.dueMs, s.from = e.nowMs+intervalMs, 0
		for _, topic := range m.sortedTopics(set) {
			s.left = append(s.left, topic.ID)
		}
	}
	var records []metadata.Record
	for ; len(s.left) > 0; s.left, s.from = s.left[1:], 0 {
		topic := m.hard.image.TopicByID(s.left[0])
		if topic == nil {
			continue // deleted meanwhile
		}
		rules := m.rules(e, topic)
		if s.kind == electUnclean && !rules.unclean {
			continue
		}
		for id := range set[topic.ID].all() {
			if id < s.from {
				continue
			}
			if len(records) == maxElections {
				s.from = id
				return records
			}
			c := m.changeOf(e, partitionAt{topic, id, topic.Partitions[id], rules})
			c.election = s.kind
			records = c.appendTo(records)
		}
	}
	s.left = nil
	return records
}
