package controller

import (
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createPartitions decides CreatePartitions (KIP-195).
func (m *machine) createPartitions(e env, req *kmsg.CreatePartitionsRequest) decision {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	times := map[string]int{}
	for _, t := range req.Topics {
		times[t.Topic]++
	}
	var records []metadata.Record
	for i := range req.Topics {
		t := &req.Topics[i]
		if times[t.Topic] == 0 {
			continue
		}
		var made []metadata.Record
		var err *apiError
		if times[t.Topic] > 1 {
			err = refuse(kerr.InvalidRequest, "Duplicate topic name.")
			delete(times, t.Topic)
		} else {
			made, err = m.addPartitions(e, t)
		}
		if err == nil && len(records)+len(made) > maxRecordsPerRequest {
			return decision{reply: failAll(req, errTooManyRecords)}
		}
		records = append(records, made...)
		result := kmsg.NewCreatePartitionsResponseTopic()
		result.Topic = t.Topic
		err.put(&result.ErrorCode, &result.ErrorMessage)
		resp.Topics = append(resp.Topics, result)
	}
	if req.ValidateOnly {
		records = nil
	}
	return decision{records: records, reply: resp}
}

func (m *machine) addPartitions(e env, t *kmsg.CreatePartitionsRequestTopic) ([]metadata.Record, *apiError) {
	topic := m.hard.image.Topic(t.Topic)
	if topic == nil {
		return nil, &apiError{code: kerr.UnknownTopicOrPartition} // Kafka says nothing more either
	}
	have := len(topic.Partitions)
	more := int(t.Count) - have
	switch {
	case more == 0:
		return nil, refuse(kerr.InvalidPartitions, "Topic already has %d partition(s).", have)
	case more < 0:
		return nil, refuse(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	case more > maxRecordsPerRequest:
		return nil, errTooManyRecords
	case t.Assignment != nil && len(t.Assignment) != more:
		return nil, refuse(kerr.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(t.Assignment))
	}
	replicas := len(topic.Partitions[0].Replicas)
	placer := newPlacer(m.placeable(), e.random)
	if t.Assignment == nil {
		if err := placer.check(replicas); err != nil {
			return nil, err
		}
	}
	var records []metadata.Record
	for i := range more {
		id := int32(have + i)
		var brokers []int32
		if t.Assignment != nil {
			brokers = t.Assignment[i].Replicas
			if err := m.checkManual(brokers, replicas); err != nil {
				return nil, err
			}
		} else {
			brokers = placer.place(replicas)
		}
		p, ok := m.newPartition(brokers)
		if !ok && t.Assignment != nil {
			return nil, allFenced(id)
		} else if !ok {
			return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced or in controlled shutdown.", replicas)
		}
		records = append(records, p.Record(topic.ID, id))
	}
	return records, nil
}
