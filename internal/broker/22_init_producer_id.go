package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId: versions 0-5 (KIP-98, KIP-360 from 3). Every call without a transactional id gets a new producer id
// with epoch 0.
//
// Deviation: there is no transaction coordinator yet. A transactional id is refused with UNSUPPORTED_VERSION, which
// clients report at once instead of trying again for ever.
func (b *Broker) initProducerID(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if id := req.TransactionalID; id != nil {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		if *id == "" {
			resp.ErrorCode = kerr.InvalidRequest.Code
		}
		r.Reply(resp)
		return
	}
	b.producerIDs.next(context.WithoutCancel(ctx), func(id int64, err error) {
		if err != nil {
			// What a client tries again after a moment.
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		} else {
			resp.ProducerID, resp.ProducerEpoch = id, 0
		}
		r.Reply(resp)
	})
}
