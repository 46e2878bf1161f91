package broker

import (
	"context"

	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListOffsets: versions 1-11 (KIP-98 isolation from 2, KIP-207 and KIP-320 from 4 and 5, KIP-734 max timestamp from 7,
// KIP-405 earliest local from 8, KIP-1005 latest tiered from 9, KIP-1075 timeout from 10, KIP-1023 earliest pending
// upload from 11).
//
// Nothing is tiered: the timestamps of KIP-405 see the whole log as local, those of KIP-1005 and KIP-1023 find no offset.
func (b *Broker) listOffsets(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	twice := listedTwice(req)
	resp.Topics = answerAll(req.Topics, func(t *kmsg.ListOffsetsRequestTopic) kmsg.ListOffsetsResponseTopic {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		out.Partitions = answerAll(t.Partitions, func(p *kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
			if _, bad := twice[partitionKey{topic: t.Topic, partition: p.Partition}]; bad {
				return listOffsetsError(p.Partition, kerr.InvalidRequest.Code)
			}
			return b.listOffset(req, t.Topic, p)
		})
		return out
	})
	r.Reply(resp)
}

func (b *Broker) listOffset(req *kmsg.ListOffsetsRequest, topic string, p *kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	if !timestampKnown(p.Timestamp, req.Version) {
		return listOffsetsError(p.Partition, kerr.UnsupportedVersion.Code)
	}
	part, err := b.replicas.Partition(topic, p.Partition)
	var found replica.OffsetInfo
	if err == nil {
		isolation := replica.Isolation(req.IsolationLevel)
		if req.ReplicaID != -1 {
			isolation = replica.ReadAll
		}
		found, err = part.ListOffset(p.Timestamp, isolation, p.CurrentLeaderEpoch)
	}
	if err != nil {
		code := b.errorCode("ListOffsets", err)
		if code == kerr.OffsetNotAvailable.Code && req.Version < 5 {
			code = kerr.LeaderNotAvailable.Code
		}
		return listOffsetsError(p.Partition, code)
	}
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = p.Partition, found.Offset, found.Timestamp, found.LeaderEpoch
	return out
}

// timestampKnown says whether a version has a special timestamp; those below the known ones are never understood.
func timestampKnown(timestamp int64, version int16) bool {
	since := map[int64]int16{
		replica.LatestTimestamp: 0, replica.EarliestTimestamp: 0, replica.MaxTimestamp: 7,
		replica.EarliestLocalTimestamp: 8, replica.LatestTieredTimestamp: 9, replica.EarliestPendingUpload: 11,
	}
	v, special := since[timestamp]
	return timestamp >= 0 || special && version >= v
}

func listOffsetsError(partition int32, code int16) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.ErrorCode = partition, code
	out.Offset, out.Timestamp, out.LeaderEpoch = -1, -1, -1
	return out
}

// listedTwice finds the partitions that a request names more than once.
func listedTwice(req *kmsg.ListOffsetsRequest) map[partitionKey]struct{} {
	seen, twice := make(map[partitionKey]struct{}), map[partitionKey]struct{}(nil)
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			k := partitionKey{topic: req.Topics[i].Topic, partition: req.Topics[i].Partitions[j].Partition}
			if _, ok := seen[k]; ok {
				if twice == nil {
					twice = make(map[partitionKey]struct{})
				}
				twice[k] = struct{}{}
			}
			seen[k] = struct{}{}
		}
	}
	return twice
}
