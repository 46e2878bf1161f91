package broker

import (
	"context"
	"iter"
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTopicPartitions: version 0 (KIP-966). Topics come in the order of their names, at most
// max.request.partition.size.limit partitions an answer; the cursor says where the next one goes on.
func (b *Broker) describeTopicPartitions(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	image := b.image()
	limit := max(min(b.config.Load().Int("max.request.partition.size.limit"), int(req.ResponsePartitionLimit)), 1)

	first, partition := "", 0
	if c := req.Cursor; c != nil {
		listed := len(req.Topics) == 0 || slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == c.Topic })
		if c.Partition < 0 || !listed {
			r.Reply(badCursor(req))
			return
		}
		first, partition = c.Topic, int(c.Partition)
	}

	for name, t := range topicsFrom(image, req.Topics, first) {
		if limit == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name}
			break
		}
		from := 0
		if name == first {
			from = partition
		}
		m := kmsg.NewDescribeTopicPartitionsResponseTopic()
		m.Topic, m.IsInternal, m.AuthorizedOperations = &name, isInternal(name), topicOperations
		if t == nil {
			m.ErrorCode = kerr.UnknownTopicOrPartition.Code
			if !validTopicName(name) {
				m.ErrorCode = kerr.InvalidTopicException.Code
			}
			resp.Topics = append(resp.Topics, m)
			continue
		}
		m.TopicID = t.ID
		to := min(from+limit, len(t.Partitions))
		for id := from; id < to; id++ {
			m.Partitions = append(m.Partitions, describePartition(image, t.Partitions[id], int32(id), r.Conn.Listener()))
		}
		limit -= max(to-from, 0)
		resp.Topics = append(resp.Topics, m)
		if to < len(t.Partitions) {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(to)}
			break
		}
	}
	r.Reply(resp)
}

// badCursor fails a request as a whole: the response has no error code of its own, so each topic gets it.
func badCursor(req *kmsg.DescribeTopicPartitionsRequest) *kmsg.DescribeTopicPartitionsResponse {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	for i := range req.Topics {
		t := kmsg.NewDescribeTopicPartitionsResponseTopic()
		t.Topic, t.ErrorCode = &req.Topics[i].Topic, kerr.InvalidRequest.Code
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// topicsFrom gives the topics asked for, or all, in the order of their names from the cursor's on; nil for one that
// does not exist.
func topicsFrom(image *metadata.Image, asked []kmsg.DescribeTopicPartitionsRequestTopic, first string) iter.Seq2[string, *metadata.Topic] {
	return func(yield func(string, *metadata.Topic) bool) {
		if len(asked) == 0 {
			for t := range image.TopicsFrom(first) {
				if !yield(t.Name, t) {
					return
				}
			}
			return
		}
		var names []string
		for _, t := range asked {
			if t.Topic >= first {
				names = append(names, t.Topic)
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !yield(name, image.Topic(name)) {
				return
			}
		}
	}
}

func describePartition(image *metadata.Image, p *metadata.Partition, id int32, listener string) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	m := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	state := stateOf(image, p, listener)
	m.Partition, m.LeaderID, m.LeaderEpoch = id, state.leader, p.LeaderEpoch
	m.Replicas, m.ISR, m.OfflineReplicas = p.Replicas, p.ISR, state.offline
	m.EligibleLeaderReplicas, m.LastKnownELR = p.ELR, p.LastKnownELR
	if m.EligibleLeaderReplicas == nil {
		m.EligibleLeaderReplicas = []int32{} // null would mean that they are not known
	}
	if m.LastKnownELR == nil {
		m.LastKnownELR = []int32{}
	}
	switch {
	case state.leader < 0 && state.leaderAlive:
		m.ErrorCode = kerr.ListenerNotFound.Code
	case state.leader < 0:
		m.ErrorCode = kerr.LeaderNotAvailable.Code
	}
	return m
}
