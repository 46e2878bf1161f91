package controller

import (
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterPartition decides AlterPartition (KIP-497, KIP-704, KIP-903): a leader changes its ISR.
func (m *machine) alterPartition(e env, req *kmsg.AlterPartitionRequest) decision {
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	if _, err := m.checkEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		resp.ErrorCode = err.number()
		return decision{reply: resp}
	}
	var records []metadata.Record
	for _, t := range req.Topics {
		answer := kmsg.NewAlterPartitionResponseTopic()
		answer.TopidID = t.TopicID
		topic := m.hard.image.TopicByID(t.TopicID)
		for i := range t.Partitions {
			p := kmsg.NewAlterPartitionResponseTopicPartition()
			p.Partition = t.Partitions[i].Partition
			record, err := m.alterISR(e, req, topic, &t.Partitions[i], &p)
			p.ErrorCode = err.number()
			if record != nil {
				records = append(records, record)
			}
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return decision{records: records, apart: true, reply: resp}
}

// alterISR decides about one partition. A record and an error may come together: a change that moves the leadership
// away answers NEW_LEADER_ELECTED to the leader that asked for it.
func (m *machine) alterISR(e env, req *kmsg.AlterPartitionRequest, topic *metadata.Topic, want *kmsg.AlterPartitionRequestTopicPartition, answer *kmsg.AlterPartitionResponseTopicPartition) (metadata.Record, *apiError) {
	if topic == nil {
		return nil, plain(kerr.UnknownTopicID)
	}
	at, ok := m.at(e, topic, want.Partition)
	if !ok {
		return nil, plain(kerr.UnknownTopicOrPartition)
	}
	p := at.p
	isr, err := m.checkISR(req, p, want)
	if err != nil {
		return nil, err
	}
	c := m.changeOf(e, at)
	c.isr, c.recovery = isr, metadata.LeaderRecoveryState(want.LeaderRecoveryState)
	r := c.record()
	var record metadata.Record
	if r != nil {
		record = r
		p = p.Merge(r)
		if p.Leader != req.BrokerID {
			return record, plain(kerr.NewLeaderElected)
		}
	}
	answer.LeaderID, answer.LeaderEpoch, answer.PartitionEpoch = p.Leader, p.LeaderEpoch, p.PartitionEpoch
	answer.ISR, answer.LeaderRecoveryState = p.ISR, int8(p.RecoveryState)
	return record, nil
}

func (m *machine) checkISR(req *kmsg.AlterPartitionRequest, p *metadata.Partition, want *kmsg.AlterPartitionRequestTopicPartition) ([]int32, *apiError) {
	members := want.NewEpochISR
	if req.Version < 3 {
		members = nil
		for _, id := range want.NewISR {
			members = append(members, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
		}
	}
	isr := make([]int32, len(members))
	for i, b := range members {
		isr[i] = b.BrokerID
	}
	recovering := want.LeaderRecoveryState == int8(metadata.LeaderRecovering)
	switch {
	// A leader that knows more than we do: we are not the controller any more.
	case want.LeaderEpoch > p.LeaderEpoch || want.PartitionEpoch > p.PartitionEpoch:
		return nil, plain(kerr.NotController)
	case want.LeaderEpoch < p.LeaderEpoch:
		return nil, plain(kerr.FencedLeaderEpoch)
	case req.BrokerID != p.Leader:
		return nil, plain(kerr.InvalidRequest)
	case want.PartitionEpoch < p.PartitionEpoch:
		return nil, plain(kerr.InvalidUpdateVersion)
	case !isSubset(isr, p.Replicas) || !slices.Contains(isr, p.Leader):
		return nil, plain(kerr.InvalidRequest)
	case want.LeaderRecoveryState < 0 || want.LeaderRecoveryState > int8(metadata.LeaderRecovering):
		return nil, plain(kerr.InvalidRequest)
	case recovering && (len(isr) > 1 || p.RecoveryState == metadata.LeaderRecovered):
		return nil, plain(kerr.InvalidRequest)
	}
	for _, member := range members {
		b := m.hard.image.Broker(member.BrokerID)
		// A follower that has restarted since the leader heard of it may have lost what it had (KIP-903).
		if b == nil || b.Fenced || b.ShuttingDown || !b.IsOnlineDir(p.Dir(member.BrokerID)) || member.BrokerEpoch != -1 && member.BrokerEpoch != b.Epoch {
			return nil, plain(kerr.IneligibleReplica)
		}
	}
	return isr, nil
}

// isSubset reports whether all members are in set, and none twice.
func isSubset(members, set []int32) bool {
	if len(members) == 0 {
		return false
	}
	sorted := slices.Sorted(slices.Values(members))
	return len(slices.Compact(sorted)) == len(members) && containsAll(set, members)
}
