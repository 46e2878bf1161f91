package broker

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTransactions: version 0 (KIP-664).
func (b *Broker) describeTransactions(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(req.TransactionalIDs))
	var mu sync.Mutex
	waiting := newCountdown(func() { r.Reply(resp) })
	for i, id := range req.TransactionalIDs {
		waiting.begin()
		b.txns.Describe(id, func(state *kmsg.DescribeTransactionsResponseTransactionState) {
			mu.Lock()
			resp.TransactionStates[i] = *state
			mu.Unlock()
			waiting.end()
		})
	}
	waiting.end()
}
