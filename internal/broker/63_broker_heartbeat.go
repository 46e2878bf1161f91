package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BrokerHeartbeat: versions 0-2, on the controllers' listeners (KIP-631, KIP-858 offline directories, KIP-1066 cordoned
// ones). The connection is watched from then on: see brokerWatch.
func (b *Broker) brokerHeartbeat(ctx context.Context, r *Request) {
	id := r.Body.(*kmsg.BrokerHeartbeatRequest).BrokerID
	b.controller.Do(context.WithoutCancel(ctx), r.caller(), r.Body, func(resp kmsg.Response) {
		if a := resp.(*kmsg.BrokerHeartbeatResponse); a.ErrorCode == 0 {
			b.watch.heard(r.Conn, id)
		}
		r.Reply(resp)
	})
}
