package broker

import (
	"context"

	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EndTxn: versions 0-5 (KIP-98; KIP-588 PRODUCER_FENCED from 2; KIP-890 from 5: the answer has the producer id and epoch of
// the next transaction). It is answered when the outcome is committed to the coordinator's log; the markers follow.
func (b *Broker) endTxn(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.EndTxnRequest)
	version := int16(0)
	if r.Version >= 5 {
		version = 2
	}
	b.txns.EndTxn(req.TransactionalID, txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, req.Commit, version, func(p txn.Producer, err *kerr.Error) {
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = txnErrorCode(err, r.Version < 2)
		resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
		r.Reply(resp)
	})
}
