package broker

import (
	"context"

	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetForLeaderEpoch: versions 2-4 (KIP-101, KIP-279, KIP-320 current leader epoch): the largest leader epoch not above
// the asked one, and the offset at which its records end.
func (b *Broker) offsetForLeaderEpoch(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	resp.Topics = answerAll(req.Topics, func(t *kmsg.OffsetForLeaderEpochRequestTopic) kmsg.OffsetForLeaderEpochResponseTopic {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		out.Partitions = answerAll(t.Partitions, func(p *kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
			po := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			part, err := b.replicas.Partition(t.Topic, p.Partition)
			end := replica.EpochEnd{Epoch: -1, EndOffset: -1}
			if err == nil {
				end, err = part.EndOffsetForEpoch(p.LeaderEpoch, p.CurrentLeaderEpoch)
			}
			po.Partition, po.ErrorCode = p.Partition, b.errorCode("OffsetForLeaderEpoch", err)
			po.LeaderEpoch, po.EndOffset = end.Epoch, end.EndOffset
			return po
		})
		return out
	})
	r.Reply(resp)
}
