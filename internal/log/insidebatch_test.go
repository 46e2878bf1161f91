package log

import (
	"testing"

	"gregor/internal/record"
)

// TestOpenTransactionAcrossTheLogStart: a log start inside a batch, and no snapshot behind it, as a power failure may leave
// it. The batch's transaction is open still, so what is left of it is not stable.
func TestOpenTransactionAcrossTheLogStart(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	b := keyedBatch(1, 0, 0, true, record.None, keyed{key: "a", value: "1"}, keyed{key: "b", value: "2"})
	if _, err := l.AppendLeader(b, 0, Coordinator); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(2)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteRecordsBefore(1); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(2); err != nil {
		t.Fatal(err)
	}
	if err := f.fs.Remove(segmentPath(l.dir, 2, snapshotSuffix)); err != nil {
		t.Fatal(err)
	}
	f.opts.RecoveryPoint, f.opts.LogStartOffset, f.opts.HighWatermark = 2, 1, 2
	l = f.open()
	if l.StartOffset() != 1 || l.EndOffset() != 2 || l.LastStableOffset() > 1 {
		t.Errorf("log from %d to %d, last stable offset %d", l.StartOffset(), l.EndOffset(), l.LastStableOffset())
	}
}
