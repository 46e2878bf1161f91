package cleaner

import (
	"slices"

	"gregor/internal/record"
)

// Aborted is an aborted transaction, as the transaction index has it.
type Aborted struct {
	ProducerID, FirstOffset, LastOffset, LastStableOffset int64
}

// Transactions follows the transactions through the batches of a log, in their order: which batches were rolled back, and
// which markers have nothing left to end.
type Transactions struct {
	waiting   []Aborted                 // known and not begun yet, by first offset
	aborted   map[int64]*ongoingAborted // by producer id
	committed map[int64]struct{}        // producers with a batch of a transaction that will be committed
	kept      []Aborted                 // those whose marker stays, for the new transaction index
}

type ongoingAborted struct {
	txn  Aborted
	seen bool // a batch of it is still there
}

// NewTransactions follows a log from its beginning on.
func NewTransactions() *Transactions {
	return &Transactions{aborted: map[int64]*ongoingAborted{}, committed: map[int64]struct{}{}}
}

// Add makes aborted transactions known, before the batches that lie at their offsets come. A transaction that reaches over
// several segments may be added for each.
func (t *Transactions) Add(list []Aborted) {
	if len(list) == 0 {
		return
	}
	t.waiting = append(t.waiting, list...)
	slices.SortFunc(t.waiting, func(a, b Aborted) int { return int(min(max(a.FirstOffset-b.FirstOffset, -1), 1)) })
}

// Kept gives the transactions whose abort markers were passed and stay, and forgets them.
func (t *Transactions) Kept() []Aborted {
	kept := t.kept
	t.kept = nil
	return kept
}

func (t *Transactions) begin(upTo int64) {
	n := 0
	for ; n < len(t.waiting) && t.waiting[n].FirstOffset <= upTo; n++ {
		if a := t.waiting[n]; t.aborted[a.ProducerID] == nil {
			t.aborted[a.ProducerID] = &ongoingAborted{txn: a}
		}
	}
	t.waiting = t.waiting[n:]
}

// RolledBack tells of a batch of data whether its transaction was aborted.
func (t *Transactions) RolledBack(b record.Batch) bool {
	t.begin(b.LastOffset())
	if !b.IsTransactional() {
		return false
	}
	if a := t.aborted[b.ProducerID()]; a != nil {
		a.seen = true
		return true
	}
	t.committed[b.ProducerID()] = struct{}{}
	return false
}

// Ended tells of a control batch whether nothing is left of what it ended. An empty one, or one that is no marker of a
// transaction, ends nothing: the former is what was left of a marker, the latter must stay.
func (t *Transactions) Ended(b record.Batch) (empty bool, err error) {
	t.begin(b.LastOffset())
	for r, err := range b.Records() {
		if err != nil {
			return false, err
		}
		_, kind, err := record.ParseControlKey(r.Key)
		if err != nil {
			return false, err
		}
		switch kind {
		case record.ControlAbort:
			a := t.aborted[b.ProducerID()]
			delete(t.aborted, b.ProducerID())
			if a != nil && a.seen {
				t.kept = append(t.kept, a.txn)
				return false, nil
			}
			return true, nil
		case record.ControlCommit:
			_, seen := t.committed[b.ProducerID()]
			delete(t.committed, b.ProducerID())
			return !seen, nil
		}
		return false, nil
	}
	return true, nil
}
