package log

import (
	"fmt"
	"math"

	"gregor/internal/record"
)

// keptBatches is how many of a producer's batches are remembered: as many as a client may have in flight.
const keptBatches = 5

// producerBatch is what is remembered of a batch to recognize it when it comes again.
type producerBatch struct {
	lastSequence int32
	offsetDelta  int32 // last offset minus first
	lastOffset   int64
	timestampMs  int64
}

func (b producerBatch) firstSequence() int32 { return addSequence(b.lastSequence, -b.offsetDelta) }

// addSequence adds to a sequence number, which runs from 0 to 2^31-1 and then starts at 0 again.
func addSequence(sequence, delta int32) int32 {
	return int32((int64(sequence) + int64(delta)) & math.MaxInt32)
}

// producer is the state of one producer id in one log: a value that is copied, changed by a batch, and put back once
// the batch has been written.
type producer struct {
	id               int64
	epoch            int16 // -1 if unknown
	coordinatorEpoch int32
	lastTimestampMs  int64
	txnFirstOffset   int64                      // -1 if no transaction is open
	n                int8                       // batches kept
	batches          [keptBatches]producerBatch // oldest first
}

func newProducer(id int64) producer {
	return producer{id: id, epoch: -1, coordinatorEpoch: -1, lastTimestampMs: -1, txnFirstOffset: -1}
}

func (p *producer) lastSequence() int32 {
	if p.n == 0 {
		return -1
	}
	return p.batches[p.n-1].lastSequence
}

// duplicate finds the batch that an incoming one repeats.
func (p *producer) duplicate(b record.Batch) (producerBatch, bool) {
	if p.epoch != b.ProducerEpoch() {
		return producerBatch{}, false
	}
	for _, old := range p.batches[:p.n] {
		if old.lastSequence == b.LastSequence() && old.firstSequence() == b.BaseSequence() {
			return old, true
		}
	}
	return producerBatch{}, false
}

// bump takes a new epoch: what was remembered of the old one cannot be repeated any more.
func (p *producer) bump(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.n = epoch, 0
	}
}

func (p *producer) remember(b producerBatch) {
	if int(p.n) == keptBatches {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = b
	p.n++
}

// appendData checks a batch of data that will lie at the given offset and applies it. Errors: ErrInvalidProducerEpoch,
// ErrOutOfOrderSequence, ErrInvalidTxnState; p is then to be thrown away.
func (p *producer) appendData(b record.Batch, origin Origin, offset int64) error {
	if err := p.checkEpoch(b, origin, offset); err != nil {
		return err
	}
	if origin == Client {
		if err := p.checkSequence(b, offset); err != nil {
			return err
		}
	}
	p.bump(b.ProducerEpoch())
	p.remember(producerBatch{lastSequence: b.LastSequence(), offsetDelta: b.LastOffsetDelta(),
		lastOffset: offset + int64(b.LastOffsetDelta()), timestampMs: b.MaxTimestamp()})
	p.lastTimestampMs = b.MaxTimestamp()

	switch {
	case p.txnFirstOffset >= 0 && !b.IsTransactional():
		if origin != Replication {
			return fmt.Errorf("%w: producer %d wrote outside its open transaction at offset %d", ErrInvalidTxnState, p.id, offset)
		}
	case p.txnFirstOffset < 0 && b.IsTransactional():
		p.txnFirstOffset = offset
	}
	return nil
}

func (p *producer) checkEpoch(b record.Batch, origin Origin, offset int64) error {
	if b.ProducerEpoch() < p.epoch && origin != Replication {
		return fmt.Errorf("%w: producer %d at offset %d has epoch %d, the last seen is %d",
			ErrInvalidProducerEpoch, p.id, offset, b.ProducerEpoch(), p.epoch)
	}
	return nil
}

func (p *producer) checkSequence(b record.Batch, offset int64) error {
	first := b.BaseSequence()
	switch {
	case b.ProducerEpoch() != p.epoch:
		// A producer that nothing is known of may start anywhere: its records may have been deleted.
		if first != 0 && p.epoch >= 0 {
			return fmt.Errorf("%w: producer %d at offset %d starts epoch %d with sequence number %d (current epoch %d)",
				ErrOutOfOrderSequence, p.id, offset, b.ProducerEpoch(), first, p.epoch)
		}
	case first != addSequence(p.lastSequence(), 1):
		return fmt.Errorf("%w: producer %d at offset %d: %d (incoming seq. number), %d (current end sequence number)",
			ErrOutOfOrderSequence, p.id, offset, first, p.lastSequence())
	}
	return nil
}

// completedTxn is a transaction that a marker ended.
type completedTxn struct {
	producerID, firstOffset, lastOffset int64
	aborted                             bool
}

// appendMarker applies the marker that ends the open transaction. ok is false if none was open. Errors:
// ErrInvalidProducerEpoch, ErrCoordinatorFenced.
func (p *producer) appendMarker(b record.Batch, m marker, t terms, offset int64) (txn completedTxn, ok bool, err error) {
	if err := p.checkMarkerEpoch(b, t, offset); err != nil {
		return txn, false, err
	}
	if p.coordinatorEpoch > m.coordinatorEpoch && t.origin != Replication {
		return txn, false, fmt.Errorf("%w: marker of producer %d at offset %d has coordinator epoch %d, the last seen is %d",
			ErrCoordinatorFenced, p.id, offset, m.coordinatorEpoch, p.coordinatorEpoch)
	}
	txn = completedTxn{producerID: p.id, firstOffset: p.txnFirstOffset, lastOffset: offset, aborted: m.aborted}
	ok = p.txnFirstOffset >= 0
	p.bump(b.ProducerEpoch())
	p.coordinatorEpoch = m.coordinatorEpoch
	p.txnFirstOffset = -1
	p.lastTimestampMs = m.timestampMs
	return txn, ok, nil
}

// checkMarkerEpoch is checkEpoch for a marker. With transactions version 2 each transaction ends with an epoch above its
// own; the same epoch is that of a marker that comes again, when the first is written, or of a producer that has used up
// its epochs.
func (p *producer) checkMarkerEpoch(b record.Batch, t terms, offset int64) error {
	if t.transactionVersion < 2 || t.origin == Replication || b.ProducerEpoch() != p.epoch {
		return p.checkEpoch(b, t.origin, offset)
	}
	if p.txnFirstOffset < 0 || p.epoch == math.MaxInt16 {
		return nil
	}
	return fmt.Errorf("%w: marker of producer %d at offset %d has epoch %d, that of the open transaction; it has to be above it",
		ErrInvalidProducerEpoch, p.id, offset, p.epoch)
}

// marker is the control record that ends a transaction.
type marker struct {
	aborted          bool
	coordinatorEpoch int32
	timestampMs      int64
}

// readMarker finds the marker in a control batch. ok is false if the batch has no record any more, or another kind.
func readMarker(b record.Batch) (m marker, ok bool, err error) {
	for r, err := range b.Records() {
		if err != nil {
			return m, false, err
		}
		_, kind, err := record.ParseControlKey(r.Key)
		if err != nil {
			return m, false, err
		}
		if kind != record.ControlAbort && kind != record.ControlCommit {
			return m, false, nil
		}
		end, err := record.ParseEndTxnMarker(r.Value)
		if err != nil {
			return m, false, err
		}
		return marker{aborted: kind == record.ControlAbort, coordinatorEpoch: end.CoordinatorEpoch, timestampMs: r.Timestamp}, true, nil
	}
	return m, false, nil
}

func (p *producer) snapshot() snapshotEntry {
	e := snapshotEntry{producerID: p.id, epoch: p.epoch, lastSequence: -1, lastOffset: -1, timestampMs: p.lastTimestampMs,
		coordinatorEpoch: p.coordinatorEpoch, txnFirstOffset: p.txnFirstOffset}
	if p.n > 0 {
		b := p.batches[p.n-1]
		e.lastSequence, e.lastOffset, e.offsetDelta = b.lastSequence, b.lastOffset, b.offsetDelta
	}
	return e
}

func (e snapshotEntry) producer() producer {
	p := newProducer(e.producerID)
	p.epoch, p.coordinatorEpoch, p.lastTimestampMs, p.txnFirstOffset = e.epoch, e.coordinatorEpoch, e.timestampMs, e.txnFirstOffset
	if e.lastOffset >= 0 {
		p.remember(producerBatch{lastSequence: e.lastSequence, offsetDelta: e.offsetDelta, lastOffset: e.lastOffset, timestampMs: e.timestampMs})
	}
	return p
}
