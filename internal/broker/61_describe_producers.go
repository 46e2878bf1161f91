package broker

import (
	"context"
	"slices"

	"gregor/internal/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeProducers: version 0 (KIP-664): the producers whose state a partition keeps. A partition that is named twice is
// answered once, because its answer may be long; Kafka answers twice.
func (b *Broker) describeProducers(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeProducersRequest)
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	seen := map[partitionKey]bool{}
	resp.Topics = answerAll(req.Topics, func(t *kmsg.DescribeProducersRequestTopic) kmsg.DescribeProducersResponseTopic {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p int32) bool {
			key := partitionKey{topic: t.Topic, partition: p}
			twice := seen[key]
			seen[key] = true
			return twice
		})
		out.Partitions = answerAll(t.Partitions, func(p *int32) kmsg.DescribeProducersResponseTopicPartition {
			return b.partitionProducers(t.Topic, *p)
		})
		return out
	})
	r.Reply(resp)
}

func (b *Broker) partitionProducers(topic string, partition int32) kmsg.DescribeProducersResponseTopicPartition {
	out := kmsg.NewDescribeProducersResponseTopicPartition()
	out.Partition = partition
	part, err := b.replicas.Partition(topic, partition)
	var states []log.ProducerState
	if err == nil {
		states, err = part.Producers()
	}
	if out.ErrorCode = b.errorCode("DescribeProducers", err); err != nil {
		return out
	}
	slices.SortFunc(states, func(a, b log.ProducerState) int { return int(min(max(a.ProducerID-b.ProducerID, -1), 1)) })
	for _, s := range states {
		p := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		p.ProducerID, p.ProducerEpoch = s.ProducerID, int32(s.ProducerEpoch)
		p.LastSequence, p.LastTimestamp = s.LastSequence, s.LastTimestampMs
		p.CoordinatorEpoch, p.CurrentTxnStartOffset = s.CoordinatorEpoch, s.CurrentTxnStartOffset
		out.ActiveProducers = append(out.ActiveProducers, p)
	}
	return out
}
