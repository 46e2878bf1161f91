package broker

import (
	"context"
	"errors"
	"slices"

	"gregor/internal/coordinator/group"
	"gregor/internal/log"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TxnOffsetCommit: versions 0-5 (KIP-98, KIP-320 leader epochs in 2, KIP-447 members and generations in 3, KIP-890: from 4
// TRANSACTION_ABORTABLE, from 5 the offsets' partition is added to the transaction with the first commit).
//
// Partitions that do not exist are answered here, the others by the group's coordinator. A request without any of the latter
// is not checked for the group, as in Kafka.
func (b *Broker) txnOffsetCommit(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.TxnOffsetCommitRequest)
	image := b.image()
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(req.Topics))
	var where []*int16 // the codes of the partitions that are left in the request
	for i := range req.Topics {
		topic, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = topic.Topic
		rt.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(topic.Partitions))
		t := image.Topic(topic.Topic)
		if t != nil {
			topic.TopicID = t.ID
		}
		known := topic.Partitions[:0]
		for j, p := range topic.Partitions {
			rp := &rt.Partitions[j]
			rp.Partition = p.Partition
			if t == nil || p.Partition < 0 || int(p.Partition) >= len(t.Partitions) {
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			}
			known = append(known, p)
			where = append(where, &rp.ErrorCode)
		}
		topic.Partitions = known
	}
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
	fail := func(code int16) {
		if code == kerr.CoordinatorLoadInProgress.Code && r.Version < 2 {
			code = kerr.CoordinatorNotAvailable.Code
		}
		for _, w := range where {
			*w = code
		}
		r.Reply(resp)
	}
	switch {
	case len(where) == 0:
		r.Reply(resp)
		return
	case req.Group == "":
		fail(kerr.InvalidGroupID.Code)
		return
	}
	commit := func(guard log.Guard) {
		b.groups.TxnOffsetCommit(r.groupCaller(), req, uint64(guard), func(answer *kmsg.TxnOffsetCommitResponse, err error) {
			if err != nil {
				fail(b.errorCode("TxnOffsetCommit", err))
				return
			}
			for i := range answer.Topics {
				for j := range answer.Topics[i].Partitions {
					*where[0] = answer.Topics[i].Partitions[j].ErrorCode
					where = where[1:]
				}
			}
			r.Reply(resp)
		})
	}
	offsets := b.offsetsPartition(req.Group)
	part, err := b.replicas.Partition(group.Topic, offsets.Partition)
	if err != nil {
		fail(kerr.NotCoordinator.Code)
		return
	}
	b.replicas.Verify(req.TransactionalID, r.Version >= 5, []replica.Opening{{
		Partition: part, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch, Sequence: -1,
		Append: func(guard log.Guard, err error) {
			if err != nil {
				fail(b.offsetsNotVerified(err, r.Version))
				return
			}
			commit(guard)
		},
	}})
}

// offsetsNotVerified is what a client is told if its offsets' partition is not in the transaction. Clients before version 4
// do not know TRANSACTION_ABORTABLE.
func (b *Broker) offsetsNotVerified(err error, version int16) int16 {
	code := errorCode(err)
	if k := (*kerr.Error)(nil); errors.Is(err, replica.ErrNotVerified) && !errors.As(err, &k) {
		code = kerr.NetworkException.Code
	}
	switch code {
	case kerr.NetworkException.Code, kerr.ConcurrentTransactions.Code:
		return kerr.CoordinatorLoadInProgress.Code // what every client tries again
	case kerr.NotLeaderForPartition.Code, kerr.KafkaStorageError.Code:
		return kerr.NotCoordinator.Code
	case kerr.UnknownTopicOrPartition.Code, kerr.NotEnoughReplicas.Code, kerr.RequestTimedOut.Code:
		return kerr.CoordinatorNotAvailable.Code
	case kerr.ProducerFenced.Code:
		return kerr.InvalidProducerEpoch.Code
	case kerr.TransactionAbortable.Code:
		if version < 4 {
			return kerr.InvalidTxnState.Code
		}
	case kerr.UnknownServerError.Code:
		b.log.Error("request failed", "request", "TxnOffsetCommit", "error", err.Error())
	}
	return code
}
