package controller

import (
	"strconv"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Eligible leader replicas (KIP-966) are right only as long as everybody takes the same number for min.insync.replicas:
// what a leader acknowledges by its number, the controller elects by its own. So while the feature is on, the number is
// set for the whole cluster, brokers have none of their own, and a change of it forgets who was eligible under the old.

// minISRRecords are what goes with turning the feature on: the number of the whole cluster, unless it is set already,
// and the end of those of single brokers.
func (m *machine) minISRRecords(e env) []metadata.Record {
	var records []metadata.Record
	image := m.hard.image
	if _, ok := image.Config(metadata.BrokerConfig, "")[keyMinISR]; !ok {
		value := strconv.Itoa(e.config.Int(keyMinISR))
		records = append(records, &metadata.ConfigRecord{ResourceType: int8(metadata.BrokerConfig), Name: keyMinISR, Value: &value})
	}
	for resource, values := range image.Configs() {
		if _, ok := values[keyMinISR]; ok && resource.Kind == metadata.BrokerConfig && resource.Name != "" {
			records = append(records, &metadata.ConfigRecord{ResourceType: int8(metadata.BrokerConfig), ResourceName: resource.Name, Name: keyMinISR})
		}
	}
	return records
}

// checkMinISR refuses a change that would give brokers different numbers.
func (m *machine) checkMinISR(r *metadata.ConfigRecord) *apiError {
	if r.Name != keyMinISR || metadata.ConfigKind(r.ResourceType) != metadata.BrokerConfig || !m.hard.image.HasELR() {
		return nil
	}
	switch {
	case r.ResourceName != "":
		return refuse(kerr.InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
	case r.Value == nil:
		return refuse(kerr.InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
	}
	return nil
}

// clearELR returns the records that forget who was eligible under a number that is changed. Where nobody leads they are
// known again at once: nothing was acknowledged there since, under any number, and without them the partition would be
// lost. (Apache Kafka forgets these too, and leaves the partition to an unclean election.)
func (m *machine) clearELR(changes []metadata.Record) []metadata.Record {
	if !m.hard.image.HasELR() {
		return nil
	}
	var records []metadata.Record
	for _, r := range changes {
		c, ok := r.(*metadata.ConfigRecord)
		if !ok || c.Name != keyMinISR {
			continue
		}
		if metadata.ConfigKind(c.ResourceType) != metadata.TopicConfig {
			records = append(records, m.clearAllELR()...)
			continue
		}
		records = append(records, &metadata.ClearElrRecord{TopicName: c.ResourceName})
		records = m.keepELR(records, m.hard.image.Topic(c.ResourceName))
	}
	return records
}

func (m *machine) clearAllELR() []metadata.Record {
	records := []metadata.Record{&metadata.ClearElrRecord{}}
	for _, topic := range m.sortedTopics(m.hard.leaderless) {
		records = m.keepELR(records, topic)
	}
	return records
}

// keepELR notes the eligible leader replicas of a topic's partitions without a leader anew.
func (m *machine) keepELR(records []metadata.Record, topic *metadata.Topic) []metadata.Record {
	for id := range m.hard.leaderless[topic.ID].all() {
		p := topic.Partitions[id]
		if len(p.ELR)+len(p.LastKnownELR) == 0 {
			continue
		}
		r := metadata.NewPartitionChangeRecord()
		r.TopicID, r.PartitionID = topic.ID, id
		if len(p.ELR) > 0 {
			r.EligibleLeaderReplicas = p.ELR
		}
		if len(p.LastKnownELR) > 0 {
			r.LastKnownELR = p.LastKnownELR
		}
		records = append(records, r)
	}
	return records
}
