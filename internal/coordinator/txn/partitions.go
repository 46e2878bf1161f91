package txn

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"gregor/internal/coordinator"
)

// addPartitions puts partitions into a transaction, which begins with the first, or tells whether they are in it.
func (m *Machine) addPartitions(to coordinator.Token, e *addPartitions) {
	t := m.txns[e.id]
	if err := t.mayAdd(e.producer); err != nil {
		m.out.ReplyNow(to, addReply{err: err})
		return
	}
	if e.verifyOnly {
		missing := make([]bool, len(e.partitions))
		for i, p := range e.partitions {
			missing[i] = !t.contains(p)
		}
		m.out.Reply(to, addReply{missing: missing})
		return
	}
	all := union(t.partitions, e.partitions)
	if t.state == Ongoing && len(all) == len(t.partitions) {
		m.out.Reply(to, addReply{})
		return
	}
	s := t.become(Ongoing, m.now)
	s.partitions, s.version = all, e.version
	if t.state != Ongoing {
		s.startMs = m.now
	}
	if r := recordOf(t.id, &s, m.config().TransactionVersion); !m.fits(r) {
		// More partitions than a record can name: Kafka finds it out by the append.
		m.logger.Error("a transaction has too many partitions for a record of "+Topic, "transactionalId", t.id, "partitions", len(all), "bytes", len(r.Value))
		m.out.ReplyNow(to, addReply{err: kerr.UnknownServerError})
		return
	}
	m.store(t.id, &s)
	m.out.Reply(to, addReply{})
}

// mayAdd tells whether a producer may write to its transaction now.
func (t *transaction) mayAdd(p Producer) *kerr.Error {
	switch {
	case t == nil:
		return kerr.InvalidProducerIDMapping
	case t.state.preparing() && p.ID == t.nextID && p.Epoch == 0:
		return kerr.ConcurrentTransactions // the producer of the next transaction
	case p.ID != t.producerID:
		return kerr.InvalidProducerIDMapping
	case p.Epoch != t.epoch:
		return kerr.ProducerFenced
	case t.state.preparing():
		return kerr.ConcurrentTransactions
	}
	return nil
}

// fits tells whether a record fits into a batch of the topic.
func (m *Machine) fits(r coordinator.Record) bool {
	const overhead = 128 // of a batch with one record
	return len(r.Key)+len(r.Value)+overhead <= m.config().MaxBatchBytes
}
