package log

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
)

// sizes are of a segment's file, and of what is written in it.
func sizes(t *testing.T, f *fixture, base int64, l *Log) (file, written int64) {
	t.Helper()
	info, err := f.fs.Stat(segmentPath(f.opts.Dir, base, logSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size(), l.Size()
}

// Small appends that are flushed are written over zeros: one write of the file's size serves many of them.
func TestZerosAhead(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.FlushMessages = 1
	l := f.open()
	grown, last := 0, int64(0)
	for i := range 2000 {
		f.append(l, batch(fmt.Sprint(i)))
		file, written := sizes(t, f, 0, l)
		if file < written || file > 2*written+aheadBlock || file%aheadBlock != 0 {
			t.Fatalf("%d bytes are written in a file of %d", written, file)
		}
		if file != last {
			grown, last = grown+1, file
		}
	}
	if grown > 10 {
		t.Error("the file grew", grown, "times")
	}
	for l.Size() <= last {
		f.append(l, batch(strings.Repeat("x", 3*aheadBatch)))
	}
	if file, written := sizes(t, f, 0, l); file != written {
		t.Errorf("zeros were written behind a large batch: %d bytes, %d of them written", file, written)
	}
	f.append(l, batch("and a small one"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if file, written := sizes(t, f, 0, l); file != written {
		t.Errorf("after it was closed: a file of %d bytes, %d of them written", file, written)
	}
}

// Without flush.messages=1 a file ends where its records do.
func TestNoZerosAhead(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	if file, written := sizes(t, f, 0, l); file != written {
		t.Error(file, written)
	}
}

// After a crash the zeros are cut off without a word.
func TestZerosAfterACrash(t *testing.T) {
	f := newFixture(t)
	disk := f.fs.(*vfs.Mem)
	f.opts.Config.FlushMessages = 1
	l := f.open()
	f.append(l, batch("a"))
	f.append(l, batch("b"))
	for what, left := range map[string]*vfs.Mem{"power failure": disk.Crash(nil), "killed": disk} {
		said := &bytes.Buffer{}
		after := &fixture{t: t, fs: left, clock: f.clock, opts: f.opts}
		after.opts.FS, after.opts.Logger = left, slog.New(slog.NewTextHandler(said, nil))
		after.opts.SameBoot = left == disk
		after.opts.RecoveryPoint = 2
		l := after.open()
		if said.Len() > 0 {
			t.Errorf("%s: %s", what, said)
		}
		if file, written := sizes(t, after, 0, l); file != written {
			t.Errorf("%s: a file of %d bytes, %d of them written", what, file, written)
		}
		f.append(l, batch("c"))
		after.expect(l, 0, "0:a", "1:b", "2:c")
	}
}

// Zeros that a recovery cut off, and that a power failure brings back when the segment was just rolled, are not taken for
// damage of what was flushed.
func TestZerosComeBack(t *testing.T) {
	f := newFixture(t)
	disk := f.fs.(*vfs.Mem)
	f.opts.Config.FlushMessages = 1
	l := f.open()
	f.append(l, producerBatchOf(1, 0, 0, "a"))
	f.opts.RecoveryPoint, f.opts.SameBoot = l.RecoveryPoint(), true
	fault := f.faulty()
	made, dead := false, false
	fault.Hook = func(op vfs.Op, name string) error {
		if made && !dead {
			dead = true
			if err := disk.SyncDir(f.opts.Dir); err != nil { // the new name reaches the disk
				return err
			}
		}
		if dead && op.Changes() {
			return errPower
		}
		made = op == vfs.OpCreate && strings.HasSuffix(name, logSuffix)
		return nil
	}
	l = f.open()
	if err := l.Roll(); !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	after := &fixture{t: t, clock: f.clock, opts: f.opts}
	after.opts.FS, after.opts.SameBoot = disk.Crash(nil), false
	after.fs = after.opts.FS
	if _, err := after.fs.Stat(segmentPath(f.opts.Dir, 1, logSuffix)); err != nil {
		t.Fatal("there is no second segment:", err)
	}
	after.expect(after.open(), 0, "0:a")
}

// A disk that has room for the records and not for zeros takes the records.
func TestNoRoomForZeros(t *testing.T) {
	f := newFixture(t)
	disk := f.fs.(*vfs.Mem)
	f.opts.Config.FlushMessages = 1
	l := f.open()
	disk.SetLimit(disk.Used() + 300)
	f.append(l, batch("a"))
	f.append(l, batch("b"))
	f.expect(l, 0, "0:a", "1:b")
	if file, written := sizes(t, f, 0, l); file != written {
		t.Error(file, written)
	}
}
