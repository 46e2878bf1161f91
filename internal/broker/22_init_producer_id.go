package broker

import (
	"context"

	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId: versions 0-5 (KIP-98, KIP-360 from 3, KIP-588 PRODUCER_FENCED from 4). Every call without a transactional
// id gets a new producer id with epoch 0. Version 6 (KIP-939) is not stable in Apache Kafka 4.3 either.
func (b *Broker) initProducerID(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	reply := func(p txn.Producer, err *kerr.Error) {
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
		resp.ErrorCode = txnErrorCode(err, r.Version < 4)
		r.Reply(resp)
	}
	none := txn.Producer{ID: -1, Epoch: -1}
	expected := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	switch {
	case (expected.ID == -1) != (expected.Epoch == -1):
		reply(none, kerr.InvalidRequest)
	case req.TransactionalID == nil:
		b.NextProducerID(ctx, func(id int64, err error) {
			if err != nil {
				reply(none, kerr.CoordinatorLoadInProgress) // what a client tries again after a moment
			} else {
				reply(txn.Producer{ID: id}, nil)
			}
		})
	case expected == none:
		b.txns.InitProducerID(*req.TransactionalID, req.TransactionTimeoutMillis, nil, reply)
	default:
		b.txns.InitProducerID(*req.TransactionalID, req.TransactionTimeoutMillis, &expected, reply)
	}
}

// NextProducerID calls done with a producer id that nobody else gets, or with an error.
func (b *Broker) NextProducerID(ctx context.Context, done func(int64, error)) {
	b.producerIDs.next(context.WithoutCancel(ctx), done)
}
