package log

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"gregor/internal/record"
)

// manner is how the same operations are done: what of it may show is nothing, or, if it compacts, what is superseded.
type manner struct {
	name                                string
	segmentBytes, indexBytes, flushEach int
	restart, kill, compact, sweep       int // after so many operations; 0: never
}

// play does the operations of a seed in a manner, and gives what the log says in the end, with the last committed value of
// each key.
func (by manner) play(t *testing.T, seed uint64, operations int) (fileState, map[string]string) {
	t.Helper()
	f := newFixture(t)
	cfg := f.opts.Config
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.DeleteRetentionMs = by.segmentBytes, by.indexBytes, 0
	cfg.CleanupCompact, cfg.CleanupDelete = by.compact > 0, by.compact == 0
	if by.flushEach > 0 {
		cfg.FlushMessages = int64(by.flushEach)
	}
	l := f.open()
	reopen := func(clean bool) {
		if clean {
			check(t, l.Close())
		}
		o := &f.opts
		o.CleanShutdown, o.SameBoot = clean, true
		o.RecoveryPoint, o.LogStartOffset, o.HighWatermark = l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
		upTo := l.compaction.upTo.Load()
		l = f.open()
		l.compaction.upTo.Store(upTo)
	}
	rnd := rand.New(rand.NewPCG(seed, 11))
	sequence := map[int64]int32{}
	epoch := int32(0)
	m := &keyedLog{} // for compactNow
	for n := range operations {
		f.clock.ms += 500
		switch k := rnd.IntN(20); {
		case k == 0 && epoch < 6:
			epoch++
		case k < 4:
			_, err := l.AppendMarker(Marker{ProducerID: 1 + rnd.Int64N(3), Commit: rnd.IntN(2) == 0}, epoch)
			check(t, err)
		default:
			id, transactional := rnd.Int64N(4), true
			if id == 0 {
				id, transactional = 9*rnd.Int64N(2), false
			}
			b := record.NewBuilder(record.BuilderOptions{Transactional: transactional})
			if id > 0 {
				b.Reset(record.BuilderOptions{Transactional: transactional, Producer: &record.Producer{ID: id, BaseSequence: sequence[id]}})
			}
			records := 1 + rnd.IntN(3)
			for i := range records {
				b.Append(f.clock.ms, fmt.Append(nil, "k", rnd.IntN(6)), fmt.Append(nil, "v", n, " ", i))
			}
			sequence[id] += int32(records)
			_, err := l.AppendLeader(b.Build(), epoch, Coordinator)
			check(t, err)
		}
		l.FlushPending()
		if rnd.IntN(3) == 0 {
			l.SetHighWatermark(l.EndOffset())
		}
		every := func(of int) bool { return of > 0 && n%of == of-1 }
		if every(by.compact) {
			check(t, m.compactNow(l, smallMap))
		}
		if every(by.sweep) {
			check(t, l.Sweep())
			check(t, l.Sweep())
		}
		if every(by.kill) {
			reopen(false)
		}
		if every(by.restart) {
			reopen(true)
		}
	}
	s, err := stateOf(l)
	check(t, err)
	last := map[string]string{}
	seen, err := readKeyed(l, true, 300)
	check(t, err)
	for _, r := range seen {
		last[r.key] = fmt.Sprint(r.value, " at ", r.offset)
	}
	check(t, l.Close())
	return s, last
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSameReads does the same operations, of transactions too, with other sizes of segments, intervals of indexes, flushes,
// restarts, kills and compactions. What is read, with both isolation levels, is the same: every record and every answer about
// producers, epochs, aborted transactions and times, or with compaction the last committed value of every key.
func TestSameReads(t *testing.T) {
	plain := manner{name: "plain", segmentBytes: 1 << 20, indexBytes: 4096}
	manners := []manner{
		{name: "small segments", segmentBytes: 400, indexBytes: 0},
		{name: "flushed before acknowledged", segmentBytes: 1000, indexBytes: 100, flushEach: 1},
		{name: "flushed now and then", segmentBytes: 1000, indexBytes: 100, flushEach: 7},
		{name: "restarted", segmentBytes: 700, indexBytes: 200, restart: 9},
		{name: "restarted after each operation", segmentBytes: 700, indexBytes: 200, restart: 1},
		{name: "killed", segmentBytes: 700, indexBytes: 200, kill: 7},
		{name: "killed and flushed", segmentBytes: 500, indexBytes: 100, kill: 5, flushEach: 1},
		{name: "swept", segmentBytes: 500, indexBytes: 100, sweep: 3, restart: 31},
		{name: "compacted", segmentBytes: 500, indexBytes: 100, compact: 10},
		{name: "compacted and restarted", segmentBytes: 500, indexBytes: 100, compact: 7, restart: 13},
		{name: "compacted and killed", segmentBytes: 500, indexBytes: 100, compact: 11, kill: 6, sweep: 4},
	}
	for seed := range uint64(6) {
		want, wantLast := plain.play(t, seed, 120)
		if len(want.records) < 60 || want.aborted == "[]" || len(wantLast) < 4 {
			t.Fatalf("seed %d says too little: %d batches, %s", seed, len(want.records), want.aborted)
		}
		for _, by := range manners {
			got, last := by.play(t, seed, 120)
			if by.compact > 0 {
				// Which records are left is not the same, which of them count is.
				if got.end != want.end || got.stable != want.stable || got.producers != want.producers || !maps.Equal(last, wantLast) {
					t.Errorf("seed %d, %s: end %d, stable %d, producers %s\n%v\nplain %d, %d, %s\n%v", seed, by.name, got.end, got.stable, got.producers, last,
						want.end, want.stable, want.producers, wantLast)
				}
				continue
			}
			if text := want.differs(got); text != "" {
				t.Errorf("seed %d, %s: %s", seed, by.name, text)
			}
		}
	}
}
