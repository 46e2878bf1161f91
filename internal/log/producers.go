package log

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"gregor/internal/record"
)

// producers is what a log knows of the producers that wrote it. It is not safe for concurrent use: the log's mutex
// guards it.
//
// A batch goes through two steps: check puts the changed producers aside in pending, and commit puts them in place when
// the batch has been written. An append that fails is forgotten by the next check.
type producers struct {
	byID map[int64]*producer
	end  int64 // the offset that the state stands for

	// Transactions by first offset, ascending. A transaction whose marker is above the high watermark still holds the
	// last stable offset back.
	ongoing      []openTxn
	unreplicated []endedTxn

	// verifying are the producers whose first batch of a transaction waits for the coordinator's word.
	verifying map[int64]*verification
	lastGuard Guard
	verified  []int64 // producers whose verification the pending append ends

	pending   []producer
	completed []completedTxn // by the batches of the pending append
	started   []openTxn
}

type openTxn struct{ producerID, firstOffset int64 }

type endedTxn struct{ firstOffset, markerOffset int64 }

func (ps *producers) reset(end int64) {
	// What was verified does not survive, but no guard is given twice.
	*ps = producers{byID: map[int64]*producer{}, end: end, lastGuard: ps.lastGuard, pending: ps.pending[:0], completed: ps.completed[:0], started: ps.started[:0]}
}

// begin forgets what an append that failed left.
func (ps *producers) begin() {
	ps.pending, ps.completed, ps.started, ps.verified = ps.pending[:0], ps.completed[:0], ps.started[:0], ps.verified[:0]
}

// duplicate finds the earlier batch that an incoming one repeats.
func (ps *producers) duplicate(b record.Batch) (producerBatch, bool) {
	p := ps.byID[b.ProducerID()]
	if p == nil {
		return producerBatch{}, false
	}
	return p.duplicate(b)
}

// check applies a batch with a producer id, that will lie at the given offset, to the pending state. mark is its
// marker if it is a control batch.
func (ps *producers) check(b record.Batch, mark *marker, t terms, offset int64) error {
	p := ps.take(b.ProducerID())
	if !b.IsControl() {
		if t.origin != Replication && b.IsTransactional() {
			if err := ps.checkVerified(p, b, t, offset); err != nil {
				return err
			}
		}
		if t.origin == Client && len(ps.verifying) > 0 {
			if err := ps.checkHeld(p, b, offset); err != nil {
				return err
			}
		}
		was := p.txnFirstOffset
		if err := p.appendData(b, t.origin, offset); err != nil {
			return err
		}
		if was < 0 && p.txnFirstOffset >= 0 {
			ps.started = append(ps.started, openTxn{p.id, offset})
		}
		ps.verified = append(ps.verified, p.id)
		return nil
	}
	if mark == nil {
		return nil // its records were removed by compaction, or it is of another kind
	}
	txn, ok, err := p.appendMarker(b, *mark, t, offset)
	if err == nil && ok {
		ps.completed = append(ps.completed, txn)
	}
	if ps.endsVerification(b, t) {
		ps.verified = append(ps.verified, p.id)
	}
	return err
}

// take gives the pending copy of a producer.
func (ps *producers) take(id int64) *producer {
	for i := range ps.pending {
		if ps.pending[i].id == id {
			return &ps.pending[i]
		}
	}
	if p := ps.byID[id]; p != nil {
		ps.pending = append(ps.pending, *p)
	} else {
		ps.pending = append(ps.pending, newProducer(id))
	}
	return &ps.pending[len(ps.pending)-1]
}

// commit makes the pending state the current one; end is the log's end after the append. aborted is called for each
// transaction that ended in an abort, in the order of the markers, with the last stable offset at that time.
func (ps *producers) commit(end int64, aborted func(txn completedTxn, lastStableOffset int64) error) error {
	for i := range ps.pending {
		p := &ps.pending[i]
		if old := ps.byID[p.id]; old != nil {
			*old = *p
		} else {
			c := *p
			ps.byID[p.id] = &c
		}
	}
	ps.endVerifications()
	ps.ongoing = append(ps.ongoing, ps.started...)
	for _, txn := range ps.completed {
		i := sort.Search(len(ps.ongoing), func(i int) bool { return ps.ongoing[i].firstOffset >= txn.firstOffset })
		if i < len(ps.ongoing) && ps.ongoing[i].firstOffset == txn.firstOffset {
			ps.ongoing = slices.Delete(ps.ongoing, i, i+1)
		}
		if txn.aborted {
			lso := txn.lastOffset + 1
			if len(ps.ongoing) > 0 {
				lso = min(lso, ps.ongoing[0].firstOffset)
			}
			if err := aborted(txn, lso); err != nil {
				return err
			}
		}
		ps.unreplicated = append(ps.unreplicated, endedTxn{txn.firstOffset, txn.lastOffset})
	}
	ps.end = end
	ps.begin()
	return nil
}

// replicated forgets the ended transactions whose marker is below the high watermark.
func (ps *producers) replicated(highWatermark int64) {
	ps.unreplicated = slices.DeleteFunc(ps.unreplicated, func(t endedTxn) bool { return t.markerOffset < highWatermark })
}

// firstUnstable is the first offset of a transaction that is open or not yet replicated; MaxInt64 if none.
func (ps *producers) firstUnstable() int64 {
	first := int64(math.MaxInt64)
	if len(ps.ongoing) > 0 {
		first = ps.ongoing[0].firstOffset
	}
	for _, t := range ps.unreplicated {
		first = min(first, t.firstOffset)
	}
	return first
}

// transactional tells whether a transaction of any producer has ended here.
func (ps *producers) transactional() bool {
	for _, p := range ps.byID {
		if p.coordinatorEpoch >= 0 {
			return true
		}
	}
	return false
}

// expire forgets the producers that wrote nothing since a time and have no transaction open.
func (ps *producers) expire(beforeMs int64) {
	for id, p := range ps.byID {
		if p.txnFirstOffset < 0 && p.lastTimestampMs <= beforeMs {
			delete(ps.byID, id)
		}
	}
	for id, v := range ps.verifying {
		if v.atMs <= beforeMs {
			delete(ps.verifying, id)
		}
	}
}

// snapshot lists the state for a file, by producer id.
func (ps *producers) snapshot() []snapshotEntry {
	list := make([]snapshotEntry, 0, len(ps.byID))
	for _, p := range ps.byID {
		list = append(list, p.snapshot())
	}
	slices.SortFunc(list, func(a, b snapshotEntry) int { return cmp.Compare(a.producerID, b.producerID) })
	return list
}

// restore takes a snapshot's state, leaving out producers that have expired.
func (ps *producers) restore(entries []snapshotEntry, end, expiredBeforeMs int64) {
	ps.reset(end)
	for _, e := range entries {
		p := e.producer()
		if p.txnFirstOffset < 0 && p.lastTimestampMs <= expiredBeforeMs {
			continue
		}
		ps.byID[p.id] = &p
		if p.txnFirstOffset >= 0 {
			ps.ongoing = append(ps.ongoing, openTxn{p.id, p.txnFirstOffset})
		}
	}
	slices.SortFunc(ps.ongoing, func(a, b openTxn) int { return cmp.Compare(a.firstOffset, b.firstOffset) })
}

func (ps *producers) list() []ProducerState {
	list := make([]ProducerState, 0, len(ps.byID))
	for _, p := range ps.byID {
		list = append(list, ProducerState{ProducerID: p.id, ProducerEpoch: p.epoch, LastSequence: p.lastSequence(),
			LastTimestampMs: p.lastTimestampMs, CoordinatorEpoch: p.coordinatorEpoch, CurrentTxnStartOffset: p.txnFirstOffset})
	}
	slices.SortFunc(list, func(a, b ProducerState) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return list
}

// replay applies a batch that is in the log already.
func (ps *producers) replay(b record.Batch, aborted func(completedTxn, int64) error) error {
	ps.begin()
	if b.HasProducerID() {
		mark, err := markerOf(b)
		if err != nil {
			return err
		}
		if err := ps.check(b, mark, terms{origin: Replication}, b.BaseOffset()); err != nil {
			return err
		}
	}
	return ps.commit(b.NextOffset(), aborted)
}
