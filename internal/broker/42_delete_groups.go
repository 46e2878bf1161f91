package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups: versions 0-2 (KIP-229).
func (b *Broker) deleteGroups(_ context.Context, r *Request) {
	b.groups.DeleteGroups(r.groupCaller(), r.Body.(*kmsg.DeleteGroupsRequest), func(resp *kmsg.DeleteGroupsResponse) { r.Reply(resp) })
}
