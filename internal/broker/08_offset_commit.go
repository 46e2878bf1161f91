package broker

import (
	"context"
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetCommit: versions 2-10 (KIP-211 retention, KIP-320 leader epochs, KIP-345 static members, KIP-848 from 9,
// KIP-516 topic ids in 10).
//
// Partitions that do not exist are answered here, the others by the group's coordinator. A request without any of the
// latter is not checked for the group, as in Kafka.
func (b *Broker) offsetCommit(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.OffsetCommitRequest)
	image := b.image()
	resp := kmsg.NewPtrOffsetCommitResponse()
	// A topic without partitions is not answered, as in Kafka.
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	var known []kmsg.OffsetCommitRequestTopic
	var where []*kmsg.OffsetCommitResponseTopicPartition // of each partition in known
	for i := range req.Topics {
		topic, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(topic.Partitions))
		t, missing := b.groupTopic(image, r.Version >= 10, topic.Topic, topic.TopicID)
		ask := kmsg.NewOffsetCommitRequestTopic()
		if t != nil {
			ask.Topic, ask.TopicID = t.Name, t.ID
		}
		for j := range topic.Partitions {
			p, rp := &topic.Partitions[j], &rt.Partitions[j]
			rp.Partition = p.Partition
			switch {
			case t == nil:
				rp.ErrorCode = missing.Code
			case p.Partition < 0 || int(p.Partition) >= len(t.Partitions):
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			default:
				ask.Partitions = append(ask.Partitions, *p)
				where = append(where, rp)
			}
		}
		if len(ask.Partitions) > 0 {
			known = append(known, ask)
		}
	}
	if len(known) == 0 {
		r.Reply(resp)
		return
	}
	req.Topics = known
	b.groups.OffsetCommit(r.groupCaller(), req, func(answer *kmsg.OffsetCommitResponse) {
		for i := range answer.Topics {
			for j := range answer.Topics[i].Partitions {
				where[0].ErrorCode = answer.Topics[i].Partitions[j].ErrorCode
				where = where[1:]
			}
		}
		r.Reply(resp)
	})
}

// groupTopic finds a topic that a request about a group names, by id or by name, or says what is wrong.
func (b *Broker) groupTopic(image *metadata.Image, byID bool, name string, id [16]byte) (*metadata.Topic, *kerr.Error) {
	if byID {
		if t := image.TopicByID(metadata.UUID(id)); t != nil {
			return t, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if t := image.Topic(name); t != nil {
		return t, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}
