package broker

import (
	"context"

	"gregor/internal/coordinator/txn"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddPartitionsToTxn: versions 0-5 (KIP-98; KIP-588 PRODUCER_FENCED from 2; KIP-890 from 4, where a broker asks for several
// transactions, to add partitions or only to verify that they are there).
func (b *Broker) addPartitionsToTxn(_ context.Context, r *Request) {
	b.AddPartitionsToTxn(r.Version, r.Body.(*kmsg.AddPartitionsToTxnRequest), func(resp *kmsg.AddPartitionsToTxnResponse) { r.Reply(resp) })
}

// byClient is up to which version of AddPartitionsToTxn the producer itself asks, for one transaction.
const byClient = 3

// AddPartitionsToTxn answers a request without a connection: one of this broker to itself.
func (b *Broker) AddPartitionsToTxn(version int16, req *kmsg.AddPartitionsToTxnRequest, done func(*kmsg.AddPartitionsToTxnResponse)) {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	all := req.Transactions
	if version <= byClient {
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch = req.TransactionalID, req.ProducerID, req.ProducerEpoch
		for _, t := range req.Topics {
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		all = []kmsg.AddPartitionsToTxnRequestTransaction{one}
	}
	results := make([]kmsg.AddPartitionsToTxnResponseTransaction, len(all))
	waiting := newCountdown(func() {
		if version <= byClient {
			for _, t := range results[0].Topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rt.Partitions = append(rt.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
				}
				resp.Topics = append(resp.Topics, rt)
			}
		} else {
			resp.Transactions = results
		}
		done(resp)
	})
	image := b.image()
	for i := range all {
		waiting.begin()
		b.addToTransaction(image, version, &all[i], func(errs []*kerr.Error) {
			results[i] = addResult(&all[i], errs, version < 2)
			waiting.end()
		})
	}
	waiting.end()
}

// addToTransaction asks the coordinator, unless a partition does not exist: then none is added.
func (b *Broker) addToTransaction(image *metadata.Image, version int16, t *kmsg.AddPartitionsToTxnRequestTransaction, done func([]*kerr.Error)) {
	var partitions []txn.TopicPartition
	var errs []*kerr.Error
	refused := false
	for i := range t.Topics {
		topic := image.Topic(t.Topics[i].Topic)
		for _, p := range t.Topics[i].Partitions {
			err := kerr.OperationNotAttempted
			switch {
			case version <= byClient && isInternal(t.Topics[i].Topic):
				err, refused = kerr.TopicAuthorizationFailed, true
			case topic == nil || p < 0 || int(p) >= len(topic.Partitions):
				err, refused = kerr.UnknownTopicOrPartition, true
			}
			partitions = append(partitions, txn.TopicPartition{Topic: t.Topics[i].Topic, Partition: p})
			errs = append(errs, err)
		}
	}
	producer := txn.Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch}
	switch {
	case refused:
		done(errs)
	case t.VerifyOnly:
		b.txns.VerifyPartitions(t.TransactionalID, producer, partitions, done)
	default:
		transactions := int16(0)
		if version > byClient {
			transactions = 2
		}
		b.txns.AddPartitions(t.TransactionalID, producer, partitions, transactions, func(err *kerr.Error) {
			for i := range errs {
				errs[i] = err
			}
			done(errs)
		})
	}
}

// addResult puts errors, one for each partition, into the shape of the answer.
func addResult(t *kmsg.AddPartitionsToTxnRequestTransaction, errs []*kerr.Error, older bool) kmsg.AddPartitionsToTxnResponseTransaction {
	out := kmsg.NewAddPartitionsToTxnResponseTransaction()
	out.TransactionalID = t.TransactionalID
	out.Topics = answerAll(t.Topics, func(topic *kmsg.AddPartitionsToTxnRequestTransactionTopic) kmsg.AddPartitionsToTxnResponseTransactionTopic {
		rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		rt.Topic = topic.Topic
		rt.Partitions = answerAll(topic.Partitions, func(p *int32) kmsg.AddPartitionsToTxnResponseTransactionTopicPartition {
			rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			rp.Partition, rp.ErrorCode = *p, txnErrorCode(errs[0], older)
			errs = errs[1:]
			return rp
		})
		return rt
	})
	return out
}
