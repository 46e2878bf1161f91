package log

import (
	"fmt"

	"gregor/internal/record"
)

// Guard lets the append through that opens a transaction of a producer in this partition, after the transaction
// coordinator has said that the partition is in the producer's ongoing transaction (KIP-890). It is worth nothing any more
// once a batch or the marker of that transaction was written: so an append that was held up until after the abort cannot
// open a transaction that nobody will end. The zero Guard opens nothing.
type Guard uint64

// Unverified is the Guard of an append that is not to be verified, since verification is switched off or the caller is
// the coordinator itself.
const Unverified Guard = 1

// verification is what is kept of a producer between the question to the coordinator and the append.
type verification struct {
	guard Guard
	atMs  int64
	epoch int16
	adds  bool // the coordinator adds the partition to the transaction: a producer of transactions version 2

	// lowestSequence is the lowest that a held batch has. A batch behind it must not be written before it: the one before
	// would then be out of order for ever.
	lowestSequence int32
}

// StartVerification begins the first append of a transaction. It returns 0 if the producer has a transaction open in
// this epoch, which needs no verification; else the Guard to append with when the coordinator has agreed, the same for
// all who ask meanwhile. sequence is the batch's first, -1 if it has none. adds tells that the coordinator is asked to add
// the partition. Error: ErrInvalidProducerEpoch, ErrClosed, ErrDirOffline.
func (l *Log) StartVerification(producerID int64, epoch int16, sequence int32, adds bool) (Guard, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return l.producers.startVerification(producerID, epoch, sequence, adds, l.now().UnixMilli())
}

func (ps *producers) startVerification(id int64, epoch int16, sequence int32, adds bool, nowMs int64) (Guard, error) {
	if p := ps.byID[id]; p != nil {
		if epoch < p.epoch {
			return 0, fmt.Errorf("%w: producer %d has epoch %d, the last seen is %d", ErrInvalidProducerEpoch, id, epoch, p.epoch)
		}
		if p.txnFirstOffset >= 0 && p.epoch == epoch {
			return 0, nil
		}
	}
	v := ps.verifying[id]
	if v == nil {
		if ps.verifying == nil {
			ps.verifying = map[int64]*verification{}
		}
		ps.lastGuard++
		v = &verification{guard: Unverified + ps.lastGuard, atMs: nowMs, epoch: epoch, adds: adds, lowestSequence: sequence}
		ps.verifying[id] = v
	}
	switch {
	case epoch > v.epoch:
		v.epoch, v.lowestSequence = epoch, sequence
	case epoch == v.epoch:
		v.lowestSequence = min(v.lowestSequence, sequence)
	}
	return v.guard, nil
}

// terms are what an append is judged by.
type terms struct {
	origin             Origin
	guard              Guard
	transactionVersion int8 // of a marker
}

// checkVerified refuses a batch of a transaction that the coordinator may not know of. p is the producer's state before
// the append.
func (ps *producers) checkVerified(p *producer, b record.Batch, t terms, offset int64) error {
	if p.txnFirstOffset >= 0 && p.epoch == b.ProducerEpoch() || t.guard == Unverified {
		return nil
	}
	if err := p.checkEpoch(b, t.origin, offset); err != nil {
		return err
	}
	if v := ps.verifying[p.id]; t.guard == 0 || v == nil || v.guard != t.guard {
		return fmt.Errorf("%w: Record was not part of an ongoing transaction", ErrInvalidTxnState)
	}
	return nil
}

// checkHeld refuses a client's batch that overtakes one which waits for its verification, and one of transactions version
// 2 that begins in the middle though nothing is known of its producer.
func (ps *producers) checkHeld(p *producer, b record.Batch, offset int64) error {
	v := ps.verifying[p.id]
	if v == nil {
		return nil
	}
	switch first := b.BaseSequence(); {
	case v.adds && first != 0 && p.n == 0:
		return fmt.Errorf("%w: producer %d at offset %d: %d (incoming seq. number), 0 is expected since no state of the producer is known",
			ErrOutOfOrderSequence, p.id, offset, first)
	case first > v.lowestSequence:
		return fmt.Errorf("%w: producer %d at offset %d: %d (incoming seq. number), %d (earliest seen sequence)",
			ErrOutOfOrderSequence, p.id, offset, first, v.lowestSequence)
	}
	return nil
}

// endsVerification tells whether a marker is that of the transaction which a producer's batch waits for. In transactions
// version 2 it has a later epoch than that; a batch of the marker's own epoch belongs to the next transaction, whose
// coordinator lets it wait for just this marker.
func (ps *producers) endsVerification(marker record.Batch, t terms) bool {
	v := ps.verifying[marker.ProducerID()]
	return v != nil && (t.transactionVersion < 2 || v.epoch < marker.ProducerEpoch())
}

// endVerifications ends those of the producers whose transaction is open now, or has ended.
func (ps *producers) endVerifications() {
	if len(ps.verifying) > 0 {
		for _, id := range ps.verified {
			delete(ps.verifying, id)
		}
	}
}
