package log

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// cleanCrash is a run of appends and compactions on a file system that fails at one operation and from then on.
type cleanCrash struct {
	disk    *vfs.Mem
	two     bool // segments so small that a compaction has several groups
	clock   *testClock
	changes int
	crashAt int
	m       keyedLog
	flushed int64
	end     int64 // acknowledged
}

func (c *cleanCrash) open(fsys vfs.FS) (*Dirs, error) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.SegmentIndexBytes = 1000, 1, 1200
	if c.two {
		cfg.SegmentBytes = 300
	}
	cfg.CleanupCompact, cfg.CleanupDelete, cfg.DeleteRetentionMs = true, false, 5
	cfg.MinCleanableRatio = 0.01
	d, err := OpenDirs(DirsOptions{Paths: []string{"/d"}, FS: fsys, Clock: c.clock.now, Config: cfg, NodeID: 1,
		Cleaner: func() CleanerConfig { return CleanerConfig{Threads: 1, DedupeBytes: 1 << 20, LoadFactor: 0.9} }})
	if err == nil {
		d.background.stop() // so that each run does the same operations
		d.background.ctx = context.Background()
	}
	return d, err
}

// compact cleans whatever is dirty.
func (c *cleanCrash) compact(d *Dirs) {
	for l, dirt := d.cleaner.dirtiest(); l != nil; l, dirt = d.cleaner.dirtiest() {
		c.m.clean = max(c.m.clean, dirt.to)
		d.cleaner.clean(l, dirt, d.cleanerConfig())
		if l.Err() != nil {
			return
		}
	}
}

func (c *cleanCrash) run(fsys vfs.FS) error {
	d, err := c.open(fsys)
	if err != nil {
		return err
	}
	defer d.Close()
	l, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, d.o.Config)
	if err != nil {
		return err
	}
	n := 0
	put := func(producer int64, keys ...string) error {
		for _, key := range keys {
			n++
			r := keyed{key: key, value: fmt.Sprint("v", n), producer: producer}
			if strings.HasPrefix(key, "-") {
				r.key, r.value = key[1:], ""
			}
			c.m.add(r)
			if _, err := l.AppendLeader(keyedBatch(producer, 0, 0, producer > 0, record.None, r), 0, Coordinator); err != nil {
				return err
			}
			c.end = l.EndOffset()
		}
		l.SetHighWatermark(l.EndOffset())
		return nil
	}
	end := func(producer int64, commit bool) error {
		c.m.decide(producer, !commit)
		_, err := l.AppendMarker(Marker{ProducerID: producer, Commit: commit}, 0)
		if err == nil {
			c.end = l.EndOffset()
			l.SetHighWatermark(c.end)
		}
		return err
	}
	flush := func() error {
		end := l.EndOffset()
		err := l.Flush(end)
		if err == nil {
			c.flushed = end
		}
		return err
	}
	compact := func() error { c.compact(d); return l.Err() }
	for _, do := range []func() error{
		func() error { return put(0, "a", "b", "a", "c") }, flush,
		func() error { return put(1, "a", "d") }, l.Roll,
		func() error { return end(1, false) }, func() error { return put(0, "-b", "e") }, l.Roll,
		func() error { return put(2, "f") }, func() error { return put(0, "c") }, l.Roll, func() error { return end(2, true) }, flush,
		compact,
		func() error { return put(0, "g", "a") }, l.Roll, d.Checkpoint, func() error { c.clock.ms += 10; return nil },
		func() error { return put(0, "h") }, compact,
		func() error { return put(0, "h", "f") }, l.Roll, func() error { return put(0, "i") }, compact,
		func() error { return put(0, "j") }, flush,
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return d.Close()
}

// verify opens what a crash left and checks that nothing that was promised is missing and nothing is there twice; then
// compacts and checks again.
func (c *cleanCrash) verify(disk *vfs.Mem, promised int64) error {
	d, err := c.open(disk)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Broken("t", 0); err != nil {
		return err
	}
	l := d.Get("t", 0)
	if l == nil {
		if promised > 0 {
			return errors.New("the log is gone")
		}
		return nil
	}
	m := c.m
	if l.EndOffset() < promised || l.EndOffset() > m.end {
		return fmt.Errorf("the log ends at %d, promised were %d of %d", l.EndOffset(), promised, m.end)
	}
	m.truncate(l.EndOffset())
	l.SetHighWatermark(l.EndOffset())
	for range 2 {
		if err := m.check(l, 300); err != nil {
			return err
		}
		if names := leftovers(disk); len(names) > 0 {
			return fmt.Errorf("%v are left", names)
		}
		if err := l.Roll(); err != nil {
			return err
		}
		c.compact(d)
		m.clean = c.m.clean
	}
	return l.Err()
}

// leftovers are the files of an interrupted compaction.
func leftovers(disk *vfs.Mem) (names []string) {
	list, _ := disk.ReadDir("/d/t-0")
	for _, e := range list {
		if strings.HasSuffix(e.Name(), cleanedSuffix) || strings.HasSuffix(e.Name(), swapSuffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func newCleanCrash(crashAt int, groups bool) *cleanCrash {
	c := &cleanCrash{two: groups, clock: &testClock{testEpochMs}, crashAt: crashAt}
	c.disk = vfs.NewMem(c.clock.now)
	return c
}

func (c *cleanCrash) faults() vfs.FS { return c.faultsOn(c.disk) }

// faultsOn is a disk that fails at the change with the number crashAt and from then on.
func (c *cleanCrash) faultsOn(disk *vfs.Mem) vfs.FS {
	c.changes = 0
	return &vfs.Fault{FS: disk, Hook: func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		c.changes++
		if c.crashAt < 0 || c.changes <= c.crashAt {
			return nil
		}
		if c.changes == c.crashAt+1 && op == vfs.OpWrite {
			return &vfs.ShortWrite{N: 40, Err: errPower}
		}
		return errPower
	}}
}

// TestCompactionCrashAtEveryChange ends the process, or the power, at each change of the disk that appends and compactions
// make, and then at each that the next start makes.
func TestCompactionCrashAtEveryChange(t *testing.T) {
	for _, groups := range []bool{false, true} {
		for first := range 2 { // two at a time
			t.Run(fmt.Sprintf("groups=%v, from %d on", groups, first), func(t *testing.T) {
				t.Parallel()
				crashAtEveryChange(t, groups, first, 2*crashStep)
			})
		}
	}
}

// crashAtEveryChange ends it at the change first and each step-th behind it.
func crashAtEveryChange(t *testing.T, groups bool, first, step int) {
	whole := newCleanCrash(-1, groups)
	if err := whole.run(whole.faults()); err != nil {
		t.Fatal(err)
	}
	if whole.m.clean == 0 {
		t.Fatal("nothing was compacted")
	}
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for at := first; at < whole.changes; at += step {
		c := newCleanCrash(at, groups)
		if err := c.run(c.faults()); err == nil && c.changes <= at {
			t.Fatalf("change %d was not reached", at)
		}
		m := c.m
		check := func(what string, disk *vfs.Mem, promised int64) {
			t.Helper()
			c.m = m
			if err := c.verify(disk, promised); err != nil {
				t.Fatalf("%s at change %d: %v", what, at, err)
			}
		}
		check("power failure", c.disk.Crash(nil), c.flushed)
		for seed := range seeds {
			disk := c.disk.Crash(rand.New(rand.NewPCG(seed, uint64(at))))
			if seed < 1 && len(leftovers(disk)) > 0 {
				c.crashStart(disk, func(what string, disk *vfs.Mem) { check(fmt.Sprint("seed ", seed, ", ", what), disk, c.flushed) })
			}
			check(fmt.Sprint("power failure, seed ", seed), disk, c.flushed)
		}
		c.disk.Kill()
		check("kill", c.disk, c.end)
	}
}

// crashStart ends the power at each change that a start on a disk makes; the disk stays as it is.
func (c *cleanCrash) crashStart(disk *vfs.Mem, check func(what string, disk *vfs.Mem)) {
	for c.crashAt = 0; ; c.crashAt++ {
		again := disk.Crash(nil) // everything that is there is on disk
		d, err := c.open(c.faultsOn(again))
		if err == nil {
			d.background.stop()
			for l := range d.All() {
				l.abandon()
			}
		}
		changes, seed := c.changes, uint64(c.crashAt)
		check(fmt.Sprint("start ended at change ", c.crashAt), again.Crash(rand.New(rand.NewPCG(seed, seed))))
		if changes <= c.crashAt {
			return
		}
	}
}

// TestUndoneSwapGoesInOrder: what did not become .swap as a whole is removed before the .cleaned files, by which a start
// knows that it does not count, are.
func TestUndoneSwapGoesInOrder(t *testing.T) {
	f := newFixture(t)
	f.append(f.open(), batch("a"))
	for _, name := range []string{"00000000000000000000.txnindex.swap", "00000000000000000000.log.cleaned"} {
		if err := vfs.WriteFile(f.fs, "/data/t-0/"+name, []byte("unfinished"), true); err != nil {
			t.Fatal(err)
		}
	}
	var steps []string
	f.opts.FS = &vfs.Fault{FS: f.fs, Hook: func(op vfs.Op, name string) error {
		if len(steps) < 4 && op.Changes() {
			steps = append(steps, string(op)+" "+strings.TrimPrefix(name, "/data/t-0/00000000000000000000."))
		}
		return nil
	}}
	f.opts.SameBoot = true
	if l := f.open(); l.EndOffset() != 1 {
		t.Fatal(l.EndOffset())
	}
	if got := strings.Join(steps, ", "); got != "remove txnindex.swap, syncdir /data/t-0, remove log.cleaned, syncdir /data/t-0" {
		t.Fatal(got)
	}
}

// TestNeverFlushedLogIsNotTakenForFlushed: records of a new log are deleted, it is killed twice, and then flushed; the
// power failure after that must not take it.
func TestNeverFlushedLogIsNotTakenForFlushed(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	f.append(l, batch("b"))
	l.SetHighWatermark(1)
	if _, err := l.DeleteRecordsBefore(1); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		f.opts.SameBoot, f.opts.RecoveryPoint, f.opts.LogStartOffset, f.opts.HighWatermark = true, l.RecoveryPoint(), l.StartOffset(), l.HighWatermark()
		l = f.open()
	}
	kill()
	kill()
	if err := l.Flush(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	f.fs = f.fs.(*vfs.Mem).Crash(nil)
	f.opts.FS, f.opts.SameBoot, f.opts.RecoveryPoint = f.fs, false, l.RecoveryPoint()
	if l = f.open(); l.EndOffset() != 2 {
		t.Fatalf("the log ends at %d", l.EndOffset())
	}
}

// TestStableOffsetAfterARestart: a transaction whose marker is not replicated holds the last stable offset back after a
// clean restart too, though the producers' snapshot does not tell of it.
func TestStableOffsetAfterARestart(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	f.append(l, batch("a"))
	f.append(l, txnBatch(1, 0, 0, "b"))
	if _, err := l.AppendMarker(Marker{ProducerID: 1, Commit: true}, 0); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(2)
	for range 2 {
		if got := l.LastStableOffset(); got != 1 {
			t.Fatal(got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		f.opts.CleanShutdown, f.opts.RecoveryPoint, f.opts.HighWatermark = true, l.RecoveryPoint(), l.HighWatermark()
		l = f.open()
	}
	l.SetHighWatermark(3)
	if got := l.LastStableOffset(); got != 3 {
		t.Fatal(got)
	}
}
