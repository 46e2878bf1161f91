package log

import (
	"fmt"
	"testing"

	"gregor/internal/log/vfs"
)

// rolled makes a log with segments of two records each, a minute apart.
func (f *fixture) rolled(segments int) *Log {
	l := f.open()
	for i := range segments {
		for j := range 2 {
			f.append(l, batchAt(f.clock.ms, fmt.Sprint(2*i+j)))
		}
		if i < segments-1 {
			if err := l.Roll(); err != nil {
				f.t.Fatal(err)
			}
		}
		f.clock.ms += 60_000
	}
	return l
}

func TestRetention(t *testing.T) {
	size := int64(2 * len(batch("0")))
	for _, c := range []struct {
		name          string
		bytes, ms, hw int64
		start         int64
		deleted       int
		policy        func(*Config)
	}{
		{name: "nothing", bytes: -1, ms: -1, hw: 10, start: 0},
		{name: "time", bytes: -1, ms: 2*60_000 + 1, hw: 10, start: 6, deleted: 3},
		{name: "time, all", bytes: -1, ms: 0, hw: 10, start: 10, deleted: 5},
		{name: "time, up to the high watermark", bytes: -1, ms: 0, hw: 5, start: 4, deleted: 2},
		{name: "size", bytes: 3*size - 1, ms: -1, hw: 10, start: 4, deleted: 2, policy: func(c *Config) {}},
		{name: "size, exactly", bytes: 3 * size, ms: -1, hw: 10, start: 4, deleted: 2},
		{name: "size 0", bytes: 0, ms: -1, hw: 10, start: 10, deleted: 5},
		{name: "compacted", bytes: 0, ms: 0, hw: 10, start: 0, policy: func(c *Config) { c.CleanupDelete, c.CleanupCompact = false, true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.opts.Config.RetentionBytes, f.opts.Config.RetentionMs = c.bytes, c.ms
			if c.policy != nil {
				c.policy(f.opts.Config)
			}
			l := f.rolled(5)
			if l.Segments() != 5 || l.Size() != 5*size {
				t.Fatal(l.Segments(), l.Size())
			}
			l.SetHighWatermark(c.hw)
			n, err := l.DeleteOldSegments()
			want := c.deleted
			if c.name == "size" {
				want, c.start = 2, 4
			}
			if err != nil || n != want || l.StartOffset() != c.start || l.EndOffset() != 10 {
				t.Fatalf("deleted %d (%v), start %d, end %d", n, err, l.StartOffset(), l.EndOffset())
			}
			if c.start > 0 {
				_, err := l.Read(c.start-1, 10, 100, true)
				expectError(t, err, ErrOffsetOutOfRange)
			}
			f.append(l, batchAt(f.clock.ms, "more"))
			if got, err := values(l, c.start); err != nil || int64(len(got)) != 11-c.start {
				t.Fatal(got, err)
			}
			f.opts.CleanShutdown = false
			l = f.open()
			if l.StartOffset() != c.start || l.EndOffset() != 11 {
				t.Fatal(l.StartOffset(), l.EndOffset())
			}
		})
	}
}

func TestDeleteRecords(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.RetentionMs = -1
	l := f.rolled(5)
	l.SetHighWatermark(9)
	_, err := l.DeleteRecordsBefore(10)
	expectError(t, err, ErrOffsetOutOfRange)
	if start, err := l.DeleteRecordsBefore(5); err != nil || start != 5 || l.Segments() != 5 {
		t.Fatal(start, err)
	}
	if start, err := l.DeleteRecordsBefore(3); err != nil || start != 5 {
		t.Fatal(start, err)
	}
	_, err = l.Read(4, 9, 100, true)
	expectError(t, err, ErrOffsetOutOfRange)
	f.expect(l, 5, "5:5", "6:6", "7:7", "8:8", "9:9")
	if offset, _, _, err := l.OffsetForTimestamp(0); err != nil || offset != 5 {
		t.Fatal(offset, err)
	}
	if n, err := l.DeleteOldSegments(); err != nil || n != 2 || l.StartOffset() != 5 {
		t.Fatal(n, err, l.StartOffset())
	}
	if start, err := l.DeleteRecordsBefore(-1); err != nil || start != 9 {
		t.Fatal(start, err)
	}
	f.opts.LogStartOffset = 9
	l = f.open()
	if l.StartOffset() != 9 || l.EndOffset() != 10 {
		t.Fatal(l.StartOffset(), l.EndOffset())
	}
	// A checkpoint that is ahead of the leader epochs is damaged: it hides nothing.
	f.opts.LogStartOffset = 20
	if l = f.open(); l.StartOffset() != 9 || l.EndOffset() != 10 {
		t.Fatal(l.StartOffset(), l.EndOffset())
	}
	// The segments were removed by hand: the log goes on where it is known to have been.
	if err := vfs.WriteFile(f.fs, "/data/t-0/"+epochCheckpointFile, encodeEpochCheckpoint([]epochEntry{{0, 20}}), true); err != nil {
		t.Fatal(err)
	}
	l = f.open()
	if l.StartOffset() != 20 || l.EndOffset() != 20 {
		t.Fatal(l.StartOffset(), l.EndOffset())
	}
}

// TestReadersKeepDeletedFiles holds a slice while retention deletes its segment.
func TestReadersKeepDeletedFiles(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.RetentionMs = 0
	l := f.rolled(2)
	l.SetHighWatermark(4)
	s, err := l.Read(0, 4, 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteOldSegments(); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Bytes(); err != nil || len(b) != 2*len(batch("0")) {
		t.Fatal(len(b), err)
	}
	s.Close()
	names, err := f.fs.ReadDir("/data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if base, _, ok := parseSegmentName(e.Name()); ok && base != 4 {
			t.Error(e.Name())
		}
	}
}

func TestRollByTime(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.SegmentMs = 1000
	l := f.open()
	f.append(l, batchAt(f.clock.ms, "a"))
	f.append(l, batchAt(f.clock.ms+1000, "b"))
	f.append(l, batchAt(f.clock.ms+1001, "c")) // by the timestamps, whatever the clock says
	if l.Segments() != 2 {
		t.Fatal(l.Segments())
	}
	f.append(l, batchAt(-1, "d"))
	f.clock.ms += 1001
	f.append(l, batchAt(-1, "e")) // without timestamps by the clock
	if l.Segments() != 3 {
		t.Fatal(l.Segments())
	}
}

func TestRollByFullIndex(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.IndexIntervalBytes, f.opts.Config.SegmentIndexBytes = 0, 5*timeEntrySize
	l := f.open()
	for i := range 6 {
		f.append(l, batchAt(f.clock.ms+int64(i), fmt.Sprint(i)))
	}
	// One entry of the time index is kept for the end of the segment, and the first batch has no entry.
	if l.Segments() != 2 || (*l.segments.Load())[1].base != 5 {
		t.Fatal(l.Segments())
	}
}
