package broker

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTransactions: version 0 (KIP-664). An id that is named twice is answered once, because its answer may be long; Kafka
// answers twice.
func (b *Broker) describeTransactions(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	seen := make(map[string]bool, len(req.TransactionalIDs))
	req.TransactionalIDs = slices.DeleteFunc(req.TransactionalIDs, func(id string) bool {
		twice := seen[id]
		seen[id] = true
		return twice
	})
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
