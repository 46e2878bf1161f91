package broker

import (
	"context"

	"gregor/internal/controller"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeGroups: versions 0-6 (KIP-430 authorized operations in 3, KIP-345 instance ids in 4, KIP-1043 an error instead of
// state Dead in 6).
//
// A group that is named twice is answered once, because its answer may be long; Kafka answers twice.
func (b *Broker) describeGroups(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeGroupsRequest)
	b.groups.DescribeGroups(r.groupCaller(), req, func(resp *kmsg.DescribeGroupsResponse) {
		for i := range resp.Groups {
			if text := resp.Groups[i].ErrorMessage; text != nil {
				resp.Groups[i].ErrorMessage = ptr(controller.ClipText(*text)) // it quotes the group's id
			}
			resp.Groups[i].AuthorizedOperations = notAsked
			if req.IncludeAuthorizedOperations && resp.Groups[i].ErrorCode == 0 {
				resp.Groups[i].AuthorizedOperations = groupOperations
			}
		}
		r.Reply(resp)
	})
}
