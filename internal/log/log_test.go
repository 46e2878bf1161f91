package log

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

const testEpochMs = 1_700_000_000_000

// testClock is a clock that a test moves.
type testClock struct{ ms int64 }

func (c *testClock) now() time.Time { return time.UnixMilli(c.ms) }

// fixture opens logs in one file system.
type fixture struct {
	t     testing.TB
	fs    vfs.FS
	clock *testClock
	opts  Options
}

func newFixture(t testing.TB) *fixture {
	clock := &testClock{testEpochMs}
	fsys := vfs.NewMem(clock.now)
	return &fixture{t: t, fs: fsys, clock: clock, opts: Options{Dir: "/data/t-0", Topic: "t", Config: DefaultConfig(), Clock: clock.now, FS: fsys}}
}

func (f *fixture) open() *Log {
	f.t.Helper()
	l, err := Open(f.opts)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// batch makes a batch with one record for each value.
func batch(values ...string) record.Batch { return batchAt(testEpochMs, values...) }

func batchAt(ts int64, values ...string) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{})
	for _, v := range values {
		b.Append(ts, []byte("k"), []byte(v))
	}
	return b.Build()
}

// producerBatchOf makes a batch of an idempotent producer.
func producerBatchOf(id int64, epoch int16, sequence int32, values ...string) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{Producer: &record.Producer{ID: id, Epoch: epoch, BaseSequence: sequence}})
	for _, v := range values {
		b.Append(testEpochMs, nil, []byte(v))
	}
	return b.Build()
}

func txnBatch(id int64, epoch int16, sequence int32, values ...string) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: id, Epoch: epoch, BaseSequence: sequence}})
	for _, v := range values {
		b.Append(testEpochMs, nil, []byte(v))
	}
	return b.Build()
}

func (f *fixture) append(l *Log, b record.Batch) AppendInfo {
	f.t.Helper()
	info, err := l.AppendLeader(b, 0, Client)
	if err != nil {
		f.t.Fatal(err)
	}
	return info
}

// values reads a log from an offset to its end, as "offset:value".
func values(l *Log, from int64) ([]string, error) { return valuesTo(l, from, math.MaxInt64) }

func valuesTo(l *Log, from, limit int64) ([]string, error) {
	var got []string
	for from < min(limit, l.EndOffset()) {
		s, err := l.Read(from, limit, 200, true)
		if err != nil {
			return got, err
		}
		if s.Len() == 0 {
			return got, nil
		}
		buf, err := s.Bytes()
		s.Close()
		if err != nil {
			return got, err
		}
		for len(buf) > 0 {
			var b record.Batch
			if b, buf, err = record.Next(buf); err != nil {
				return got, err
			}
			if err := b.CheckCRC(); err != nil {
				return got, err
			}
			for r, err := range b.Records() {
				if err != nil {
					return got, err
				}
				if r.Offset >= from {
					got = append(got, fmt.Sprintf("%d:%s", r.Offset, r.Value))
				}
			}
			from = b.NextOffset()
		}
	}
	return got, nil
}

func (f *fixture) expect(l *Log, from int64, want ...string) {
	f.t.Helper()
	got, err := values(l, from)
	if err != nil {
		f.t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Fatalf("from %d: got %v, want %v", from, got, want)
	}
}

func expectError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func TestAppendAndRead(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a", "b"))
	info := f.append(l, batch("c"))
	if info.FirstOffset != 2 || info.LastOffset != 2 || info.Batches != 1 || info.LogAppendTimeMs != -1 || info.MaxTimestampMs != testEpochMs {
		t.Fatalf("%+v", info)
	}
	f.expect(l, 0, "0:a", "1:b", "2:c")
	f.expect(l, 1, "1:b", "2:c")
	f.expect(l, 3)
	_, err := l.Read(4, 10, 100, true)
	expectError(t, err, ErrOffsetOutOfRange)
	if l.EndOffset() != 3 || l.LatestEpoch() != 0 || l.HighWatermark() != 0 {
		t.Fatal(l.EndOffset(), l.LatestEpoch(), l.HighWatermark())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f.opts.CleanShutdown = true
	l = f.open()
	f.expect(l, 0, "0:a", "1:b", "2:c")
	f.append(l, batch("d"))
	f.expect(l, 0, "0:a", "1:b", "2:c", "3:d")
}

func TestReadLimits(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.IndexIntervalBytes = 1
	l := f.open()
	size := len(batch("x"))
	for i := range 10 {
		f.append(l, batch(fmt.Sprint(i)))
	}
	read := func(offset, limit int64, maxBytes int, atLeastOne bool) string {
		t.Helper()
		s, err := l.Read(offset, limit, maxBytes, atLeastOne)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return fmt.Sprint(s.StartOffset(), " ", s.Len()/size, " ", s.Len()%size)
	}
	for _, c := range []struct {
		offset, limit int64
		maxBytes      int
		one           bool
		want          string
	}{
		{0, 10, 1 << 20, false, "0 10 0"},
		{3, 10, 1 << 20, false, "3 7 0"},
		{3, 5, 1 << 20, false, "3 2 0"},
		{3, 10, 2 * size, false, "3 2 0"},
		{3, 10, 3*size - 1, false, "3 2 0"},
		{3, 10, 1, true, "3 1 0"},
		{3, 10, 1, false, "0 0 0"},
		{3, 10, 0, true, "3 1 0"},
		{5, 5, 100, true, "0 0 0"},
		{9, 10, 100, true, "9 1 0"},
		{0, math.MaxInt64, 1 << 20, false, "0 10 0"},
	} {
		if got := read(c.offset, c.limit, c.maxBytes, c.one); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
	if n := l.BytesFrom(0, 10); n != int64(10*size) {
		t.Error(n)
	}
	if n := l.BytesFrom(10, 10); n != 0 {
		t.Error(n)
	}
}

func TestSegmentsRollAndReopen(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("clean=", clean), func(t *testing.T) {
			f := newFixture(t)
			f.opts.Config.SegmentBytes = 3 * len(batch("0"))
			f.opts.Config.IndexIntervalBytes = 1
			l := f.open()
			var want []string
			for i := range 10 {
				f.append(l, batch(fmt.Sprint(i)))
				want = append(want, fmt.Sprintf("%d:%d", i, i))
			}
			if l.Segments() != 4 {
				t.Fatal(l.Segments())
			}
			f.expect(l, 0, want...)
			if clean {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			f.opts.CleanShutdown = clean
			l = f.open()
			f.expect(l, 0, want...)
			f.expect(l, 5, want[5:]...)
			f.append(l, batch("x"))
			f.expect(l, 9, "9:9", "10:x")
			b, err := readFile(f.fs, "/data/t-0/00000000000000000003.index")
			if err != nil || !bytes.Equal(b, []byte{0, 0, 0, 1, 0, 0, 0, byte(len(batch("0"))), 0, 0, 0, 2, 0, 0, 0, byte(2 * len(batch("0")))}) {
				t.Fatal(b, err)
			}
		})
	}
}

// checkRun checks that bytes are whole batches with consecutive offsets from one on, and gives the next offset.
func checkRun(buf []byte, from int64) (int64, error) {
	for len(buf) > 0 {
		b, rest, err := record.Next(buf)
		if err != nil {
			return from, err
		}
		if b.BaseOffset() != from {
			return from, fmt.Errorf("offset %d instead of %d", b.BaseOffset(), from)
		}
		if err := b.CheckCRC(); err != nil {
			return from, err
		}
		from, buf = b.NextOffset(), rest
	}
	return from, nil
}
