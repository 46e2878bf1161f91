package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SyncGroup: versions 0-5 (KIP-345 static members in 3, KIP-559 protocol type and name in 5).
//
// The reply waits for the leader's assignment to be written.
func (b *Broker) syncGroup(_ context.Context, r *Request) {
	b.groups.SyncGroup(r.groupCaller(), r.park().(*kmsg.SyncGroupRequest), func(resp *kmsg.SyncGroupResponse) { r.Reply(resp) })
}
