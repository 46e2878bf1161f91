package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// commitInTransaction stores offsets that take effect with the end of their producer's transaction.
func (m *Machine) commitInTransaction(t coordinator.Token, req *kmsg.TxnOffsetCommitRequest, guard uint64) {
	if err := m.mayCommitInTransaction(req); err != nil {
		m.out.ReplyNow(t, refuseTxnCommit(req, err))
		return
	}
	config := m.config()
	r := kmsg.NewPtrTxnOffsetCommitResponse()
	r.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(req.Topics))
	size := 0
	for i := range req.Topics {
		topic := &req.Topics[i]
		rt := &r.Topics[i]
		rt.Topic = topic.Topic
		rt.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(topic.Partitions))
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			rt.Partitions[j].Partition = p.Partition
			o := offset{at: p.Offset, leaderEpoch: p.LeaderEpoch, committedMs: m.now, expiresMs: -1, topicID: topic.TopicID}
			record, bytes, ok := offsetToStore(req.Group, topic.Topic, p.Partition, &o, p.Metadata, config.OffsetMetadataMaxBytes)
			if !ok {
				rt.Partitions[j].ErrorCode = kerr.OffsetMetadataTooLarge.Code
				continue
			}
			record.ProducerID, record.ProducerEpoch = req.ProducerID, req.ProducerEpoch
			size += bytes
			m.out.Append(record)
		}
	}
	if size > m.maxRecordBytes() {
		m.out.Records = m.out.Records[:0]
		m.out.ReplyNow(t, refuseTxnCommit(req, kerr.InvalidCommitOffsetSize))
		return
	}
	m.out.Guard = guard
	m.out.Reply(t, r)
}

// mayCommitInTransaction tells whether the sender may commit offsets of the group (KIP-447). A producer that does not say
// for which member it commits, as all did before, is fenced by its transactional id alone.
func (m *Machine) mayCommitInTransaction(req *kmsg.TxnOffsetCommitRequest) *kerr.Error {
	_, foreign := m.occupied(req.Group)
	g := m.groups[req.Group]
	switch anonymous := req.MemberID == "" && req.InstanceID == nil && req.Generation < 0; {
	case req.ProducerID < 0 || req.ProducerEpoch < 0:
		return kerr.InvalidProducerIDMapping
	case anonymous:
		return nil
	case foreign:
		return kerr.UnknownMemberID
	case g == nil && req.Generation < 0:
		return nil
	case g == nil:
		return kerr.IllegalGeneration
	}
	if _, err := g.live.member(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != g.live.generation {
		return kerr.IllegalGeneration
	}
	return nil
}

// refuseTxnCommit answers a TxnOffsetCommit with one error for all partitions.
func refuseTxnCommit(req *kmsg.TxnOffsetCommitRequest, err *kerr.Error) *kmsg.TxnOffsetCommitResponse {
	r := kmsg.NewPtrTxnOffsetCommitResponse()
	for i := range req.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = req.Topics[i].Partitions[j].Partition, err.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// TxnOffsetCommit stores offsets in a transaction. The caller has left only topics that exist, with both name and id set,
// and knows by guard that the transaction is open. done gets an error of the log if the producer is fenced.
func (s *Service) TxnOffsetCommit(c Caller, req *kmsg.TxnOffsetCommitRequest, guard uint64, done func(*kmsg.TxnOffsetCommitResponse, error)) {
	s.runtime.Submit(s.PartitionFor(req.Group), Event{Caller: c, Request: req, Guard: guard}, func(r kmsg.Response, err error) {
		switch {
		case isRefused(err):
			done(nil, err)
		case err != nil:
			done(refuseTxnCommit(req, coordinator.Code(err)), nil)
		default:
			done(r.(*kmsg.TxnOffsetCommitResponse), nil)
		}
	})
}

// EndTransaction writes the marker that ends a transaction in a partition of __consumer_offsets: the offsets in it take
// effect, or are forgotten. done gets Kafka's error, or one of the log if the producer or its coordinator is fenced, or
// neither.
func (s *Service) EndTransaction(partition int32, m coordinator.Marker, done func(*kerr.Error, error)) {
	s.runtime.Mark(partition, m, func(err error) {
		switch {
		case err == nil:
			done(nil, nil)
		case isRefused(err):
			done(nil, err)
		default:
			done(coordinator.Code(err), nil)
		}
	})
}
