package log

import (
	"fmt"
	"testing"

	"gregor/internal/record"
)

func TestTruncate(t *testing.T) {
	for to := int64(0); to <= 11; to++ {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			f := newFixture(t)
			f.opts.Config.IndexIntervalBytes = 0
			l := f.rolled(5)
			l.SetHighWatermark(7)
			if err := l.Flush(10); err != nil {
				t.Fatal(err)
			}
			if err := l.TruncateTo(to); err != nil {
				t.Fatal(err)
			}
			end := min(to, 10)
			if l.EndOffset() != end || l.HighWatermark() != min(end, 7) || l.RecoveryPoint() != end {
				t.Fatal(l.EndOffset(), l.HighWatermark(), l.RecoveryPoint())
			}
			f.append(l, batchAt(f.clock.ms, "x", "y"))
			var want []string
			for i := range end {
				want = append(want, fmt.Sprintf("%d:%d", i, i))
			}
			want = append(want, fmt.Sprint(end, ":x"), fmt.Sprint(end+1, ":y"))
			f.expect(l, 0, want...)
			if offset, _, _, err := l.MaxTimestampOffset(); err != nil || offset != end {
				t.Fatal(offset, err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			f.opts.CleanShutdown = true
			f.expect(f.open(), 0, want...)
			f.opts.CleanShutdown, f.opts.RecoveryPoint = false, end
			f.expect(f.open(), 0, want...)
		})
	}
}

func TestTruncateInsideBatch(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	f.append(l, batch("b", "c", "d"))
	if err := l.TruncateTo(3); err != nil {
		t.Fatal(err)
	}
	if l.EndOffset() != 1 {
		t.Fatal(l.EndOffset())
	}
	f.append(l, batch("e"))
	f.expect(l, 0, "0:a", "1:e")
}

func TestTruncateFully(t *testing.T) {
	f := newFixture(t)
	l := f.rolled(3)
	f.append(l, producerBatchOf(1, 0, 0, "p"))
	if err := l.TruncateFullyAndStartAt(100); err != nil {
		t.Fatal(err)
	}
	if l.StartOffset() != 100 || l.EndOffset() != 100 || l.HighWatermark() != 100 || len(l.Producers()) != 0 || l.LatestEpoch() != -1 {
		t.Fatal(l.StartOffset(), l.EndOffset(), l.HighWatermark(), l.Producers(), l.LatestEpoch())
	}
	f.append(l, batch("x"))
	f.expect(l, 100, "100:x")
	if err := l.TruncateFullyAndStartAt(0); err != nil {
		t.Fatal(err)
	}
	f.append(l, batch("y"))
	f.expect(l, 0, "0:y")
	l = f.open()
	f.expect(l, 0, "0:y")
}

func TestFollower(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	put := func(offset int64, epoch int32, values ...string) error {
		b := batch(values...)
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(epoch)
		_, err := l.AppendFollower(b)
		return err
	}
	for _, err := range []error{put(5, 1, "a", "b"), put(7, 1, "c"), put(10, 3, "d")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	expectError(t, put(10, 3, "x"), ErrUnexpectedOffset)
	f.expect(l, 0, "5:a", "6:b", "7:c", "10:d")
	f.expect(l, 8, "10:d")
	bad := batch("x")
	bad[len(bad)-1] ^= 1
	_, err := l.AppendFollower(bad)
	expectError(t, err, ErrCorrupt)
	// An offset that does not fit the segment's 32 bits starts another.
	if err := put(5_000_000_000, 3, "far"); err != nil {
		t.Fatal(err)
	}
	if l.Segments() != 2 {
		t.Fatal(l.Segments())
	}
	f.expect(l, 11, "5000000000:far")
	two := append(append(record.Batch{}, batchAtOffset(6_000_000_000)...), batchAtOffset(20_000_000_000)...)
	if _, err := l.AppendFollower(two); err != nil {
		t.Fatal(err)
	}
	f.expect(l, 5_000_000_001, "6000000000:o", "20000000000:o")
	for _, c := range []struct {
		epoch, found int32
		end          int64
	}{{0, 0, 5}, {1, 1, 10}, {2, 1, 10}, {3, 3, 20_000_000_001}, {4, -1, -1}, {-1, -1, -1}} {
		if found, end := l.EndOffsetForEpoch(c.epoch); found != c.found || end != c.end {
			t.Errorf("epoch %d: %d, %d", c.epoch, found, end)
		}
	}
	f.opts.SameBoot = true // else the gaps would be taken for lost records
	l = f.open()
	f.expect(l, 0, "5:a", "6:b", "7:c", "10:d", "5000000000:far", "6000000000:o", "20000000000:o")
	if l.EpochForOffset(4) != -1 || l.EpochForOffset(8) != 1 || l.EpochForOffset(10) != 3 {
		t.Error(l.EpochForOffset(4), l.EpochForOffset(8), l.EpochForOffset(10))
	}
}

func batchAtOffset(offset int64) record.Batch {
	b := batch("o")
	b.SetBaseOffset(offset)
	b.SetLeaderEpoch(3)
	return b
}

func TestEpochs(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	put := func(epoch int32) {
		t.Helper()
		if _, err := l.AppendLeader(batch("x"), epoch, Client); err != nil {
			t.Fatal(err)
		}
	}
	for _, epoch := range []int32{1, 1, 4, 4, 6} {
		put(epoch)
	}
	file := func() string {
		b, err := readFile(f.fs, "/data/t-0/leader-epoch-checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if exists(f.fs, "/data/t-0/leader-epoch-checkpoint") {
		t.Fatal("the epochs of records that were not flushed are on disk")
	}
	if err := l.Flush(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	if got := file(); got != "0\n3\n1 0\n4 2\n6 4\n" {
		t.Fatalf("%q", got)
	}
	l.SetHighWatermark(5)
	if _, err := l.DeleteRecordsBefore(3); err != nil {
		t.Fatal(err)
	}
	if got := file(); got != "0\n2\n4 3\n6 4\n" {
		t.Fatalf("%q", got)
	}
	if err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	if got := file(); got != "0\n1\n4 3\n" {
		t.Fatalf("%q", got)
	}
	if err := l.AssignEpoch(9, 4); err != nil {
		t.Fatal(err)
	}
	if err := l.AssignEpoch(10, 4); err != nil { // no record was written in 9
		t.Fatal(err)
	}
	if got := fmt.Sprint(l.epochs.entries()); got != "[{4 3} {10 4}]" {
		t.Fatalf("%q", got)
	}
}

// A kill leaves in the file the entry of an epoch without records, which an older epoch of another leader contradicts,
// and lacks those that were noted since the last flush. The records tell what is right.
func TestEpochsAfterKill(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	if err := l.AssignEpoch(5, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(1); err != nil {
		t.Fatal(err)
	}
	l.abandon()
	l = f.open()
	for offset, epoch := range []int32{1: 3, 2: 7, 3: 7} {
		if epoch == 0 {
			continue
		}
		b := batch("b")
		b.SetBaseOffset(int64(offset))
		b.SetLeaderEpoch(epoch)
		if _, err := l.AppendFollower(b); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprint(l.epochs.entries())
	if want != "[{0 0} {3 1} {7 2}]" {
		t.Fatal(want)
	}
	l.abandon()
	f.opts.RecoveryPoint = 1
	l = f.open()
	defer l.Close()
	if got := fmt.Sprint(l.epochs.entries()); got != want {
		t.Errorf("after a kill %s, want %s", got, want)
	}
}

func TestTimestamps(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.IndexIntervalBytes = 0
	l := f.open()
	if offset, ts, epoch, err := l.MaxTimestampOffset(); offset != -1 || ts != -1 || epoch != -1 || err != nil {
		t.Fatal(offset, ts, epoch, err)
	}
	for i, ts := range []int64{100, 300, 200, 500, 400, 500} {
		f.append(l, batchAt(ts, "x"))
		if i == 2 {
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := record.NewBuilder(record.BuilderOptions{})
	for _, ts := range []int64{450, 700, 600} {
		b.Append(ts, nil, nil)
	}
	f.append(l, b.Build()) // 6, 7, 8
	check := func(l *Log) {
		t.Helper()
		for _, c := range []struct{ ts, offset, found int64 }{
			{0, 0, 100}, {100, 0, 100}, {101, 1, 300}, {300, 1, 300}, {301, 3, 500}, {500, 3, 500}, {501, 7, 700}, {700, 7, 700}, {701, -1, -1},
		} {
			offset, ts, epoch, err := l.OffsetForTimestamp(c.ts)
			wantEpoch := int32(0)
			if c.offset < 0 {
				wantEpoch = -1
			}
			if err != nil || offset != c.offset || ts != c.found || epoch != wantEpoch {
				t.Errorf("%+v: %d, %d, %d, %v", c, offset, ts, epoch, err)
			}
		}
		if offset, ts, _, err := l.MaxTimestampOffset(); offset != 7 || ts != 700 || err != nil {
			t.Error(offset, ts, err)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f.opts.CleanShutdown = true
	l = f.open()
	check(l)
	if err := l.TruncateTo(6); err != nil {
		t.Fatal(err)
	}
	if offset, ts, _, err := l.MaxTimestampOffset(); offset != 3 || ts != 500 || err != nil {
		t.Error(offset, ts, err)
	}
}

func TestLogAppendTime(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.LogAppendTime = true
	l := f.open()
	f.clock.ms += 5
	info := f.append(l, batchAt(7, "a", "b"))
	if info.LogAppendTimeMs != testEpochMs+5 || info.MaxTimestampMs != testEpochMs+5 {
		t.Fatalf("%+v", info)
	}
	if offset, ts, _, err := l.OffsetForTimestamp(testEpochMs); offset != 0 || ts != testEpochMs+5 || err != nil {
		t.Fatal(offset, ts, err)
	}
	f.expect(l, 0, "0:a", "1:b")
}

func TestRefused(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	set := func(change func(*Config)) {
		c := *f.opts.Config
		change(&c)
		l.SetConfig(&c)
	}
	try := func(b []byte) error {
		_, err := l.AppendLeader(b, 0, Client)
		return err
	}
	bad := batch("x")
	bad[len(bad)-1] ^= 1
	expectError(t, try(bad), ErrCorrupt)
	expectError(t, try(nil), ErrInvalidRecord)
	expectError(t, try(batch("x")[:65]), record.ErrTruncated)
	expectError(t, try(batchAt(testEpochMs+2*3600_000, "x")), ErrInvalidTimestamp)
	set(func(c *Config) { c.TimestampBeforeMaxMs = 10 })
	expectError(t, try(batchAt(testEpochMs-11, "x")), ErrInvalidTimestamp)
	set(func(c *Config) { c.MaxMessageBytes = 62 })
	expectError(t, try(batch("x")), ErrTooLarge)
	set(func(c *Config) { c.SegmentBytes = 62 })
	expectError(t, try(batch("x")), ErrTooLargeForSegment)
	set(func(c *Config) { c.CleanupCompact = true })
	expectError(t, try(producerBatchOf(1, 0, 0, "no key")), ErrInvalidRecord)
	expectError(t, try(record.EndTxnBatch(1, 0, true, 0, testEpochMs)), ErrInvalidRecord)
	if l.EndOffset() != 0 {
		t.Fatal(l.EndOffset())
	}
	set(func(*Config) {})
	f.append(l, batch("fine"))
	f.expect(l, 0, "0:fine")
}

func TestCompressionType(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.CompressionType = "gzip"
	l := f.open()
	f.append(l, batch("a", "b"))
	f.expect(l, 0, "0:a", "1:b")
	s, err := l.Read(0, 2, 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Bytes()
	if err != nil || record.Batch(b).Codec() != record.Gzip {
		t.Fatal(err, record.Batch(b).Codec())
	}
}

// An epoch in which nothing was written is forgotten when the log is opened. The file may keep it, but not past the
// next record of an older epoch, which a new leader may still bring.
func TestForgottenEpochStaysForgotten(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	if err := l.AssignEpoch(5, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f.opts.CleanShutdown = true
	l = f.open()
	if got := l.LatestEpoch(); got != 0 {
		t.Fatalf("latest epoch %d after opening, want 0", got)
	}
	b := batch("b")
	b.SetBaseOffset(1)
	b.SetLeaderEpoch(0)
	if _, err := l.AppendFollower(b); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = f.open()
	defer l.Close()
	if got := l.LatestEpoch(); got != 0 {
		t.Errorf("latest epoch %d, want 0: an epoch without records came back", got)
	}
	if epoch, end := l.EndOffsetForEpoch(0); epoch != 0 || end != 2 {
		t.Errorf("epoch %d ends at %d, want 0 at 2", epoch, end)
	}
}
