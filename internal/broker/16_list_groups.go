package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups: versions 0-5 (KIP-518 states in 4, KIP-848 types in 5). It lists the groups that this broker coordinates.
func (b *Broker) listGroups(_ context.Context, r *Request) {
	b.groups.ListGroups(r.groupCaller(), r.Body.(*kmsg.ListGroupsRequest), func(resp *kmsg.ListGroupsResponse) { r.Reply(resp) })
}
