package broker

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetDelete: version 0 (KIP-496). Partitions that do not exist are answered here, the others by the coordinator, which
// is asked even if there are none, so that the group is checked.
func (b *Broker) offsetDelete(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.OffsetDeleteRequest)
	image := b.image()
	resp := kmsg.NewPtrOffsetDeleteResponse()
	// A topic without partitions is not answered, as in Kafka.
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.OffsetDeleteRequestTopic) bool { return len(t.Partitions) == 0 })
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	var known []kmsg.OffsetDeleteRequestTopic
	var where []*kmsg.OffsetDeleteResponseTopicPartition // of each partition in known
	for i := range req.Topics {
		topic, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = topic.Topic
		rt.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(topic.Partitions))
		ask := kmsg.NewOffsetDeleteRequestTopic()
		ask.Topic = topic.Topic
		for j := range topic.Partitions {
			p, rp := topic.Partitions[j], &rt.Partitions[j]
			rp.Partition = p.Partition
			if image.Partition(topic.Topic, p.Partition) == nil {
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			}
			ask.Partitions = append(ask.Partitions, p)
			where = append(where, rp)
		}
		if len(ask.Partitions) > 0 {
			known = append(known, ask)
		}
	}
	req.Topics = known
	b.groups.OffsetDelete(r.groupCaller(), req, func(answer *kmsg.OffsetDeleteResponse) {
		if answer.ErrorCode != 0 {
			r.Reply(answer)
			return
		}
		for i := range answer.Topics {
			for j := range answer.Topics[i].Partitions {
				where[0].ErrorCode = answer.Topics[i].Partitions[j].ErrorCode
				where = where[1:]
			}
		}
		r.Reply(resp)
	})
}
