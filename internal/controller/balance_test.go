package controller

import (
	"testing"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A round that changes more leaders than one decision may goes on where it stopped, and lets requests in between.
func TestBalanceInSteps(t *testing.T) {
	s := newScenario(t, map[string]string{"leader.imbalance.check.interval.seconds": "1", "broker.session.timeout.ms": "1000000"})
	s.withBroker(t)
	s.decide(t, decision{records: []metadata.Record{&metadata.RegisterBrokerRecord{BrokerID: 2, BrokerEpoch: 7}}})
	const topics, partitions = 5, 500
	for i := range topics {
		topic := metadata.UUID{byte(i), 15: 100}
		records := []metadata.Record{&metadata.TopicRecord{Name: string(rune('a' + i)), TopicID: topic}}
		for id := range int32(partitions) {
			p := &metadata.Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 2}
			records = append(records, p.Record(topic, id))
		}
		s.decide(t, decision{records: records})
	}
	tick := func() (elected int, next int64) {
		d, next := s.m.tick(s.e)
		s.decide(t, d)
		return len(d.records), next
	}
	if n, next := tick(); n != 0 || next > 1000 {
		t.Fatalf("%d elections before the round, the next look in %d ms", n, next)
	}
	s.e.nowMs += 1000
	for _, want := range []int{1000, 1000, 500} {
		n, next := tick()
		if n != want || want == maxElections && next != 1 {
			t.Fatalf("%d elections, want %d; the next look in %d ms", n, want, next)
		}
	}
	if n, _ := tick(); n != 0 || len(s.m.hard.imbalanced) != 0 {
		t.Fatalf("%d elections more, %d topics left", n, len(s.m.hard.imbalanced))
	}
}

// A topic that is deleted in the middle of a round is passed over.
func TestBalanceOfDeletedTopics(t *testing.T) {
	s := newScenario(t, map[string]string{"leader.imbalance.check.interval.seconds": "1", "broker.session.timeout.ms": "1000000"})
	s.withBroker(t)
	s.decide(t, decision{records: []metadata.Record{&metadata.RegisterBrokerRecord{BrokerID: 2, BrokerEpoch: 7}}})
	for i := range 3 {
		topic := metadata.UUID{byte(i), 15: 100}
		records := []metadata.Record{&metadata.TopicRecord{Name: string(rune('a' + i)), TopicID: topic}}
		for id := range int32(900) {
			p := &metadata.Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 2}
			records = append(records, p.Record(topic, id))
		}
		s.decide(t, decision{records: records})
	}
	s.m.tick(s.e)
	s.e.nowMs += 1000
	elected := 0
	for i := range 3 {
		d, _ := s.m.tick(s.e)
		elected += len(d.records)
		s.decide(t, d)
		if i == 0 { // it is in the middle of the second
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.Version, req.TopicNames = 5, []string{"b"}
			s.decide(t, s.m.request(s.e, Caller{}, req))
		}
	}
	if elected != 900+100+900 || len(s.m.hard.imbalanced) != 0 {
		t.Fatalf("%d elections, %d topics left", elected, len(s.m.hard.imbalanced))
	}
}
