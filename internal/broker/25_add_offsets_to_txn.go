package broker

import (
	"context"

	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddOffsetsToTxn: versions 0-4 (KIP-98, KIP-588 PRODUCER_FENCED from 2, KIP-890 TRANSACTION_ABORTABLE from 4): the
// partition that keeps a group's offsets becomes part of the transaction.
func (b *Broker) addOffsetsToTxn(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.AddOffsetsToTxnRequest)
	producer := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	b.txns.AddPartitions(req.TransactionalID, producer, []txn.TopicPartition{b.offsetsPartition(req.Group)}, 0, func(err *kerr.Error) {
		resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		resp.ErrorCode = txnErrorCode(err, r.Version < 2)
		r.Reply(resp)
	})
}
