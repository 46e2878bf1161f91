package txn

import (
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// describe answers at once, with what may not be committed yet.
func (m *Machine) describe(to coordinator.Token, e *describe) {
	r := described(e.id)
	t := m.txns[e.id]
	if t == nil {
		r.ErrorCode = kerr.TransactionalIDNotFound.Code
		m.out.ReplyNow(to, r)
		return
	}
	r.State, r.TimeoutMillis, r.StartTimestamp = t.state.String(), t.timeoutMs, t.startMs
	r.ProducerID, r.ProducerEpoch = t.producerID, t.epoch
	for _, p := range t.partitions {
		if n := len(r.Topics); n == 0 || r.Topics[n-1].Topic != p.Topic {
			topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			topic.Topic = p.Topic
			r.Topics = append(r.Topics, topic)
		}
		topic := &r.Topics[len(r.Topics)-1]
		topic.Partitions = append(topic.Partitions, p.Partition)
	}
	m.out.ReplyNow(to, r)
}

// filter says which transactional ids a ListTransactions wants.
type filter struct {
	anyState   bool
	states     []State
	producers  []int64        // empty: all
	durationMs int64          // only those that began longer ago; negative: all
	pattern    *regexp.Regexp // of the whole id; nil: all
}

func (f *filter) wants(t *transaction, now int64) bool {
	switch {
	case len(f.producers) > 0 && !slices.Contains(f.producers, t.producerID),
		!f.anyState && !slices.Contains(f.states, t.state),
		f.durationMs >= 0 && now-t.startMs <= f.durationMs,
		f.pattern != nil && !f.pattern.MatchString(t.id):
		return false
	}
	return true
}

func (m *Machine) list(to coordinator.Token, e *list) {
	var found []kmsg.ListTransactionsResponseTransactionState
	for _, id := range slices.Sorted(maps.Keys(m.txns)) {
		t := m.txns[id]
		if !e.filter.wants(t, m.now) {
			continue
		}
		r := kmsg.NewListTransactionsResponseTransactionState()
		r.TransactionalID, r.ProducerID, r.TransactionState = id, t.producerID, t.state.String()
		found = append(found, r)
	}
	m.out.ReplyNow(to, found)
}
