package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BrokerRegistration: versions 0-4, on the controllers' listeners (KIP-631, KIP-858 log directories, KIP-866, KIP-1022).
// The connection is watched from then on: see brokerWatch.
func (b *Broker) brokerRegistration(ctx context.Context, r *Request) {
	id := r.Body.(*kmsg.BrokerRegistrationRequest).BrokerID
	b.controller.Do(context.WithoutCancel(ctx), r.caller(), r.Body, func(resp kmsg.Response) {
		if a := resp.(*kmsg.BrokerRegistrationResponse); a.ErrorCode == 0 {
			b.watch.heard(r.Conn, id)
		}
		r.Reply(resp)
	})
}
