package txn

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"gregor/internal/coordinator"
)

// epochBump is the version of transactions that raises the epoch with every end of a transaction (KIP-890).
const epochBump = 2

// endTxn decides a transaction. It is answered when the decision is committed; the markers go out then.
func (m *Machine) endTxn(to coordinator.Token, e *endTxn) {
	t := m.txns[e.id]
	var verdict verdict
	switch {
	case t == nil:
		verdict.err = kerr.InvalidProducerIDMapping
	case e.version >= epochBump:
		verdict = t.judgeEnd(e.producer, e.commit)
	default:
		verdict = t.judgeOldEnd(e.producer, e.commit)
	}
	switch {
	case verdict.err != nil:
		m.out.ReplyNow(to, endReply{err: verdict.err, producer: Producer{noProducerID, noProducerEpoch}})
	case verdict.repeated:
		m.out.Reply(to, endReply{producer: Producer{t.producerID, t.epoch}})
	case e.version >= epochBump && exhausted(t.epoch) && e.newID < 0:
		m.out.ReplyNow(to, needsID{})
	default:
		m.out.Reply(to, endReply{producer: m.end(t, e.commit, e.version, e.newID)})
	}
}

// verdict is what becomes of an EndTxn: refused, done already, or, with neither, to be done.
type verdict struct {
	err      *kerr.Error
	repeated bool
}

// judgeOldEnd is for clients of transactions version 1, whose epoch stays the same: an end that is done already cannot be
// told from one of a transaction that has not begun.
func (t *transaction) judgeOldEnd(p Producer, commit bool) verdict {
	switch {
	case p.ID != t.producerID:
		return verdict{err: kerr.InvalidProducerIDMapping}
	case p.Epoch != t.epoch:
		return verdict{err: kerr.ProducerFenced}
	case t.state == Ongoing:
		return verdict{}
	case t.state == completeOf(commit):
		return verdict{repeated: true}
	case t.state == prepareOf(commit):
		return verdict{err: kerr.ConcurrentTransactions}
	}
	return verdict{err: kerr.InvalidTxnState}
}

// judgeEnd is for version 2: the epoch tells whether the request comes again. One that does names the producer of before
// the transaction's end.
func (t *transaction) judgeEnd(p Producer, commit bool) verdict {
	bumped := p.Epoch == t.epoch-1
	rotated := t.previousID == p.ID && p.Epoch == math.MaxInt16-1 && t.epoch == 0
	var known bool
	switch t.state {
	case PrepareCommit, PrepareAbort:
		known = bumped
	case CompleteCommit, CompleteAbort:
		known = bumped || rotated || p.Epoch == t.epoch
	default:
		known = p.Epoch == t.epoch
	}
	repeated := bumped || rotated
	switch {
	case p.ID != t.producerID && !rotated:
		return verdict{err: kerr.InvalidProducerIDMapping}
	case !known:
		return verdict{err: kerr.ProducerFenced}
	case t.state == Ongoing:
		return verdict{}
	case t.state == prepareOf(commit):
		return verdict{err: kerr.ConcurrentTransactions}
	case t.state == completeOf(commit) && repeated:
		return verdict{repeated: true}
	case commit, repeated, t.state.preparing():
		return verdict{err: kerr.InvalidTxnState}
	}
	return verdict{} // the abort of a transaction that got no partition
}

func prepareOf(commit bool) State {
	if commit {
		return PrepareCommit
	}
	return PrepareAbort
}

func completeOf(commit bool) State {
	if commit {
		return CompleteCommit
	}
	return CompleteAbort
}

// end writes the decision down and sends the markers, and returns the producer of the next transaction. newID is its
// producer id if the present one's epochs are used up; -1: none, so that the client has to ask for one.
func (m *Machine) end(t *transaction, commit bool, version int16, newID int64) Producer {
	s := t.become(prepareOf(commit), m.now)
	s.version = version
	if t.state != Ongoing {
		s.startMs = m.now
	}
	next := Producer{t.producerID, t.epoch}
	if version >= epochBump {
		if s.epoch < math.MaxInt16 {
			s.epoch++
			t.lastEpoch = t.epoch
		}
		next.Epoch = s.epoch
		if exhausted(t.epoch) && newID >= 0 {
			s.nextID = newID
			next = Producer{newID, 0}
		}
	}
	m.prepare(t, &s)
	return next
}

// fence aborts a transaction whose producer is to be shut out: another one wants the id, or its time is over.
func (m *Machine) fence(t *transaction) {
	version := m.config().TransactionVersion
	s := t.become(PrepareAbort, m.now)
	s.version = 0
	t.lastEpoch = noProducerEpoch
	if version >= epochBump {
		s.version, t.lastEpoch = version, t.epoch
	}
	if s.epoch < math.MaxInt16 {
		s.epoch++
	}
	m.prepare(t, &s)
}

// prepare writes a decision down. One without partitions is complete with it.
func (m *Machine) prepare(t *transaction, s *stored) {
	m.store(t.id, s)
	if len(s.partitions) > 0 {
		t.sent = s.markers(t.id)
		m.out.Send(t.sent)
		return
	}
	done := (&transaction{id: t.id, stored: *s}).completed(m.now)
	m.store(t.id, &done)
}

// markers are those of a decided transaction.
func (s *stored) markers(id string) *Markers {
	return &Markers{
		TransactionalID: id, Producer: Producer{s.producerID, s.epoch}, Commit: s.state == PrepareCommit,
		TransactionVersion: s.version, Partitions: s.partitions,
	}
}

// complete ends a transaction whose markers are written.
func (m *Machine) complete(to coordinator.Token, e *markersWritten) {
	if t := m.txns[e.markers.TransactionalID]; t != nil && t.state.preparing() && t.sent == e.markers {
		s := t.completed(m.now)
		t.sent = nil
		m.store(t.id, &s)
	}
	m.out.Reply(to, nil)
}

func (t *transaction) completed(now int64) stored {
	s := t.become(completeOf(t.state == PrepareCommit), now)
	s.partitions, s.nextID = nil, noProducerID
	if t.nextID >= 0 && t.version >= epochBump {
		s.producerID, s.epoch = t.nextID, 0
	}
	return s
}
