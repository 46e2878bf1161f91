package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// damagedLog is a log of several segments on a disk in memory that was closed and opened again, so that nothing of it was
// checked by the process.
func damagedLog(t *testing.T, n int, damage func(fs vfs.FS, path string)) *Log {
	t.Helper()
	fsys := vfs.NewMem(time.Now)
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 2000, 200
	o := Options{Dir: "/d/t-0", Topic: "t", Config: cfg, FS: fsys}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b := record.NewBuilder(record.BuilderOptions{})
		b.Append(int64(1000+i), nil, fmt.Appendf(nil, "value %d %s", i, make([]byte, i%50)))
		b.Append(int64(1000+i), nil, []byte("second"))
		if _, err := l.AppendLeader(b.Build(), 0, Client); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damage(fsys, "/d/t-0")
	o.CleanShutdown, o.RecoveryPoint, o.HighWatermark = true, int64(2*n), int64(2*n)
	if l, err = Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func flip(t testing.TB, fsys vfs.FS, path string, at int64, bit int) {
	t.Helper()
	if err := updateFile(fsys, path, func(f vfs.File) error {
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		b[0] ^= 1 << bit
		_, err := f.WriteAt(b[:], at)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// readAll reads a log from an offset on, over the damaged ranges, and gives the bytes of each batch by its offset.
func readAll(t *testing.T, l *Log, maxBytes int) (got map[int64]string, damages []*Damage) {
	t.Helper()
	got = map[int64]string{}
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		s, err := l.Read(offset, l.EndOffset(), maxBytes, true)
		var d *Damage
		if errors.As(err, &d) {
			if !errors.Is(err, ErrCorrupt) || !errors.Is(err, ErrDamaged) || d.Topic != "t" || d.File == "" || d.EndOffset <= offset || d.Offset > offset {
				t.Fatalf("the error of offset %d is %v", offset, err)
			}
			damages = append(damages, d)
			offset = d.EndOffset
			continue
		}
		if err != nil || s.Len() == 0 {
			t.Fatalf("offset %d: %d bytes, %v", offset, s.Len(), err)
		}
		b, err := s.Bytes()
		s.Close()
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			batch, rest, err := record.Next(b)
			if err != nil || batch.CheckCRC() != nil {
				t.Fatalf("offset %d: damaged bytes were served: %v", offset, err)
			}
			got[batch.BaseOffset()], b, offset = string(batch), rest, batch.NextOffset()
		}
	}
	return got, damages
}

// TestDamageIsNotServed flips a bit at every place of a segment's batches, with reads of every size before and behind it:
// all that is whole is served, nothing else is, and the bytes of another replica repair it.
func TestDamageIsNotServed(t *testing.T) {
	const n = 60
	whole := damagedLog(t, n, func(vfs.FS, string) {})
	want, _ := readAll(t, whole, 1<<20)
	list := *whole.segments.Load()
	if len(list) < 3 || len(want) != n {
		t.Fatalf("%d segments, %d batches", len(list), len(want))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for k, s := range list[:3] {
		size := s.size.Load()
		for at := int64(0); at < size; at += 1 + rnd.Int64N(40) {
			bit := rnd.IntN(8)
			l := damagedLog(t, n, func(fsys vfs.FS, dir string) { flip(t, fsys, segmentPath(dir, s.base, logSuffix), at, bit) })
			for _, maxBytes := range []int{1, 300, 1 << 20} {
				got, damages := readAll(t, l, maxBytes)
				if len(damages) != 1 || len(got) < n-3 {
					t.Fatalf("segment %d, position %d, bit %d: %d batches are served, damage: %v", k, at, bit, len(got), damages)
				}
				for offset, b := range got {
					if b != want[offset] {
						t.Fatalf("segment %d, position %d, bit %d: the batch at offset %d is not what was written", k, at, bit, offset)
					}
				}
			}
			if list := l.Damages(); len(list) != 1 || at < list[0].Position || at >= list[0].End {
				t.Fatalf("position %d: %+v", at, list)
			}
			repairFrom(t, l, whole)
			if got, damages := readAll(t, l, 300); len(got) != n || len(damages) > 0 {
				t.Fatalf("segment %d, position %d, bit %d: after the repair %d batches, %v", k, at, bit, len(got), damages)
			}
			if offset, _, _, err := l.OffsetForTimestamp(1000 + 20); err != nil || offset != 40 {
				t.Fatal(offset, err)
			}
		}
	}
}

func repairFrom(t *testing.T, l, other *Log) {
	t.Helper()
	for _, d := range l.Damages() {
		for bytes := 1; ; bytes *= 2 {
			s, err := other.Read(d.Offset, other.EndOffset(), bytes, true)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := s.Bytes()
			s.Close()
			more, err := l.Repair(d, b)
			if err != nil {
				t.Fatalf("%+v: %v", d, err)
			}
			if !more {
				break
			}
			if bytes > 1<<20 {
				t.Fatalf("%+v: not repaired by %d bytes", d, len(b))
			}
		}
	}
}

// TestRepairRefusesOthers: batches that are not those of the damaged range change nothing.
func TestRepairRefusesOthers(t *testing.T) {
	l := damagedLog(t, 20, func(fsys vfs.FS, dir string) { flip(t, fsys, segmentPath(dir, 0, logSuffix), 300, 3) })
	other := damagedLog(t, 3, func(vfs.FS, string) {})
	readAll(t, l, 100)
	list := l.Damages()
	if len(list) != 1 {
		t.Fatal(list)
	}
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(1, nil, make([]byte, 5000))
	batch := b.Build()
	batch.SetBaseOffset(list[0].Offset)
	for _, records := range [][]byte{batch, {}} {
		if more, err := l.Repair(list[0], records); !more && !errors.Is(err, ErrNoFit) {
			t.Errorf("%d bytes: %v, %v", len(records), more, err)
		}
	}
	_ = other
	if len(l.Damages()) != 1 {
		t.Error("the damage is forgotten")
	}
}

// TestDamagedDoesNotHoldUpOthers: who looks for a log does not wait for a damaged one that is busy.
func TestDamagedDoesNotHoldUpOthers(t *testing.T) {
	f := newDirsFixture(t)
	d := f.open()
	defer f.close(d)
	l := f.create(d, "t", 0)
	put(t, l, "x")
	d.noteDamaged(l)
	s := l.active()
	s.mu.Lock()
	asked := make(chan struct{})
	go func() { d.Damaged(); close(asked) }()
	for range 1000 {
		runtime.Gosched()
		if d.Get("t", 0) != l {
			t.Error("the log is gone")
		}
	}
	select {
	case <-asked:
		t.Error("the busy segment was not asked")
	default:
	}
	s.mu.Unlock()
	<-asked
	if len(d.Damaged()) > 0 || len(d.damaged) > 0 {
		t.Error("a log without damage is listed")
	}
}

// TestScrubFinds: the pass over everything finds damage that nobody reads, tells of the log, and takes only the directory
// offline that cannot be read, while everything else goes on.
func TestScrubFinds(t *testing.T) {
	f := newDirsFixture(t)
	failing := ""
	fault := &vfs.Fault{FS: f.disk, Hook: func(op vfs.Op, name string) error {
		if failing != "" && op == vfs.OpRead && strings.HasPrefix(name, failing) {
			return syscall.EIO
		}
		return nil
	}}
	f.o.FS = fault
	told := make(chan Dir, 1)
	f.o.Offline = func(d Dir, err error) { told <- d }
	d := f.open()
	for p := range int32(4) {
		l := f.create(d, "t", p)
		for i := range 10 {
			put(t, l, fmt.Sprint("value ", i))
		}
	}
	f.close(d)
	d = f.open()
	a, b := d.Get("t", 0), d.Get("t", 1)
	f.close(d)
	flip(t, f.disk, segmentPath(a.Dir(), 0, logSuffix), 200, 2)
	d = f.open()
	defer d.Close()
	d.scrub(t.Context(), func(int) error { return nil })
	if list := d.Damaged(); len(list) != 1 || list[0].Partition() != 0 {
		t.Fatalf("%d logs are damaged", len(list))
	}
	if got := d.Get("t", 0).Damages(); len(got) != 1 || got[0].Topic != "t" || got[0].Partition != 0 || got[0].Offset > 3 || got[0].Position > 200 {
		t.Fatalf("%+v", got)
	}
	failing = filepath.Dir(b.Dir())
	d.scrub(t.Context(), func(int) error { return nil })
	if dir := <-told; dir.Path != failing {
		t.Fatal(dir.Path)
	}
	for p := range int32(4) {
		l := d.Get("t", p)
		b := batchAt(time.Now().UnixMilli(), "more")
		_, err := l.AppendLeader(b, 0, Client)
		if broken := filepath.Dir(l.Dir()) == failing; broken != errors.Is(err, ErrDirOffline) || !broken && err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
}
