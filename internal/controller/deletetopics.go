package controller

import (
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteTopics decides DeleteTopics: by name up to version 5, by name or id from version 6 on (KIP-516).
func (m *machine) deleteTopics(e env, req *kmsg.DeleteTopicsRequest) decision {
	if !e.config.Bool("delete.topic.enable") {
		if req.Version < 3 {
			return decision{reply: failAll(req, refuse(kerr.InvalidRequest, "Topic deletion is disabled."))}
		}
		return decision{reply: failAll(req, plain(kerr.TopicDeletionDisabled))}
	}
	d := topicDeletion{machine: m, resp: req.ResponseKind().(*kmsg.DeleteTopicsResponse), deleted: map[metadata.UUID]bool{}}
	wanted := deleteTargets(req)
	names, ids := map[string]int{}, map[metadata.UUID]int{}
	for _, t := range wanted {
		if t.Topic != nil && t.TopicID == metadata.ZeroUUID {
			names[*t.Topic]++
		} else if t.Topic == nil {
			ids[t.TopicID]++
		}
	}
	for _, t := range wanted {
		switch id := metadata.UUID(t.TopicID); {
		case t.Topic == nil && id.IsZero():
			d.answer(nil, id, refuse(kerr.InvalidRequest, "Neither topic name nor id were specified."))
		case t.Topic != nil && !id.IsZero():
			d.answer(t.Topic, id, refuse(kerr.InvalidRequest, "You may not specify both topic name and topic id."))
		case t.Topic == nil:
			d.byID(id, ids)
		default:
			d.byName(*t.Topic, names)
		}
	}
	return decision{records: d.records, reply: d.resp}
}

func deleteTargets(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	if req.Version >= 6 {
		return req.Topics
	}
	topics := make([]kmsg.DeleteTopicsRequestTopic, len(req.TopicNames))
	for i := range topics {
		topics[i].Topic = &req.TopicNames[i]
	}
	return topics
}

type topicDeletion struct {
	*machine
	resp    *kmsg.DeleteTopicsResponse
	deleted map[metadata.UUID]bool
	records []metadata.Record
}

func (d *topicDeletion) byID(id metadata.UUID, times map[metadata.UUID]int) {
	switch topic := d.hard.image.TopicByID(id); {
	case times[id] == 0:
	case times[id] > 1:
		times[id] = 0 // one answer for all
		d.answer(nil, id, refuse(kerr.InvalidRequest, "Duplicate topic id."))
	case topic == nil:
		d.answer(nil, id, plain(kerr.UnknownTopicID))
	default:
		d.remove(topic)
	}
}

func (d *topicDeletion) byName(name string, times map[string]int) {
	switch topic := d.hard.image.Topic(name); {
	case times[name] == 0:
	case times[name] > 1:
		times[name] = 0
		d.answer(&name, metadata.ZeroUUID, refuse(kerr.InvalidRequest, "Duplicate topic name."))
	case topic == nil:
		d.answer(&name, metadata.ZeroUUID, plain(kerr.UnknownTopicOrPartition))
	default:
		d.remove(topic)
	}
}

func (d *topicDeletion) remove(topic *metadata.Topic) {
	if d.deleted[topic.ID] {
		d.answer(&topic.Name, topic.ID, refuse(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied."))
		return
	}
	d.deleted[topic.ID] = true
	d.records = append(d.records, &metadata.RemoveTopicRecord{TopicID: topic.ID})
	d.answer(&topic.Name, topic.ID, nil)
}

func (d *topicDeletion) answer(name *string, id metadata.UUID, err *apiError) {
	t := kmsg.NewDeleteTopicsResponseTopic()
	t.Topic, t.TopicID = name, id
	err.put(&t.ErrorCode, &t.ErrorMessage)
	d.resp.Topics = append(d.resp.Topics, t)
}
