package log

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gregor/internal/log/cleaner"
	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// keyed is a record of the naive log: everything that was ever appended.
type keyed struct {
	offset   int64
	key      string
	value    string // empty: a tombstone
	producer int64  // of a transaction; 0: of none
	aborted  bool
	decided  int64 // offset of the marker; 0: none yet
}

func (r *keyed) open(end int64) bool { return r.producer > 0 && (r.decided == 0 || r.decided >= end) }

// keyedLog is a log as a slice, to compare a compacted one with.
type keyedLog struct {
	records []keyed
	start   int64
	end     int64
	clean   int64 // nothing from here on was ever compacted
}

func (m *keyedLog) add(r keyed) {
	r.offset = m.end
	m.records = append(m.records, r)
	m.end++
}

func (m *keyedLog) decide(producer int64, aborted bool) {
	for i := range m.records {
		if r := &m.records[i]; r.producer == producer && r.open(m.end) {
			r.decided, r.aborted = m.end, aborted
		}
	}
	m.end++ // the marker
}

func (m *keyedLog) truncate(end int64) {
	m.end = end
	for len(m.records) > 0 && m.records[len(m.records)-1].offset >= end {
		m.records = m.records[:len(m.records)-1]
	}
}

// readKeyed reads all that a consumer sees of a log, as a consumer does.
func readKeyed(l *Log, committed bool, maxBytes int) (list []keyed, err error) {
	limit := l.EndOffset()
	if committed {
		limit = l.LastStableOffset()
	}
	for offset := l.StartOffset(); offset < limit; {
		slice, txns, err := l.ReadCommitted(offset, limit, maxBytes, true)
		if err != nil {
			return nil, err
		}
		b, err := slice.Bytes()
		slice.Close()
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			return list, nil // nothing is left up to the limit
		}
		slices.SortFunc(txns, func(a, b AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
		aborted := map[int64]bool{}
		for len(b) > 0 {
			var batch record.Batch
			if batch, b, err = record.Next(b); err != nil {
				return nil, err
			}
			if err := batch.CheckCRC(); err != nil {
				return nil, err
			}
			for len(txns) > 0 && txns[0].FirstOffset <= batch.LastOffset() {
				aborted[txns[0].ProducerID] = true
				txns = txns[1:]
			}
			offset = batch.NextOffset()
			if batch.IsControl() {
				if m, ok, err := readMarker(batch); err != nil {
					return nil, err
				} else if ok && m.aborted {
					delete(aborted, batch.ProducerID())
				}
				continue
			}
			if committed && batch.IsTransactional() && aborted[batch.ProducerID()] {
				continue
			}
			for r, err := range batch.Records() {
				if err != nil {
					return nil, err
				}
				if r.Offset >= l.StartOffset() {
					list = append(list, keyed{offset: r.Offset, key: string(r.Key), value: string(r.Value)})
				}
			}
		}
	}
	return list, nil
}

// contiguous checks that every segment reaches to the next one: a start tells from the end of a compacted segment which
// ones it replaces.
func contiguous(l *Log) error {
	list := *l.segments.Load()
	for i, s := range list[:len(list)-1] {
		end, err := l.nextOffsetOf(s.path(logSuffix), s.base)
		if err != nil {
			return err
		}
		// Of what was deleted below the log start a power failure may bring some segments back and others not.
		if end != list[i+1].base && list[i+1].base > l.StartOffset() {
			return fmt.Errorf("segment %d ends at %d, the next begins at %d", s.base, end, list[i+1].base)
		}
	}
	return nil
}

// check compares what a consumer of committed records sees with what was written.
func (m *keyedLog) check(l *Log, maxBytes int) error {
	if l.StartOffset() != m.start || l.EndOffset() != m.end {
		return fmt.Errorf("log from %d to %d, model from %d to %d", l.StartOffset(), l.EndOffset(), m.start, m.end)
	}
	if err := contiguous(l); err != nil {
		return err
	}
	lso := l.LastStableOffset()
	written := map[int64]keyed{}
	last := map[string]keyed{}
	for _, r := range m.records {
		open := r.open(m.end)
		if r.offset < m.start || r.offset >= lso || r.aborted && !open {
			continue
		}
		if open {
			return fmt.Errorf("offset %d of an open transaction lies below the last stable offset %d", r.offset, lso)
		}
		written[r.offset], last[r.key] = r, r
	}
	got, err := readKeyed(l, true, maxBytes)
	if err != nil {
		return err
	}
	at := int64(-1)
	seen := map[string]keyed{}
	for _, r := range got {
		w, ok := written[r.offset]
		if !ok || w.key != r.key || w.value != r.value {
			return fmt.Errorf("read %+v, written was %+v (%v)", r, w, ok)
		}
		if r.offset <= at {
			return fmt.Errorf("offset %d after %d", r.offset, at)
		}
		at = r.offset
		seen[r.key] = r
		delete(written, r.offset)
	}
	for key, w := range last {
		r, ok := seen[key]
		if ok && r.offset != w.offset || !ok && w.value != "" {
			return fmt.Errorf("key %s: read %+v (%v), the last written is %+v", key, r, ok, w)
		}
	}
	for offset, w := range written {
		if offset >= m.clean {
			return fmt.Errorf("%+v is gone, which was not to be compacted (%d)", w, m.clean)
		}
	}
	return nil
}

// compactNow cleans all that may be cleaned.
func (m *keyedLog) compactNow(l *Log, o cleanOptions) error {
	d, err := l.dirtiness(l.Config(), l.now())
	if err != nil || d.cleanable == 0 {
		return err
	}
	m.clean = max(m.clean, d.to)
	_, err = l.clean(context.Background(), d, o)
	return err
}

var smallMap = cleanOptions{mapBytes: 1 << 20, loadFactor: 0.9, chunk: 512}

func keyedBatch(id int64, epoch int16, sequence int32, transactional bool, codec record.Codec, records ...keyed) record.Batch {
	o := record.BuilderOptions{Codec: codec, Transactional: transactional}
	if id > 0 {
		o.Producer = &record.Producer{ID: id, Epoch: epoch, BaseSequence: sequence}
	}
	b := record.NewBuilder(o)
	for _, r := range records {
		var value []byte
		if r.value != "" {
			value = []byte(r.value)
		}
		b.Append(testEpochMs, []byte(r.key), value)
	}
	return b.Build()
}

// TestCompactionModel does the same operations on a log that is compacted now and then, and on a slice. When it is
// compacted, how large its segments are and where it was restarted must not be seen but in what is superseded.
func TestCompactionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		cfg := f.opts.Config
		cfg.SegmentBytes = rapid.SampledFrom([]int{300, 800, 1 << 20}).Draw(rt, "segment.bytes")
		cfg.IndexIntervalBytes = rapid.SampledFrom([]int{0, 100, 4096}).Draw(rt, "index.interval.bytes")
		cfg.CleanupCompact, cfg.CleanupDelete = true, false
		cfg.DeleteRetentionMs = rapid.SampledFrom([]int64{0, 10, 1 << 40}).Draw(rt, "delete.retention.ms")
		codec := rapid.SampledFrom([]record.Codec{record.None, record.Zstd}).Draw(rt, "codec")
		l, m := f.open(), &keyedLog{}
		sequence := map[int64]int32{}
		n := 0
		records := func(rt *rapid.T, producer int64) []keyed {
			list := make([]keyed, rapid.IntRange(1, 4).Draw(rt, "records"))
			for i := range list {
				n++
				list[i] = keyed{key: fmt.Sprint("k", rapid.IntRange(0, 7).Draw(rt, "key")), value: fmt.Sprint("v", n), producer: producer}
				if rapid.IntRange(0, 4).Draw(rt, "tombstone") == 0 {
					list[i].value = ""
				}
			}
			return list
		}
		put := func(rt *rapid.T, id int64, transactional bool) {
			owner := int64(0)
			if transactional {
				owner = id
			}
			list := records(rt, owner)
			// Not as a client: deletions make the log forget sequence numbers.
			if _, err := l.AppendLeader(keyedBatch(id, 0, sequence[id], transactional, codec, list...), 0, Coordinator); err != nil {
				rt.Fatal(err)
			}
			sequence[id] += int32(len(list))
			for _, r := range list {
				m.add(r)
			}
		}
		reopen := func(clean, boot bool) {
			o := &f.opts
			o.CleanShutdown, o.SameBoot = clean, boot
			o.RecoveryPoint, o.LogStartOffset, o.HighWatermark = l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
			upTo := l.compaction.upTo.Load()
			l = f.open()
			l.compaction.upTo.Store(upTo)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append":      func(rt *rapid.T) { put(rt, 0, false) },
			"idempotent":  func(rt *rapid.T) { put(rt, 9, false) },
			"transaction": func(rt *rapid.T) { put(rt, rapid.Int64Range(1, 3).Draw(rt, "producer"), true) },
			"end": func(rt *rapid.T) {
				id, commit := rapid.Int64Range(1, 3).Draw(rt, "producer"), rapid.Bool().Draw(rt, "commit")
				if _, err := l.AppendMarker(Marker{ProducerID: id, Commit: commit}, 0); err != nil {
					rt.Fatal(err)
				}
				m.decide(id, !commit)
			},
			"roll":       func(rt *rapid.T) { must(rt, l.Roll()) },
			"replicated": func(rt *rapid.T) { l.SetHighWatermark(l.EndOffset()) },
			"time":       func(*rapid.T) { f.clock.ms += 20 },
			"compact": func(rt *rapid.T) {
				must(rt, m.compactNow(l, smallMap))
			},
			"compact with a small map": func(rt *rapid.T) {
				must(rt, m.compactNow(l, cleanOptions{mapBytes: 1, loadFactor: 0.9, chunk: 512}))
			},
			"sweep": func(*rapid.T) { l.Sweep(); l.Sweep() },
			"delete records": func(rt *rapid.T) {
				to := rapid.Int64Range(l.StartOffset(), max(l.StartOffset(), l.HighWatermark())).Draw(rt, "to")
				if _, err := l.DeleteRecordsBefore(min(to, l.HighWatermark())); err != nil {
					rt.Fatal(err)
				}
				_, err := l.DeleteOldSegments()
				must(rt, err)
				m.start = l.StartOffset()
			},
			"restart": func(rt *rapid.T) { must(rt, l.Close()); reopen(true, true) },
			"kill":    func(*rapid.T) { reopen(false, true) },
			"power failure": func(rt *rapid.T) {
				must(rt, l.Flush(l.EndOffset()))
				f.fs = f.fs.(*vfs.Mem).Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)))
				f.opts.FS = f.fs
				reopen(false, false)
			},
			"": func(rt *rapid.T) {
				must(rt, m.check(l, rapid.SampledFrom([]int{1, 300, 1 << 20}).Draw(rt, "max.bytes")))
			},
		})
	})
}

func TestCompactionKeepsTheLastOfEachKey(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.CleanupCompact, f.opts.Config.CleanupDelete, f.opts.Config.DeleteRetentionMs = true, false, 1000
	l, m := f.open(), &keyedLog{}
	put := func(records ...keyed) {
		t.Helper()
		f.append(l, keyedBatch(0, 0, 0, false, record.None, records...))
		for _, r := range records {
			m.add(r)
		}
	}
	roll := func() {
		t.Helper()
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	compact := func(want string) {
		t.Helper()
		l.SetHighWatermark(l.EndOffset())
		if err := m.compactNow(l, smallMap); err != nil {
			t.Fatal(err)
		}
		if err := m.check(l, 1<<20); err != nil {
			t.Fatal(err)
		}
		got, err := readKeyed(l, true, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, r := range got {
			text += fmt.Sprintf("%d:%s=%s ", r.offset, r.key, r.value)
		}
		if text != want {
			t.Fatalf("got  %s\nwant %s", text, want)
		}
	}
	put(keyed{key: "a", value: "1"}, keyed{key: "b", value: "1"})
	put(keyed{key: "a", value: "2"}, keyed{key: "c", value: "1"})
	roll()
	put(keyed{key: "b", value: ""})
	roll()
	put(keyed{key: "a", value: "3"}) // active: supersedes nothing yet
	compact("2:a=2 3:c=1 4:b= 5:a=3 ")
	if n := l.Segments(); n != 2 {
		t.Fatalf("%d segments, the first two fit one", n)
	}
	f.clock.ms += 999
	roll()
	put(keyed{key: "d", value: "1"})
	compact("3:c=1 4:b= 5:a=3 6:d=1 ") // the tombstone got its horizon with the first cleaning
	f.clock.ms++
	roll()
	put(keyed{key: "d", value: "2"})
	compact("3:c=1 5:a=3 6:d=1 7:d=2 ")
	roll()
	put(keyed{key: "z", value: "1"})
	compact("3:c=1 5:a=3 7:d=2 8:z=1 ")
}

func TestCompactionWaitsForItsTurn(t *testing.T) {
	f := newFixture(t)
	c := f.opts.Config
	c.CleanupCompact = true
	l := f.open()
	put := func() {
		t.Helper()
		f.append(l, batchAt(f.clock.ms, "x"))
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	due := func(want bool, to int64) {
		t.Helper()
		d, err := l.dirtiness(c, l.now())
		if err != nil || d.due(c) != want || d.to != to {
			t.Fatalf("%+v, %v, due %v; want %v up to %d", d, err, d.due(c), want, to)
		}
	}
	due(false, 0)
	put()
	put()
	put()
	due(false, 0) // not committed
	l.SetHighWatermark(2)
	due(true, 2)
	l.SetHighWatermark(3)
	due(true, 3)

	c.MinCompactionLagMs = 100
	due(false, 0)
	f.clock.ms += 100
	put() // at 3
	l.SetHighWatermark(4)
	due(true, 3)
	c.MinCompactionLagMs = 0
	d, err := l.dirtiness(c, l.now())
	if err == nil {
		_, err = l.clean(t.Context(), d, smallMap)
	}
	if err != nil {
		t.Fatal(err)
	}
	due(false, 4)
	put()
	l.SetHighWatermark(5)
	due(false, 5) // half of it is not more than half of it
	c.MaxCompactionLagMs = 50
	due(false, 5)
	f.clock.ms += 51
	due(true, 5) // however little it is
	c.MaxCompactionLagMs = 1 << 50
	c.MinCleanableRatio = 0.4
	due(true, 5)

	// An open transaction holds it back.
	f.append(l, keyedBatch(1, 0, 0, true, record.None, keyed{key: "t", value: "t"}))
	put()
	l.SetHighWatermark(l.EndOffset())
	due(true, 5)
}

// TestCompactionOfTransactions: what was aborted goes at once, its marker when nothing is left and its horizon has
// passed; of a producer that may still write the last batch stays, without records.
func TestCompactionOfTransactions(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.CleanupCompact, f.opts.Config.CleanupDelete, f.opts.Config.DeleteRetentionMs = true, false, 1000
	l := f.open()
	mark := func(id int64, commit bool) {
		t.Helper()
		if _, err := l.AppendMarker(Marker{ProducerID: id, Commit: commit}, 0); err != nil {
			t.Fatal(err)
		}
	}
	shape := func() (text string) {
		t.Helper()
		for offset := l.StartOffset(); offset < l.EndOffset(); {
			s, err := l.Read(offset, l.EndOffset(), 1<<20, true)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := s.Bytes()
			s.Close()
			for len(b) > 0 {
				var batch record.Batch
				if batch, b, err = record.Next(b); err != nil {
					t.Fatal(err)
				}
				kind := ""
				if batch.IsControl() {
					kind = " marker"
				}
				if batch.HasDeleteHorizon() {
					kind += " horizon"
				}
				text += fmt.Sprintf("%d-%d of %d: %d%s\n", batch.BaseOffset(), batch.LastOffset(), batch.ProducerID(), batch.NumRecords(), kind)
				offset = batch.NextOffset()
			}
		}
		return text
	}
	clean := func(want string) {
		t.Helper()
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		l.SetHighWatermark(l.EndOffset())
		if err := (&keyedLog{}).compactNow(l, smallMap); err != nil {
			t.Fatal(err)
		}
		if got := shape(); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	f.append(l, keyedBatch(1, 0, 0, true, record.None, keyed{key: "a", value: "1"}, keyed{key: "b", value: "1"})) // 0, 1
	mark(1, false)                                                                                                // 2
	f.append(l, keyedBatch(1, 0, 2, true, record.None, keyed{key: "a", value: "2"}))                              // 3
	mark(1, true)                                                                                                 // 4
	f.append(l, keyedBatch(2, 0, 0, true, record.None, keyed{key: "a", value: "3"}))                              // 5
	mark(2, false)                                                                                                // 6
	clean("2-2 of 1: 1 marker\n3-3 of 1: 1\n4-4 of 1: 1 marker\n5-5 of 2: 0\n6-6 of 2: 1 marker\n")
	if txns, err := l.AbortedTxns(0, 10); err != nil || fmt.Sprint(txns) != "[{1 0 2 3} {2 5 6 7}]" {
		t.Fatal(txns, err)
	}
	f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "a", value: "4"})) // 7
	clean("2-2 of 1: 1 marker horizon\n3-3 of 1: 0\n4-4 of 1: 1 marker\n5-5 of 2: 0\n6-6 of 2: 1 marker\n7-7 of -1: 1\n")
	if txns, err := l.AbortedTxns(0, 10); err != nil || fmt.Sprint(txns) != "[{2 5 6 7}]" {
		t.Fatal(txns, err)
	}
	// The sequence numbers are still known after a start that has nothing but the segments.
	f.opts.RecoveryPoint = 0
	for _, offset := range slices.Clone(l.snapshots) {
		if err := f.fs.Remove(segmentPath(l.dir, offset, snapshotSuffix)); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprint(l.Producers())
	f.opts.SameBoot = true
	l = f.open()
	if got := fmt.Sprint(l.Producers()); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	f.clock.ms += 1000
	f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "b", value: "5"})) // 8
	clean("3-3 of 1: 0\n4-4 of 1: 1 marker\n5-5 of 2: 0\n6-6 of 2: 1 marker\n7-7 of -1: 1\n8-8 of -1: 1\n")
	// Nobody writes any more.
	f.clock.ms += time.Hour.Milliseconds() * 48
	l.ExpireProducers()
	f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "c", value: "6"})) // 9
	clean("4-4 of 1: 1 marker\n6-6 of 2: 1 marker\n7-7 of -1: 1\n8-8 of -1: 1\n9-9 of -1: 1\n")
	f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "d", value: "7"})) // 10
	clean("4-4 of 1: 1 marker horizon\n6-6 of 2: 1 marker horizon\n7-7 of -1: 1\n8-8 of -1: 1\n9-9 of -1: 1\n10-10 of -1: 1\n")
	f.clock.ms += 1000
	f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "d", value: "8"})) // 11
	clean("7-7 of -1: 1\n8-8 of -1: 1\n9-9 of -1: 1\n11-11 of -1: 1\n")
	if exists(f.fs, segmentPath(l.dir, 0, txnIndexSuffix)) {
		t.Error("a transaction index without a transaction")
	}
}

func TestCompactionOfOneHugeBatchIsRefused(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.CleanupCompact = true
	l := f.open()
	records := make([]keyed, cleaner.MinMapKeys+1)
	for i := range records {
		records[i] = keyed{key: fmt.Sprint(i), value: "x"}
	}
	f.append(l, keyedBatch(0, 0, 0, false, record.None, records...))
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(l.EndOffset())
	expectError(t, (&keyedLog{}).compactNow(l, cleanOptions{mapBytes: 1, loadFactor: 0.9, chunk: 512}), errMapTooSmall)
}
