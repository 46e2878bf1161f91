package log

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gregor/internal/record"
)

func compactDirs(t *testing.T, path string, threads int) *Dirs {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.SegmentIndexBytes = 4000, 4096
	cfg.CleanupCompact, cfg.CleanupDelete, cfg.FileDeleteDelayMs, cfg.DeleteRetentionMs = true, false, 1, 1
	d, err := OpenDirs(DirsOptions{Paths: []string{path}, Config: cfg, NodeID: 1, ClusterID: "c",
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Cleaner: func() CleanerConfig {
			return CleanerConfig{Threads: threads, DedupeBytes: 4 << 20, LoadFactor: 0.9, IOBytes: 1 << 10, Backoff: 5 * time.Millisecond}
		}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// TestCompactionBesideAppendsAndReads writes the same few keys for long, in transactions and without, to several logs that
// are compacted meanwhile and read all the time.
func TestCompactionBesideAppendsAndReads(t *testing.T) {
	path := t.TempDir()
	d := compactDirs(t, path, 2)
	const rounds = 600
	var logs []*Log
	var writers, readers sync.WaitGroup
	var ended atomic.Bool
	for p := range int32(3) {
		l, err := d.Create("t", [16]byte{1}, p, [16]byte{}, d.o.Config)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
		writers.Go(func() {
			for i := range rounds {
				b := keyedBatch(0, 0, 0, false, record.None, keyed{key: fmt.Sprint(i % 10), value: fmt.Sprint(i)})
				if i%3 == 0 {
					b = keyedBatch(1, 0, 0, true, record.None, keyed{key: "txn", value: fmt.Sprint(i)})
				}
				_, err := l.AppendLeader(b, 0, Coordinator)
				if err == nil && i%3 == 0 {
					_, err = l.AppendMarker(Marker{ProducerID: 1, Commit: i%2 == 0}, 0)
				}
				if err != nil {
					t.Error(err)
					return
				}
				l.SetHighWatermark(l.EndOffset())
			}
		})
		readers.Go(func() {
			for !ended.Load() {
				got, err := readKeyed(l, true, 500)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range got {
					var n int
					if fmt.Sscan(r.value, &n); r.key == "txn" && n%2 != 0 {
						t.Errorf("read %+v, which was rolled back", r)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	for _, l := range logs {
		eventually(t, "what could be compacted is", func() bool {
			dirt, err := l.dirtiness(l.Config(), l.now())
			return err == nil && !dirt.due(l.Config()) && !l.compaction.running.Load()
		})
		// Of half of what is left compaction may not have heard yet (min.cleanable.dirty.ratio); all of it had 59,000 bytes.
		if size := l.Size(); l.compaction.upTo.Load() < rounds/2 || size > rounds*70 {
			t.Errorf("compacted up to %d of %d, %d bytes are left", l.compaction.upTo.Load(), l.EndOffset(), size)
		}
	}
	ended.Store(true)
	readers.Wait()
	for _, l := range logs {
		got, err := readKeyed(l, true, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]string{}
		for _, r := range got {
			last[r.key] = r.value
		}
		for i := rounds - 10; i < rounds; i++ {
			key := fmt.Sprint(i % 10)
			if want := fmt.Sprint(i); i%3 != 0 && last[key] != want {
				t.Errorf("key %s: %s, want %s", key, last[key], want)
			}
		}
		if last["txn"] != "594" {
			t.Errorf("the last committed is %s", last["txn"])
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(path, cleanerCheckpointFile))
	if err != nil || !strings.HasPrefix(string(text), "0\n3\nt ") {
		t.Fatalf("%q, %v", text, err)
	}
	d = compactDirs(t, path, 1)
	defer d.Close()
	for p, l := range logs {
		if got := d.Get("t", int32(p)); got.compaction.upTo.Load() < l.compaction.upTo.Load() || got.EndOffset() != l.EndOffset() {
			t.Errorf("partition %d: clean up to %d of %d, was %d of %d", p, got.compaction.upTo.Load(), got.EndOffset(), l.compaction.upTo.Load(), l.EndOffset())
		}
	}
}

// TestDamagedLogIsNotCompacted: it stays as it is, and others are compacted.
func TestDamagedLogIsNotCompacted(t *testing.T) {
	path := t.TempDir()
	d := compactDirs(t, path, 0)
	put := func(l *Log) {
		t.Helper()
		for i := range 300 {
			if _, err := l.AppendLeader(keyedBatch(0, 0, 0, false, record.None, keyed{key: "k", value: fmt.Sprint(i)}), 0, Client); err != nil {
				t.Fatal(err)
			}
		}
		l.SetHighWatermark(l.EndOffset())
	}
	for p := range int32(2) {
		l, err := d.Create("t", [16]byte{1}, p, [16]byte{}, d.o.Config)
		if err != nil {
			t.Fatal(err)
		}
		put(l)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	segment := segmentPath(filepath.Join(path, "t-0"), 0, logSuffix)
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		b[len(b)/2+i] ^= 1
	}
	if err := os.WriteFile(segment, b, 0o644); err != nil {
		t.Fatal(err)
	}
	d = compactDirs(t, path, 1)
	defer d.Close()
	for p := range int32(2) {
		d.Get("t", p).SetHighWatermark(300)
	}
	eventually(t, "one is compacted, the other given up", func() bool {
		return d.Get("t", 1).compaction.upTo.Load() > 0 && len(d.Uncleanable()) == 1
	})
	if d.Uncleanable()[0] != (Name{"t", 0}) {
		t.Error(d.Uncleanable())
	}
	after, err := os.ReadFile(segment)
	if err != nil || string(after) != string(b) {
		t.Error("the damaged segment was changed", err)
	}
	names, err := filepath.Glob(filepath.Join(path, "t-0", "*"+cleanedSuffix))
	if err != nil || len(names) > 0 {
		t.Error(names, err)
	}
}

// TestCompactionOfALogThatIsDeleted ends without harm.
func TestCompactionOfALogThatIsDeleted(t *testing.T) {
	d := compactDirs(t, t.TempDir(), 0)
	defer d.Close()
	flushing := func(l *Log) error {
		var flusher sync.WaitGroup
		flusher.Go(func() { l.Flush(l.EndOffset()) })
		defer flusher.Wait()
		return d.Delete(Name{"t", 0})
	}
	for _, end := range []func(l *Log) error{
		func(*Log) error { return d.Delete(Name{"t", 0}) }, flushing,
		func(l *Log) error { return l.TruncateTo(5) },
		func(l *Log) error { return l.TruncateFullyAndStartAt(500) },
	} {
		l, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, d.o.Config)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			if _, err := l.AppendLeader(keyedBatch(0, 0, 0, false, record.None, keyed{key: "k", value: fmt.Sprint(i)}), 0, Client); err != nil {
				t.Fatal(err)
			}
		}
		l.SetHighWatermark(l.EndOffset())
		dirt, err := l.dirtiness(l.Config(), l.now())
		if err != nil {
			t.Fatal(err)
		}
		c := &cleaning{l: l, ctx: t.Context(), o: smallMap, cfg: l.config.Load(), now: l.now()}
		keys, err := c.keys(dirt.from, dirt.to)
		if err != nil || keys.Len() != 1 {
			t.Fatal(err)
		}
		if err := end(l); err != nil {
			t.Fatal(err)
		}
		if _, err = l.clean(t.Context(), dirt, smallMap); err != nil && !errors.Is(err, errCleanStopped) && !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if d.Dirs()[0].Err != nil {
			t.Fatal(d.Dirs()[0].Err)
		}
		if err := d.Delete(Name{"t", 0}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadersKeepTheirSegment: what was replaced is read to its end by those who have it.
func TestReadersKeepTheirSegment(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.CleanupCompact = true
	l := f.open()
	for i := range 4 {
		f.append(l, keyedBatch(0, 0, 0, false, record.None, keyed{key: "k", value: fmt.Sprint(i)}))
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	l.SetHighWatermark(4)
	// A reader that has the old segments reads them to the end.
	slice, err := l.Read(0, 4, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	before, err := slice.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&keyedLog{}).compactNow(l, smallMap); err != nil {
		t.Fatal(err)
	}
	after, err := slice.Bytes()
	if err != nil || string(after) != string(before) {
		t.Fatal("the slice changed", err)
	}
	slice.Close()
	if l.Segments() != 2 {
		t.Fatal(l.Segments())
	}
}
