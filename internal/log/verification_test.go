package log

import (
	"fmt"
	"math"
	"testing"
)

func (f *fixture) marker(l *Log, m Marker) (AppendInfo, error) {
	f.t.Helper()
	return l.AppendMarker(m, 0)
}

func (f *fixture) guard(l *Log, id int64, epoch int16, sequence int32) Guard {
	f.t.Helper()
	g, err := l.StartVerification(id, epoch, sequence, false)
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func TestFirstAppendOfATransactionNeedsItsGuard(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	try := func(g Guard, epoch int16, sequence int32) error {
		_, err := l.AppendGuarded(txnBatch(1, epoch, sequence, "x"), 0, Client, g)
		return err
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expectError(t, try(0, 0, 0), ErrInvalidTxnState)
	g := f.guard(l, 1, 0, 0)
	if g == 0 || f.guard(l, 1, 0, 0) != g {
		t.Fatalf("guard %d, then %d", g, f.guard(l, 1, 0, 0))
	}
	expectError(t, try(g+1, 0, 0), ErrInvalidTxnState)
	expectError(t, try(0, 0, 0), ErrInvalidTxnState)
	ok(try(g, 0, 0))

	// Open: no guard is needed, nor given.
	if g := f.guard(l, 1, 0, 1); g != 0 {
		t.Fatalf("guard %d of an open transaction", g)
	}
	ok(try(0, 0, 1))

	// Ended: the old guard is worth nothing, even for one who asks again (the stale answer of a coordinator).
	_, err := f.marker(l, Marker{ProducerID: 1, Commit: true})
	ok(err)
	expectError(t, try(g, 0, 2), ErrInvalidTxnState)
	again := f.guard(l, 1, 0, 2)
	if again == g {
		t.Fatal("the same guard for two transactions")
	}
	expectError(t, try(g, 0, 2), ErrInvalidTxnState)

	// An abort of the transaction that waits takes its guard, though nothing was written: the produce comes too late.
	_, err = f.marker(l, Marker{ProducerID: 1})
	ok(err)
	expectError(t, try(again, 0, 2), ErrInvalidTxnState)
	if l.LastStableOffset() != l.HighWatermark() || l.Producers()[0].CurrentTxnStartOffset != -1 {
		t.Fatalf("a transaction hangs: %+v", l.Producers())
	}

	// A new epoch is another transaction, even while one of the old is open; an old epoch is refused.
	ok(try(f.guard(l, 1, 0, 2), 0, 2))
	if g = f.guard(l, 1, 1, 0); g == 0 {
		t.Fatal("no guard for a new epoch")
	}
	expectError(t, try(0, 1, 0), ErrInvalidTxnState)
	ok(try(g, 1, 0))
	_, err = l.StartVerification(1, 0, 3, false)
	expectError(t, err, ErrInvalidProducerEpoch)
	expectError(t, try(0, 0, 3), ErrInvalidProducerEpoch)
}

func TestHeldBatchesAreNotOvertaken(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	g := f.guard(l, 1, 0, 3)
	if f.guard(l, 1, 0, 2) != g {
		t.Fatal("another guard")
	}
	_, err := l.AppendGuarded(txnBatch(1, 0, 3, "second"), 0, Client, g)
	expectError(t, err, ErrOutOfOrderSequence)
	if _, err := l.AppendGuarded(txnBatch(1, 0, 2, "first"), 0, Client, g); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendGuarded(txnBatch(1, 0, 3, "second"), 0, Client, 0); err != nil {
		t.Fatal(err)
	}

	// In transactions version 2 a producer that nothing is known of starts at 0.
	g, err = l.StartVerification(2, 0, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.AppendGuarded(txnBatch(2, 0, 1, "x"), 0, Client, g)
	expectError(t, err, ErrOutOfOrderSequence)
	if _, err = l.StartVerification(2, 0, 0, true); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendGuarded(txnBatch(2, 0, 0, "x"), 0, Client, g); err != nil {
		t.Fatal(err)
	}
}

func TestVerificationExpires(t *testing.T) {
	f := newFixture(t)
	f.opts.ProducerExpirationMs = 1000
	l := f.open()
	g := f.guard(l, 1, 0, 0)
	f.clock.ms += 999
	l.ExpireProducers()
	if f.guard(l, 1, 0, 0) != g {
		t.Fatal("expired early")
	}
	f.clock.ms++
	l.ExpireProducers()
	_, err := l.AppendGuarded(txnBatch(1, 0, 0, "x"), 0, Client, g)
	expectError(t, err, ErrInvalidTxnState)
}

// TestMarkersOfTransactionsVersion2 end a transaction with an epoch above its own.
func TestMarkersOfTransactionsVersion2(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	mark := func(epoch int16, version int8, coordinator int32) error {
		_, err := f.marker(l, Marker{ProducerID: 1, ProducerEpoch: epoch, Commit: true, CoordinatorEpoch: coordinator, TransactionVersion: version})
		return err
	}
	f.append(l, txnBatch(1, 4, 0, "x"))
	expectError(t, mark(4, 2, 0), ErrInvalidProducerEpoch) // a late one of the transaction before
	expectError(t, mark(3, 2, 0), ErrInvalidProducerEpoch)
	expectError(t, mark(3, 1, 0), ErrInvalidProducerEpoch)
	if err := mark(5, 2, 7); err != nil {
		t.Fatal(err)
	}
	_, err := l.AppendLeader(txnBatch(1, 4, 1, "late"), 0, Client)
	expectError(t, err, ErrInvalidProducerEpoch)
	if err := mark(5, 2, 7); err != nil { // again: the first answer was lost
		t.Fatal(err)
	}
	expectError(t, mark(5, 2, 6), ErrCoordinatorFenced)
	f.append(l, txnBatch(1, 5, 0, "next")) // the epoch that the marker brought, from sequence 0
	if err := mark(5, 1, 7); err != nil {  // version 1 keeps the epoch
		t.Fatal(err)
	}
	f.append(l, txnBatch(1, math.MaxInt16, 0, "last epoch"))
	if err := mark(math.MaxInt16, 2, 7); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(l.Producers()); got != fmt.Sprintf("[{1 32767 0 %d 7 -1}]", int64(testEpochMs)) {
		t.Fatal(got)
	}
}

// TestReadCommittedListsTheRange: a reader that is far behind is not told of every abort up to the end.
func TestReadCommittedListsTheRange(t *testing.T) {
	f := newFixture(t)
	c := *DefaultConfig()
	c.IndexIntervalBytes = 1
	f.opts.Config = &c
	l := f.open()
	for i := range int32(50) { // batch at 2i, marker at 2i+1
		f.append(l, txnBatch(1, 0, i, "x"))
		if _, err := f.marker(l, Marker{ProducerID: 1, Commit: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
		if i == 24 {
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.SetHighWatermark(l.EndOffset())
	for _, c := range []struct {
		from     int64
		maxBytes int
		least    int // aborted transactions in the first two batches from there
	}{{0, 150, 0}, {2, 150, 1}, {3, 1, 1}, {50, 150, 0}, {98, 1, 1}} {
		slice, txns, err := l.ReadCommitted(c.from, l.LastStableOffset(), c.maxBytes, true)
		if err != nil || slice.Len() == 0 {
			t.Fatal(slice.Len(), err)
		}
		slice.Close()
		if len(txns) < c.least || len(txns) > c.least+1 {
			t.Errorf("from %d: %d aborted transactions: %v", c.from, len(txns), txns)
		}
	}
	slice, txns, err := l.ReadCommitted(0, l.LastStableOffset(), 1<<20, true)
	if err != nil || len(txns) != 12 { // of the first segment, to whose end the slice reaches
		t.Fatal(len(txns), err)
	}
	slice.Close()
}

// TestStableOffsetNotBelowTheStart: records of an open transaction may be deleted.
func TestStableOffsetNotBelowTheStart(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, txnBatch(1, 0, 0, "a"))
	f.append(l, batch("b"))
	l.SetHighWatermark(2)
	if got := l.LastStableOffset(); got != 0 {
		t.Fatal(got)
	}
	if _, err := l.DeleteRecordsBefore(1); err != nil {
		t.Fatal(err)
	}
	if got := l.LastStableOffset(); got != 1 {
		t.Fatal(got)
	}
}

// With transactions version 2 a producer writes for its next transaction while the marker of the one before is on its way.
// That marker has the epoch of the next transaction already, and must not take its guard away.
func TestMarkerOfTheTransactionBeforeLeavesTheGuard(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	end := func(epoch int16) {
		t.Helper()
		if _, err := f.marker(l, Marker{ProducerID: 1, ProducerEpoch: epoch, Commit: true, TransactionVersion: 2}); err != nil {
			t.Fatal(err)
		}
	}
	write := func(epoch int16, g Guard) error {
		_, err := l.AppendGuarded(txnBatch(1, epoch, 0, "x"), 0, Client, g)
		return err
	}
	if err := write(0, f.guard(l, 1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	next := f.guard(l, 1, 1, 0)
	end(1)
	if err := write(1, next); err != nil {
		t.Fatal(err)
	}
	end(2)
	late := f.guard(l, 1, 2, 0)
	end(3) // that transaction was aborted, without a record here
	if err := write(2, late); err == nil {
		t.Fatal("a batch was taken after its transaction had ended")
	}
}
