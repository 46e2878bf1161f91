package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat: versions 0-4 (KIP-345 static members in 3).
func (b *Broker) heartbeat(_ context.Context, r *Request) {
	b.groups.Heartbeat(r.groupCaller(), r.Body.(*kmsg.HeartbeatRequest), func(resp *kmsg.HeartbeatResponse) { r.Reply(resp) })
}
