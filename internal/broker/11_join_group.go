package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup: versions 0-9 (KIP-62 rebalance timeout in 1, KIP-394 member id required from 4, KIP-345 static members in 5,
// KIP-559 protocol type in 7, KIP-800 reason in 8, KIP-814 skip assignment in 9).
//
// The reply waits for the other members; see package group.
func (b *Broker) joinGroup(_ context.Context, r *Request) {
	b.groups.JoinGroup(r.groupCaller(), r.park().(*kmsg.JoinGroupRequest), func(resp *kmsg.JoinGroupResponse) { r.Reply(resp) })
}
