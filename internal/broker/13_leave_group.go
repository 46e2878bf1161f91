package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// LeaveGroup: versions 0-5 (KIP-345 several members, static ones by their instance id, in 3; KIP-800 reason in 5).
func (b *Broker) leaveGroup(_ context.Context, r *Request) {
	b.groups.LeaveGroup(r.groupCaller(), r.Body.(*kmsg.LeaveGroupRequest), func(resp *kmsg.LeaveGroupResponse) { r.Reply(resp) })
}
