package log

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// modelRecord is what the naive log keeps.
type modelRecord struct {
	offset, ts int64
	value      string
	epoch      int32
}

// model is a log as a slice.
type model struct {
	records    []modelRecord
	start, end int64
	epoch      int32
}

// TestModel runs the same operations on a log and on a slice. Segment size, index density and restarts, by which the
// log's files differ, must not be seen in what it answers.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		cfg := f.opts.Config
		cfg.SegmentBytes = rapid.SampledFrom([]int{200, 500, 1 << 20}).Draw(rt, "segment.bytes")
		cfg.IndexIntervalBytes = rapid.SampledFrom([]int{0, 100, 4096}).Draw(rt, "index.interval.bytes")
		cfg.SegmentIndexBytes = rapid.SampledFrom([]int{60, 1 << 16}).Draw(rt, "segment.index.bytes")
		cfg.FlushMessages = rapid.SampledFrom([]int64{1, 3, 1 << 40}).Draw(rt, "flush.messages")
		cfg.RetentionMs = -1
		cfg.TimestampAfterMaxMs = 1 << 50
		l, m := f.open(), &model{}
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				b := record.NewBuilder(record.BuilderOptions{})
				for range rapid.IntRange(1, 4).Draw(rt, "records") {
					n++
					r := modelRecord{m.end, int64(rapid.IntRange(0, 50).Draw(rt, "ts")), fmt.Sprint("v", n), m.epoch}
					b.Append(r.ts, nil, []byte(r.value))
					m.records = append(m.records, r)
					m.end++
				}
				if _, err := l.AppendLeader(b.Build(), m.epoch, Client); err != nil {
					rt.Fatal(err)
				}
			},
			"new epoch":  func(*rapid.T) { m.epoch++ },
			"roll":       func(rt *rapid.T) { must(rt, l.Roll()) },
			"flush":      func(rt *rapid.T) { must(rt, l.Flush(l.EndOffset())) },
			"sweep":      func(*rapid.T) { l.Sweep(); l.Sweep() },
			"replicated": func(*rapid.T) { l.SetHighWatermark(l.EndOffset()) },
			"delete records": func(rt *rapid.T) {
				to := rapid.Int64Range(l.StartOffset(), max(l.StartOffset(), l.HighWatermark())).Draw(rt, "to")
				if _, err := l.DeleteRecordsBefore(min(to, l.HighWatermark())); err != nil {
					rt.Fatal(err)
				}
				m.start = max(m.start, min(to, l.HighWatermark()))
				if _, err := l.DeleteOldSegments(); err != nil {
					rt.Fatal(err)
				}
			},
			"truncate": func(rt *rapid.T) {
				to := rapid.Int64Range(m.start, m.end).Draw(rt, "to")
				must(rt, l.TruncateTo(to))
				// The batch that holds the offset goes as a whole.
				m.end = l.EndOffset()
				if m.end > to || m.end < to-4 {
					rt.Fatalf("truncated to %d instead of %d", m.end, to)
				}
				for len(m.records) > 0 && m.records[len(m.records)-1].offset >= m.end {
					m.records = m.records[:len(m.records)-1]
				}
				m.start = min(m.start, m.end)
			},
			"restart": func(rt *rapid.T) {
				must(rt, l.Close())
				f.opts.CleanShutdown, f.opts.RecoveryPoint, f.opts.LogStartOffset, f.opts.HighWatermark = true, l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
				l = f.open()
			},
			"kill": func(*rapid.T) {
				f.opts.CleanShutdown, f.opts.SameBoot = false, true
				f.opts.RecoveryPoint, f.opts.LogStartOffset, f.opts.HighWatermark = l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
				l = f.open()
			},
			"power failure": func(rt *rapid.T) {
				must(rt, l.Flush(l.EndOffset()))
				f.fs = f.fs.(*vfs.Mem).Crash(nil)
				f.opts.FS, f.opts.CleanShutdown, f.opts.SameBoot = f.fs, false, false
				f.opts.RecoveryPoint, f.opts.LogStartOffset, f.opts.HighWatermark = l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
				l = f.open()
			},
			"": func(rt *rapid.T) { compare(rt, l, m) },
		})
	})
}

func must(rt *rapid.T, err error) {
	rt.Helper()
	if err != nil {
		rt.Fatal(err)
	}
}

func compare(rt *rapid.T, l *Log, m *model) {
	if l.StartOffset() != m.start || l.EndOffset() != m.end {
		rt.Fatalf("log from %d to %d, model from %d to %d", l.StartOffset(), l.EndOffset(), m.start, m.end)
	}
	from := m.start
	if m.end > m.start {
		from = rapid.Int64Range(m.start, m.end-1).Draw(rt, "from")
	}
	limit := rapid.Int64Range(from, m.end+1).Draw(rt, "limit")
	got, err := valuesTo(l, from, limit)
	if err != nil {
		rt.Fatal(err)
	}
	// A limit inside a batch leaves the batch out.
	i := 0
	for _, r := range m.records {
		if r.offset < from || i == len(got) {
			continue
		}
		if want := fmt.Sprintf("%d:%s", r.offset, r.value); got[i] != want {
			rt.Fatalf("from %d: got %s, want %s", from, got[i], want)
		}
		i++
	}
	if i < len(got) || limit >= m.end && int64(i) != m.end-from || limit < m.end && int64(i) > limit-from {
		rt.Fatalf("from %d to %d of %d: %d records", from, limit, m.end, i)
	}
	ts := int64(rapid.IntRange(0, 51).Draw(rt, "search"))
	want := notFound
	for _, r := range m.records {
		if r.offset >= m.start && r.ts >= ts {
			want = timestampOffset{r.offset, r.ts, r.epoch}
			break
		}
	}
	offset, found, epoch, err := l.OffsetForTimestamp(ts)
	if err != nil || (timestampOffset{offset, found, epoch}) != want {
		rt.Fatalf("timestamp %d: %d, %d, %d, %v; want %v", ts, offset, found, epoch, err, want)
	}
	for _, r := range m.records {
		if r.offset >= m.start && l.EpochForOffset(r.offset) != r.epoch {
			rt.Fatalf("offset %d: epoch %d, want %d", r.offset, l.EpochForOffset(r.offset), r.epoch)
		}
	}
	if n := l.BytesFrom(from, m.end); (n > 0) != (from < m.end) {
		rt.Fatalf("%d bytes from %d to %d", n, from, m.end)
	}
}
