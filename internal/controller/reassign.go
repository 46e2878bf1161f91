package controller

import (
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A reassignment (KIP-455) first gives a partition all replicas, those to come and those to go. When all that are to
// stay are in the ISR, partitionChange takes the others away; that is usually the leader's AlterPartition. The replicas
// are the wanted ones in their order, then those to go.

// alterReassignments decides AlterPartitionReassignments (KIP-455, KIP-860).
func (m *machine) alterReassignments(e env, req *kmsg.AlterPartitionAssignmentsRequest) decision {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	var records []metadata.Record
	for _, t := range req.Topics {
		answer := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		answer.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition = t.Partitions[i].Partition
			c, err := m.reassign(e, t.Topic, &t.Partitions[i], req.Version == 0 || req.AllowReplicationFactorChange)
			if c != nil {
				records = c.appendTo(records)
			}
			err.put(&p.ErrorCode, &p.ErrorMessage)
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
		if len(records) > maxRecordsPerRequest {
			return decision{reply: failAll(req, errTooManyRecords)}
		}
	}
	return decision{records: records, reply: resp}
}

func (m *machine) reassign(e env, name string, want *kmsg.AlterPartitionAssignmentsRequestTopicPartition, anyFactor bool) (*partitionChange, *apiError) {
	topic := m.hard.image.Topic(name)
	if topic == nil {
		return nil, refuse(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", name)
	}
	at, ok := m.at(e, topic, want.Partition)
	if !ok {
		return nil, refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", name, want.Partition)
	}
	if want.Replicas == nil {
		return m.cancelReassignment(e, at)
	}
	if err := m.checkManual(want.Replicas, -1); err != nil {
		return nil, err
	}
	if n := len(difference(at.p.Replicas, at.p.Removing)); !anyFactor && len(want.Replicas) != n {
		return nil, refuse(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", n, len(want.Replicas))
	}
	c := m.changeOf(e, at)
	c.election = electOnline
	// Those of before the first reassignment that is not done yet, so that it can still be taken back. (Apache Kafka
	// forgets what a second reassignment leaves out.)
	before := difference(at.p.Replicas, at.p.Adding)
	c.removing = sorted(difference(at.p.Replicas, want.Replicas))
	c.replicas = slices.Concat(want.Replicas, c.removing)
	c.adding = sorted(difference(c.replicas, before))
	return c, nil
}

// cancelReassignment goes back to the replicas of before.
func (m *machine) cancelReassignment(e env, at partitionAt) (*partitionChange, *apiError) {
	if !at.p.IsReassigning() {
		return nil, &apiError{code: kerr.NoReassignmentInProgress} // Kafka says nothing more either
	}
	c := m.changeOf(e, at)
	c.replicas, c.adding, c.removing = difference(at.p.Replicas, at.p.Adding), nil, nil
	c.isr = difference(at.p.ISR, at.p.Adding)
	if len(c.replicas) == 0 {
		return nil, refuse(kerr.InvalidReplicaAssignment, "Invalid replica assignment: addingReplicas contains all replicas.")
	}
	if len(c.isr) > 0 || len(difference(at.p.ELR, at.p.Adding)) > 0 {
		return c, nil
	}
	// Only replicas that are to go have all records.
	if !at.unclean {
		return nil, refuse(kerr.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", at.topic.Name, at.id)
	}
	c.isr, c.recovery = c.replicas[:1], metadata.LeaderRecovering
	return c, nil
}

// listReassignments answers ListPartitionReassignments (KIP-455).
func (m *machine) listReassignments(req *kmsg.ListPartitionReassignmentsRequest) decision {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	list := func(topic *metadata.Topic, ids func(yield func(int32) bool)) {
		answer := kmsg.NewListPartitionReassignmentsResponseTopic()
		answer.Topic = topic.Name
		for id := range ids {
			if id < 0 || int(id) >= len(topic.Partitions) || !topic.Partitions[id].IsReassigning() {
				continue
			}
			p := topic.Partitions[id]
			answer.Partitions = append(answer.Partitions, kmsg.ListPartitionReassignmentsResponseTopicPartition{
				Partition: id, Replicas: p.Replicas, AddingReplicas: p.Adding, RemovingReplicas: p.Removing,
			})
		}
		if len(answer.Partitions) > 0 {
			resp.Topics = append(resp.Topics, answer)
		}
	}
	if req.Topics == nil {
		for _, topic := range m.sortedTopics(m.hard.reassigning) {
			list(topic, m.hard.reassigning[topic.ID].all())
		}
	}
	for _, t := range req.Topics {
		if topic := m.hard.image.Topic(t.Topic); topic != nil {
			list(topic, slices.Values(t.Partitions))
		}
	}
	return decision{reply: resp}
}

func sorted(ids []int32) []int32 { return slices.Sorted(slices.Values(ids)) }
