package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListTransactions: versions 0-2 (KIP-664, KIP-994 durations in 1, KIP-1152 patterns in 2): of the transactions that this
// broker coordinates.
func (b *Broker) listTransactions(_ context.Context, r *Request) {
	b.txns.List(r.Body.(*kmsg.ListTransactionsRequest), func(resp *kmsg.ListTransactionsResponse) { r.Reply(resp) })
}
