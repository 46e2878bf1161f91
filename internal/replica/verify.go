package replica

import (
	"errors"
	"sync"

	"gregor/internal/log"
)

// Verification asks a transaction's coordinator whether partitions are in the producer's ongoing transaction (KIP-890):
// one AddPartitionsToTxn. With Add they are put into it if they are not (transactions version 2).
type Verification struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Add             bool
	Partitions      []TopicPartition
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// ErrNotVerified: the coordinator did not agree; the error that it gave, or why it could not be asked, is wrapped in it.
var ErrNotVerified = errors.New("not verified by the transaction coordinator")

// Opening is a batch that may be the first of its producer's transaction in a partition.
type Opening struct {
	Partition     *Partition
	ProducerID    int64
	ProducerEpoch int16
	Sequence      int32 // of its first record; -1 if it has none

	// Append is called once, with the guard to append with or with an error: at once if nothing has to be verified, else
	// on any goroutine when the coordinator has answered. For one producer and partition the calls come in the order of
	// Verify's, and one ends before the next begins. Errors: log.ErrInvalidProducerEpoch, ErrNotVerified, those of
	// Partition.Append.
	Append func(guard log.Guard, err error)
}

// Verify has each batch appended once its transaction is known to be open. All belong to one producer epoch of
// transactionalID. The question to the coordinator goes out once for all partitions in which nobody asks already.
func (m *Manager) Verify(transactionalID string, add bool, batches []Opening) {
	if m.o.Verify == nil || !add && m.o.Verified != nil && !m.o.Verified() {
		for i := range batches {
			batches[i].Append(log.Unverified, nil)
		}
		return
	}
	v := Verification{TransactionalID: transactionalID, Add: add}
	var asked []*heldQueue
	for i := range batches {
		o := &batches[i]
		q, err := o.Partition.holdOpening(o, add)
		if err != nil || q == nil {
			if err != nil {
				o.Append(0, err)
			}
			continue
		}
		v.ProducerID, v.ProducerEpoch = o.ProducerID, o.ProducerEpoch
		v.Partitions = append(v.Partitions, TopicPartition{o.Partition.topic, o.Partition.index})
		asked = append(asked, q)
	}
	if len(asked) == 0 {
		return
	}
	m.o.Verify(v, func(errs []error) {
		for i, q := range asked {
			var err error
			if i < len(errs) && errs[i] != nil {
				err = errors.Join(ErrNotVerified, errs[i])
			}
			q.answered(err)
		}
	})
}

// held are the appends of a partition that wait for their transactions' coordinators.
type held struct {
	mu     sync.Mutex
	queues map[heldKey]*heldQueue
}

type heldKey struct {
	producerID int64
	epoch      int16
}

// heldQueue are the batches of one producer epoch in the order in which they came: those behind the first would be out of
// sequence before it.
type heldQueue struct {
	p       *Partition
	key     heldKey
	guard   log.Guard
	waiting []func(log.Guard, error)
}

// holdOpening appends a batch that needs no verification, or else puts it into its queue. It returns the queue if the
// caller is the one to ask the coordinator.
func (p *Partition) holdOpening(o *Opening, add bool) (*heldQueue, error) {
	ld, err := p.lead(NoEpoch)
	if err != nil {
		return nil, err
	}
	key := heldKey{o.ProducerID, o.ProducerEpoch}
	p.held.mu.Lock()
	guard, err := ld.log.StartVerification(o.ProducerID, o.ProducerEpoch, o.Sequence, add)
	if err != nil {
		p.held.mu.Unlock()
		return nil, err
	}
	if q := p.held.queues[key]; q != nil && (guard == q.guard || guard == 0) {
		// With 0 the transaction is open by now, and the batches before this one are still being written. Another guard is
		// one for the producer's next transaction, of the same epoch: those that wait belong to one that has ended.
		q.waiting = append(q.waiting, o.Append)
		p.held.mu.Unlock()
		return nil, nil
	}
	if guard == 0 {
		p.held.mu.Unlock()
		o.Append(0, nil)
		return nil, nil
	}
	q := &heldQueue{p: p, key: key, guard: guard, waiting: []func(log.Guard, error){o.Append}}
	if p.held.queues == nil {
		p.held.queues = make(map[heldKey]*heldQueue)
	}
	p.held.queues[key] = q
	p.held.mu.Unlock()
	return q, nil
}

// answered lets the batches go, in order. The guard is good for the first; it opens the transaction for those behind it.
func (q *heldQueue) answered(err error) {
	guard := q.guard
	if err != nil {
		guard = 0
	}
	h := &q.p.held
	for {
		h.mu.Lock()
		waiting := q.waiting
		q.waiting = nil
		if len(waiting) == 0 && h.queues[q.key] == q {
			delete(h.queues, q.key)
		}
		h.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		for _, do := range waiting {
			do(guard, err)
		}
	}
}
