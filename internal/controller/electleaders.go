package controller

import (
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Election types of ElectLeaders (KIP-460).
const (
	electionPreferred = 0
	electionUnclean   = 1
)

// electLeaders decides ElectLeaders (KIP-183, KIP-460).
func (m *machine) electLeaders(e env, req *kmsg.ElectLeadersRequest) decision {
	kind := req.ElectionType
	if req.Version == 0 {
		kind = electionPreferred
	}
	if kind != electionPreferred && kind != electionUnclean {
		return decision{reply: failAll(req, refuse(kerr.InvalidRequest, "Unknown election type %d", kind))}
	}
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	var records []metadata.Record
	elect := func(answer *kmsg.ElectLeadersResponseTopic, id int32, all bool) {
		record, err := m.elect(e, answer.Topic, id, kind)
		if all && err != nil && err.code == kerr.ElectionNotNeeded {
			return
		}
		if record != nil {
			records = append(records, record)
		}
		p := kmsg.NewElectLeadersResponseTopicPartition()
		p.Partition = id
		err.put(&p.ErrorCode, &p.ErrorMessage)
		answer.Partitions = append(answer.Partitions, p)
	}
	if req.Topics == nil {
		for topic := range m.hard.image.Topics() {
			answer := kmsg.ElectLeadersResponseTopic{Topic: topic.Name}
			for id := range topic.Partitions {
				elect(&answer, int32(id), true)
			}
			resp.Topics = append(resp.Topics, answer)
		}
	}
	for _, t := range req.Topics {
		answer := kmsg.ElectLeadersResponseTopic{Topic: t.Topic}
		for _, id := range t.Partitions {
			elect(&answer, id, false)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return decision{records: records, apart: true, reply: resp}
}

func (m *machine) elect(e env, name string, id int32, kind int8) (metadata.Record, *apiError) {
	topic := m.hard.image.Topic(name)
	if topic == nil {
		return nil, refuse(kerr.UnknownTopicOrPartition, "No such topic as %s", name)
	}
	at, ok := m.at(e, topic, id)
	if !ok {
		return nil, refuse(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", name, id)
	}
	if kind == electionPreferred && at.p.HasPreferredLeader() || kind == electionUnclean && at.p.Leader != metadata.NoLeader {
		return nil, refuse(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")
	}
	c := m.changeOf(e, at)
	c.election = electPreferred
	if kind == electionUnclean {
		c.election = electUnclean
	}
	if r := c.record(); r != nil {
		return r, nil
	}
	if kind == electionPreferred {
		return nil, refuse(kerr.PreferredLeaderNotAvailable, "The preferred leader was not available.")
	}
	return nil, refuse(kerr.EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
}
