package txn

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"gregor/internal/coordinator"
)

// initProducer gives a transactional id its producer id and next epoch, which fences everybody who has an earlier one. A
// transaction that is still open is aborted, and the client asks again until that is done.
func (m *Machine) initProducer(to coordinator.Token, e *initProducer) {
	refuse := func(err *kerr.Error) { m.out.ReplyNow(to, initReply{err: err}) }
	t := m.txns[e.id]
	switch {
	case t == nil:
		m.firstProducer(to, e)
	case !t.mayInit(e.expected):
		refuse(kerr.ProducerFenced)
	case t.state.preparing():
		refuse(kerr.ConcurrentTransactions)
	case t.state == Ongoing:
		m.fence(t)
		m.out.Reply(to, initReply{err: kerr.ConcurrentTransactions})
	case t.repeats(e.expected):
		// The epoch was given already, and the answer got lost (KIP-360).
		m.giveProducer(to, t, e, Producer{t.producerID, t.epoch}, t.lastEpoch)
	case e.expected != nil && e.expected.Epoch != t.epoch && e.expected.Epoch != t.lastEpoch:
		refuse(kerr.ProducerFenced)
	case !exhausted(t.epoch):
		m.giveProducer(to, t, e, Producer{t.producerID, t.epoch + 1}, e.lastEpoch())
	case e.newID < 0:
		m.out.ReplyNow(to, needsID{})
	default:
		m.giveProducer(to, t, e, Producer{e.newID, 0}, e.lastEpoch())
	}
}

// lastEpoch is the epoch of the producer that goes on, -1 for one that begins anew.
func (e *initProducer) lastEpoch() int16 {
	if e.expected == nil {
		return noProducerEpoch
	}
	return e.expected.Epoch
}

// mayInit tells whether a producer that says who it is has the id's producer id, or had the one before and used it up.
func (t *transaction) mayInit(expected *Producer) bool {
	return expected == nil || expected.ID == t.producerID || expected.ID == t.previousID && exhausted(expected.Epoch)
}

// repeats tells whether a producer asks again for the epoch that it was given. The last epoch is given to nobody: it is
// that of a transaction that was aborted for want of time.
func (t *transaction) repeats(expected *Producer) bool {
	return expected != nil && expected.Epoch != t.epoch && expected.Epoch == t.lastEpoch && t.epoch != math.MaxInt16
}

// firstProducer begins with a transactional id that is not known, or not any more. Who says that it had a producer id is
// believed, as in Kafka: the id may have expired.
func (m *Machine) firstProducer(to coordinator.Token, e *initProducer) {
	if e.newID < 0 {
		m.out.ReplyNow(to, needsID{})
		return
	}
	s := stored{
		state: Empty, producerID: e.newID, previousID: e.newID, nextID: noProducerID, nextEpoch: noProducerEpoch,
		timeoutMs: e.timeoutMs, startMs: noTimestamp, updateMs: m.now,
	}
	m.store(e.id, &s)
	m.out.Reply(to, initReply{producer: Producer{s.producerID, s.epoch}})
}

func (m *Machine) giveProducer(to coordinator.Token, t *transaction, e *initProducer, p Producer, lastEpoch int16) {
	s := t.become(Empty, m.now)
	if p == (Producer{t.producerID, t.epoch}) {
		s.previousID = t.previousID // as the first time
	}
	s.producerID, s.epoch, s.timeoutMs = p.ID, p.Epoch, e.timeoutMs
	s.nextID, s.partitions, s.startMs = noProducerID, nil, noTimestamp
	t.lastEpoch = lastEpoch
	m.store(t.id, &s)
	m.out.Reply(to, initReply{producer: p})
	m.logger.Debug("producer id is given", "transactionalId", t.id, "producerId", p.ID, "epoch", p.Epoch)
}
