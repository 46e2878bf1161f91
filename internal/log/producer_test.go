package log

import (
	"fmt"
	"math"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

func TestIdempotentProducer(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	try := func(epoch int16, sequence int32, values ...string) (AppendInfo, error) {
		return l.AppendLeader(producerBatchOf(5, epoch, sequence, values...), 0, Client)
	}
	ok := func(epoch int16, sequence int32, values ...string) AppendInfo {
		t.Helper()
		info, err := try(epoch, sequence, values...)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	for i := range int32(7) {
		ok(0, 2*i, fmt.Sprint(2*i), fmt.Sprint(2*i+1))
	}
	// The last five come again: the same offsets, nothing written.
	for i := int32(2); i < 7; i++ {
		info := ok(0, 2*i, "x", "y")
		if !info.Duplicate || info.FirstOffset != int64(2*i) || info.LastOffset != int64(2*i+1) {
			t.Fatalf("%d: %+v", i, info)
		}
	}
	if l.EndOffset() != 14 {
		t.Fatal(l.EndOffset())
	}
	for _, sequence := range []int32{0, 2, 12, 13, 15, 16} { // too old, or a gap, or one half of a batch
		_, err := try(0, sequence, "x")
		expectError(t, err, ErrOutOfOrderSequence)
	}
	_, err := try(1, 14, "x") // a new epoch starts at 0
	expectError(t, err, ErrOutOfOrderSequence)
	ok(1, 0, "new")
	_, err = try(0, 14, "x")
	expectError(t, err, ErrInvalidProducerEpoch)
	if info := ok(1, 0, "new"); !info.Duplicate || info.FirstOffset != 14 {
		t.Fatalf("%+v", info)
	}
	if got := l.Producers(); len(got) != 1 || got[0] != (ProducerState{5, 1, 0, testEpochMs, -1, -1}) {
		t.Fatalf("%+v", got)
	}
}

func TestSequenceWrapsAround(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	// Nothing is known of the producer, so it may start anywhere.
	f.append(l, producerBatchOf(5, 0, math.MaxInt32-1, "a", "b", "c")) // MaxInt32-1, MaxInt32, 0
	_, err := l.AppendLeader(producerBatchOf(5, 0, 0, "x"), 0, Client)
	expectError(t, err, ErrOutOfOrderSequence)
	f.append(l, producerBatchOf(5, 0, 1, "d"))
	if info := f.append(l, producerBatchOf(5, 0, math.MaxInt32-1, "a", "b", "c")); !info.Duplicate || info.FirstOffset != 0 {
		t.Fatalf("%+v", info)
	}
}

// TestProducersSurvive restarts: from a snapshot, from the segments alone, with a damaged snapshot.
func TestProducersSurvive(t *testing.T) {
	for _, c := range []struct {
		name   string
		clean  bool
		damage bool
	}{{"clean", true, false}, {"crash", false, false}, {"crash and damaged snapshot", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			l := f.open()
			for i := range int32(8) {
				f.append(l, producerBatchOf(5, 3, i, "x"))
				if i == 4 {
					if err := l.Roll(); err != nil {
						t.Fatal(err)
					}
				}
			}
			f.append(l, producerBatchOf(6, 0, 0, "y"))
			want := l.Producers()
			if c.clean {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if c.damage {
				if err := vfs.WriteFile(f.fs, "/data/t-0/00000000000000000005.snapshot", []byte("nonsense and more"), true); err != nil {
					t.Fatal(err)
				}
			}
			f.opts.CleanShutdown = c.clean
			l = f.open()
			if got := l.Producers(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			_, err := l.AppendLeader(producerBatchOf(5, 3, 9, "x"), 0, Client)
			expectError(t, err, ErrOutOfOrderSequence)
			if info := f.append(l, producerBatchOf(5, 3, 7, "x")); !info.Duplicate || info.FirstOffset != 7 {
				t.Fatalf("%+v", info)
			}
			f.append(l, producerBatchOf(5, 3, 8, "x"))
		})
	}
}

func TestProducersExpire(t *testing.T) {
	f := newFixture(t)
	f.opts.ProducerExpirationMs = 1000
	l := f.open()
	f.append(l, producerBatchOf(5, 0, 0, "x"))
	f.append(l, txnBatch(6, 0, 0, "x"))
	f.clock.ms += 999
	l.ExpireProducers()
	if n := len(l.Producers()); n != 2 {
		t.Fatal(n)
	}
	f.clock.ms++
	l.ExpireProducers()
	// A producer with an open transaction stays.
	if got := l.Producers(); len(got) != 1 || got[0].ProducerID != 6 {
		t.Fatalf("%+v", got)
	}
}

func TestTransactions(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	end := func(id int64, commit bool, coordinatorEpoch int32) error {
		_, err := l.AppendLeader(record.EndTxnBatch(id, 0, commit, coordinatorEpoch, testEpochMs), 0, Coordinator)
		return err
	}
	expectLSO := func(want int64) {
		t.Helper()
		if got := l.LastStableOffset(); got != want {
			t.Fatalf("LSO %d, want %d", got, want)
		}
	}
	f.append(l, batch("plain"))         // 0
	f.append(l, txnBatch(1, 0, 0, "a")) // 1
	f.append(l, txnBatch(2, 0, 0, "b")) // 2
	f.append(l, txnBatch(1, 0, 1, "c")) // 3
	l.SetHighWatermark(4)
	expectLSO(1)
	_, err := l.AppendLeader(producerBatchOf(1, 0, 2, "outside"), 0, Client)
	expectError(t, err, ErrInvalidTxnState)
	if err := end(1, false, 3); err != nil { // 4
		t.Fatal(err)
	}
	l.SetHighWatermark(4)
	expectLSO(1) // the marker is not replicated
	l.SetHighWatermark(5)
	expectLSO(2)
	if err := end(2, true, 3); err != nil { // 5
		t.Fatal(err)
	}
	l.SetHighWatermark(6)
	expectLSO(6)
	expectError(t, end(2, true, 2), ErrCoordinatorFenced)

	f.append(l, txnBatch(2, 0, 1, "d"))      // 6
	if err := end(2, false, 3); err != nil { // 7
		t.Fatal(err)
	}
	l.SetHighWatermark(8)
	check := func(l *Log) {
		t.Helper()
		for _, c := range []struct {
			from, to int64
			want     string
		}{
			{0, 8, "[{1 1 4 2} {2 6 7 8}]"}, {0, 2, "[{1 1 4 2}]"}, {5, 8, "[{2 6 7 8}]"}, {0, 1, "[]"}, {8, 9, "[]"},
		} {
			got, err := l.AbortedTxns(c.from, c.to)
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%d to %d: %v, %v; want %s", c.from, c.to, got, err, c.want)
			}
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f.opts.CleanShutdown = true
	check(f.open())
	f.opts.CleanShutdown = false // the index is built again
	if err := removeFile(f.fs, "/data/t-0/00000000000000000000.txnindex"); err != nil {
		t.Fatal(err)
	}
	l = f.open()
	check(l)
	l.SetHighWatermark(l.EndOffset())
	expectLSO(8)

	// Truncation takes an abort back, and the transaction is open again.
	if err := l.TruncateTo(7); err != nil {
		t.Fatal(err)
	}
	if got, err := l.AbortedTxns(0, 9); err != nil || fmt.Sprint(got) != "[{1 1 4 2}]" {
		t.Fatal(got, err)
	}
	expectLSO(6)
}
