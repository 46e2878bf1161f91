package log

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// damagedFiles is a log directory with a log that has something in each of its files: segments with several batches, three
// leader epochs, a deleted beginning, idempotent producers, transactions that were committed and aborted across segments, and
// one that is open.
type damagedFiles struct {
	*dirsFixture
	clock *testClock
	topic [16]byte
}

func newDamagedFiles(t *testing.T) *damagedFiles {
	clock := &testClock{testEpochMs}
	disk := vfs.NewMem(clock.now)
	f := &damagedFiles{&dirsFixture{t, disk, DirsOptions{Paths: []string{"/a"}, ClusterID: "cluster-1", NodeID: 4, FS: disk, Logger: slog.New(slog.DiscardHandler),
		Clock: clock.now, Stepped: true}}, clock, [16]byte{7, 7, 7}}
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.FileDeleteDelayMs = 900, 150, 0
	f.o.Config = cfg
	return f
}

func (f *damagedFiles) fill(l *Log) {
	f.t.Helper()
	epoch := int32(0)
	add := func(b record.Batch) {
		f.clock.ms += 1000
		if _, err := l.AppendLeader(b, epoch, Coordinator); err != nil {
			f.t.Fatal(err)
		}
	}
	marker := func(id int64, commit bool) {
		if _, err := l.AppendMarker(Marker{ProducerID: id, CoordinatorEpoch: 3, Commit: commit}, epoch); err != nil {
			f.t.Fatal(err)
		}
	}
	var sequences [9]int32
	next := func(id int64) int32 { sequences[id]++; return sequences[id] - 1 }
	text := strings.Repeat("x", 40)
	for i := range 12 {
		epoch = int32(i / 4 * 2)
		add(batchAt(f.clock.ms, fmt.Sprint("plain ", i, text), "second"))
		add(producerBatchOf(1, 0, next(1), fmt.Sprint("idempotent ", i)))
		add(txnBatch(2, 0, next(2), fmt.Sprint("in two ", i)))
		add(txnBatch(3, 0, next(3), fmt.Sprint("in three ", i, text)))
		if i%2 == 1 {
			marker(2, i%4 == 1)
		}
		if i%3 == 2 {
			marker(3, i%6 == 2)
		}
	}
	add(txnBatch(4, 0, 0, "open"))
	add(batchAt(f.clock.ms, "last"))
	l.SetHighWatermark(l.EndOffset())
	if _, err := l.DeleteRecordsBefore(5); err != nil {
		f.t.Fatal(err)
	}
}

// fileState is all that a log says of itself.
type fileState struct {
	start, end, stable int64
	records            map[int64]string // batches by offset
	committed          string
	aborted            string
	producers          string
	epochs             string
	times              string
}

func stateOf(l *Log) (s fileState, err error) {
	l.SetHighWatermark(l.EndOffset())
	s = fileState{start: l.StartOffset(), end: l.EndOffset(), stable: l.LastStableOffset(), records: map[int64]string{}}
	for offset := s.start; offset < s.end; {
		slice, err := l.Read(offset, s.end, 400, true)
		if err != nil {
			return s, err
		}
		b, err := slice.Bytes()
		slice.Close()
		for len(b) > 0 && err == nil {
			var batch record.Batch
			if batch, b, err = record.Next(b); err == nil {
				s.records[batch.BaseOffset()], offset = string(batch), batch.NextOffset()
			}
		}
		if err != nil {
			return s, err
		}
	}
	for _, maxBytes := range []int{1, 400, 1 << 20} {
		seen, err := readKeyed(l, true, maxBytes)
		if err != nil {
			return s, err
		}
		for _, r := range seen {
			s.committed += fmt.Sprint(r.offset, " ", r.value[:min(12, len(r.value))], "; ")
		}
	}
	all, err := l.AbortedTxns(s.start, s.end)
	if err != nil {
		return s, err
	}
	s.aborted = fmt.Sprint(all)
	s.producers = fmt.Sprint(l.Producers())
	for e := range int32(7) {
		epoch, end := l.EndOffsetForEpoch(e)
		s.epochs += fmt.Sprint(e, ": ", epoch, " ", end, "; ")
	}
	for ts := int64(testEpochMs); ts < testEpochMs+60_000; ts += 500 {
		offset, found, epoch, err := l.OffsetForTimestamp(ts)
		if err != nil {
			return s, err
		}
		s.times += fmt.Sprint(ts-testEpochMs, ": ", offset, " ", found, " ", epoch, "; ")
	}
	return s, nil
}

// differs tells in what two states differ.
func (s fileState) differs(o fileState) string {
	switch {
	case s.start != o.start || s.end != o.end || s.stable != o.stable:
		return fmt.Sprintf("offsets %d %d %d, before %d %d %d", o.start, o.end, o.stable, s.start, s.end, s.stable)
	case !maps.Equal(s.records, o.records):
		return fmt.Sprintf("%d batches, before %d", len(o.records), len(s.records))
	case s.committed != o.committed:
		return "committed " + o.committed + "\nbefore " + s.committed
	case s.aborted != o.aborted:
		return "aborted transactions\n" + o.aborted + "\nbefore\n" + s.aborted
	case s.producers != o.producers:
		return "producers " + o.producers + "\nbefore " + s.producers
	case s.epochs != o.epochs:
		return "epochs " + o.epochs + "\nbefore " + s.epochs
	case s.times != o.times:
		return "timestamps " + o.times + "\nbefore " + s.times
	}
	return ""
}

// harms are what can happen to a file.
var harms = []struct {
	name string
	do   func(b []byte, rnd *rand.Rand) []byte // nil: the file is gone
}{
	{"missing", func([]byte, *rand.Rand) []byte { return nil }},
	{"empty", func([]byte, *rand.Rand) []byte { return []byte{} }},
	{"half", func(b []byte, _ *rand.Rand) []byte { return b[:len(b)/2] }},
	{"cut", func(b []byte, rnd *rand.Rand) []byte { return b[:rnd.IntN(len(b)+1)] }},
	{"cut by an entry", func(b []byte, _ *rand.Rand) []byte { return b[:max(0, len(b)-abortedTxnSize)] }},
	{"garbage", func(b []byte, rnd *rand.Rand) []byte { return noise(len(b), rnd) }},
	{"zeros", func(b []byte, _ *rand.Rand) []byte { return make([]byte, len(b)) }},
	{"garbage behind", func(b []byte, rnd *rand.Rand) []byte { return append(b, noise(1+rnd.IntN(60), rnd)...) }},
	{"a flipped bit", func(b []byte, rnd *rand.Rand) []byte {
		if len(b) > 0 {
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		}
		return b
	}},
}

func noise(n int, rnd *rand.Rand) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestDamagedFiles does everything to every file that only repeats what the records say, after a clean end and after a kill.
// The log is what it was: what is damaged was made anew, or it is refused with advice.
func TestDamagedFiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 28))
	for _, clean := range []bool{true, false} {
		f := ended(t, clean)
		files := damageable(t, f.disk)
		d := f.dirsFixture.open()
		want, err := stateOf(d.Get("t", 0))
		f.close(d)
		if err != nil || len(want.records) < 40 || !strings.Contains(want.aborted, "{3 ") {
			t.Fatal(len(want.records), want.aborted, err)
		}
		for _, path := range files {
			name := filepath.Base(path)
			for _, h := range harms {
				rounds := 1
				if h.name == "a flipped bit" || h.name == "cut" {
					rounds = 12
				}
				for range rounds {
					seed := rnd.Uint64()
					t.Run(fmt.Sprintf("clean=%v/%s/%s", clean, strings.TrimPrefix(path, "/a/"), h.name), func(t *testing.T) {
						harmed(t, clean, path, name, func(b []byte) []byte { return h.do(b, rand.New(rand.NewPCG(seed, 1))) }, want)
					})
				}
			}
		}
	}
}

// ended fills a directory and ends its process.
func ended(t *testing.T, clean bool) *damagedFiles {
	t.Helper()
	f := newDamagedFiles(t)
	d := f.dirsFixture.open()
	l, err := d.Create("t", f.topic, 0, [16]byte{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.fill(l)
	if clean {
		f.close(d)
		return f
	}
	if err := errors.Join(l.Flush(l.EndOffset()/2), d.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	d.background.stop()
	f.disk.Kill()
	return f
}

// damageable lists the files that repeat what the records say.
func damageable(t *testing.T, fsys vfs.FS) (files []string) {
	t.Helper()
	for _, dir := range []string{"/a", "/a/t-0"} {
		names, err := fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			switch suffix := filepath.Ext(e.Name()); {
			case e.IsDir(), suffix == logSuffix, e.Name() == lockFile:
			default:
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	return files
}

// harmed damages one file and compares.
func harmed(t *testing.T, clean bool, path, name string, harm func([]byte) []byte, want fileState) {
	f := ended(t, clean)
	was, err := readFile(f.disk, path)
	if err != nil {
		t.Fatal(err)
	}
	is := harm(slices.Clone(was))
	if is == nil {
		err = f.disk.Remove(path)
	} else {
		err = vfs.WriteFile(f.disk, path, is, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	unreadable := is != nil && string(is) != string(was)
	advice := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), filepath.Dir(path)) || !strings.Contains(err.Error(), ";") {
			t.Fatalf("%q: the error does not name the file and what to do: %v", is, err)
		}
	}
	d, err := OpenDirs(f.o)
	if name == metaPropertiesFile && unreadable && err != nil {
		advice(err)
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", is, err)
	}
	defer d.Close()
	l := d.Get("t", 0)
	if name == partitionMetadataFile && l == nil && unreadable {
		advice(d.Broken("t", 0))
		return
	}
	if l == nil {
		t.Fatalf("%q: %v", is, d.Broken("t", 0))
	}
	if id := l.TopicID(); id != f.topic && name != partitionMetadataFile {
		t.Fatal(id)
	}
	got, err := stateOf(l)
	if err != nil {
		t.Fatalf("%x: %v", is, err)
	}
	if name == logStartCheckpointFile && got.start < want.start {
		// Nothing else tells of records that were deleted within a segment. They come back; none is lost.
		for offset, b := range want.records {
			if got.records[offset] != b {
				t.Fatal("lost: ", offset)
			}
		}
		return
	}
	if text := want.differs(got); text != "" {
		t.Fatalf("%x\nwas %x\n%s", is, was, text)
	}
	// What was written anew is right, too.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = OpenDirs(f.o); err != nil {
		t.Fatal(err)
	}
	if got, err = stateOf(d.Get("t", 0)); err != nil || want.differs(got) != "" {
		t.Fatalf("after another start: %v: %s", err, want.differs(got))
	}
}
