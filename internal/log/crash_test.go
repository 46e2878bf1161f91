package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/test/race"
)

// crashRun is a scenario on a file system that fails at a chosen operation and from then on, and what must be there
// afterwards.
type crashRun struct {
	disk    *vfs.Mem
	fs      *vfs.Fault
	clock   *testClock
	mu      sync.Mutex
	changes int // operations so far that change the disk
	crashAt int // the one that fails; -1: none

	flushes     bool // flush.messages=1: what was acknowledged is on disk
	preallocate bool // preallocate=true

	written map[int64]string // what was ever appended at an offset, the last time
	flushed int64            // everything below is on disk
	start   int64            // deleted below
	deleted bool
}

var errPower = errors.New("power failure")

// crashStep is how far the points are apart that a run is ended at. It ends at every one of them; under the race detector,
// for which one is as good as the next, at every eighth: make test does both.
var crashStep = map[bool]int{false: 1, true: 8}[race.Detector]

func newCrashRun(crashAt int, flushes, preallocate bool) *crashRun {
	c := &crashRun{flushes: flushes, preallocate: preallocate, clock: &testClock{testEpochMs}, crashAt: crashAt, written: map[int64]string{}}
	c.disk = vfs.NewMem(c.clock.now)
	c.fs = &vfs.Fault{FS: c.disk, Hook: func(op vfs.Op, name string) error {
		if !op.Changes() {
			return nil
		}
		c.mu.Lock() // logs are closed in parallel
		defer c.mu.Unlock()
		c.changes++
		if c.crashAt < 0 || c.changes <= c.crashAt {
			return nil
		}
		if c.changes == c.crashAt+1 && op == vfs.OpWrite {
			return &vfs.ShortWrite{N: 40, Err: errPower}
		}
		return errPower
	}}
	return c
}

func crashDirs(fsys vfs.FS, clock *testClock) (*Dirs, error) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.RetentionBytes, cfg.SegmentIndexBytes = 400, 1, 1500, 1200
	d, err := OpenDirs(DirsOptions{Paths: []string{"/d"}, FS: fsys, Clock: clock.now, Config: cfg, NodeID: 1})
	if err == nil {
		d.background.stop() // so that each run does the same operations
	}
	return d, err
}

// run is the scenario: two logs, appends, rolls, flushes, checkpoints, truncation, deletion, retention.
func (c *crashRun) run() error {
	d, err := crashDirs(c.fs, c.clock)
	if err != nil {
		return err
	}
	defer d.Close()
	other, err := d.Create("gone", [16]byte{9}, 0, [16]byte{}, d.o.Config)
	if err != nil {
		return err
	}
	l, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, d.o.Config)
	if err != nil {
		return err
	}
	if c.flushes {
		eager := *d.o.Config
		eager.FlushMessages, eager.Preallocate = 1, c.preallocate
		l.SetConfig(&eager)
	}
	step := 0
	put := func(n int) error {
		for range n {
			step++
			v := fmt.Sprint("v", step)
			c.written[l.EndOffset()] = v // an append that fails may have been written
			info, err := l.AppendLeader(producerBatchOf(7, 0, int32(step-1), v), int32(step/10), Coordinator)
			if err != nil {
				return err
			}
			if c.flushes {
				c.flushed = info.LastOffset + 1
			}
			if step%5 == 0 {
				if _, err := other.AppendLeader(batch(v), 0, Client); err != nil {
					return err
				}
			}
		}
		return nil
	}
	flush := func() error {
		end := l.EndOffset()
		if err := l.Flush(end); err != nil {
			return err
		}
		c.flushed = end
		return nil
	}
	truncate := func(to int64) error {
		c.flushed = min(c.flushed, to) // from now on the records behind are not promised
		return l.TruncateTo(to)
	}
	retain := func() error {
		l.SetHighWatermark(l.EndOffset())
		c.deleted = true
		_, err := l.DeleteOldSegments()
		c.start = l.StartOffset()
		return err
	}
	for _, do := range []func() error{
		func() error { return put(7) }, flush, func() error { return put(4) }, d.Checkpoint,
		func() error { return put(3) }, flush, d.Checkpoint, func() error { return truncate(8) }, func() error { return put(6) },
		func() error { return d.Delete(Name{"gone", 0}) }, func() error { _, err := d.Create("t", [16]byte{2}, 1, [16]byte{}, nil); return err },
		func() error { other = d.Get("t", 1); return put(6) }, flush, d.Checkpoint, retain, func() error { return put(2) }, l.Roll,
		func() error { return put(3) }, flush,
	} {
		if err := do(); err != nil {
			return err
		}
	}
	end := l.EndOffset()
	if err := d.Close(); err != nil {
		return err
	}
	c.flushed = end
	return nil
}

// check opens what is left and compares it with what must be there.
func (c *crashRun) check(disk *vfs.Mem) error {
	d, err := crashDirs(disk, c.clock)
	if err != nil {
		return err
	}
	defer d.Close()
	for k, b := range d.broken {
		return fmt.Errorf("%v cannot be opened: %w", k, b.err)
	}
	l := d.Get("t", 0)
	if l == nil {
		if c.flushed > 0 {
			return errors.New("the log is gone")
		}
		return nil
	}
	if l.EndOffset() < c.flushed {
		return fmt.Errorf("the log ends at %d, %d was flushed", l.EndOffset(), c.flushed)
	}
	got, err := values(l, l.StartOffset())
	if err != nil {
		return err
	}
	next := l.StartOffset()
	for _, g := range got {
		offset, value, _ := strings.Cut(g, ":")
		if offset != fmt.Sprint(next) && !(c.deleted && next < c.start) {
			return fmt.Errorf("offset %s after %d", offset, next-1)
		}
		fmt.Sscan(offset, &next)
		if c.written[next] != value {
			return fmt.Errorf("offset %d has %s, %s was written", next, value, c.written[next])
		}
		next++
	}
	if next != l.EndOffset() || !c.deleted && l.StartOffset() > 0 {
		return fmt.Errorf("read to %d of %d, start %d", next, l.EndOffset(), l.StartOffset())
	}
	// It goes on, and a clean restart finds the same.
	if _, err := l.AppendLeader(batch("after"), 99, Client); err != nil {
		return err
	}
	want, err := values(l, l.StartOffset())
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = crashDirs(disk, c.clock); err != nil {
		return err
	}
	defer d.Close()
	if again, err := values(d.Get("t", 0), d.Get("t", 0).StartOffset()); err != nil || fmt.Sprint(again) != fmt.Sprint(want) {
		return fmt.Errorf("after a clean restart: %v, %v; before: %v", again, err, want)
	}
	return nil
}

// TestCrashAtEveryOperation ends the scenario at each operation that changes the disk, in three ways, and opens what is
// left: only what was synced, what was synced and by chance some of the rest, and everything (the process was killed).
func TestCrashAtEveryOperation(t *testing.T) {
	for what, c := range map[string]struct{ flushes, preallocate bool }{
		"flushed by the system": {}, "flush.messages=1": {true, false}, "flush.messages=1, preallocate": {true, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			crashEverywhere(t, c.flushes, c.preallocate)
		})
	}
}

func crashEverywhere(t *testing.T, flushes, preallocate bool) {
	whole := newCrashRun(-1, flushes, preallocate)
	if err := whole.run(); err != nil {
		t.Fatal(err)
	}
	if err := whole.check(whole.disk); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < whole.changes; at += crashStep {
		c := newCrashRun(at, flushes, preallocate)
		if c.run() == nil {
			continue // the last operations belong to the closing, whose error the scenario may not see
		}
		if err := c.check(c.disk.Crash(nil)); err != nil {
			t.Fatalf("operation %d, only what was synced: %v", at, err)
		}
		for seed := range uint64(8) {
			if err := c.check(c.disk.Crash(rand.New(rand.NewPCG(seed, uint64(at))))); err != nil {
				t.Fatalf("operation %d, seed %d: %v", at, seed, err)
			}
		}
		c.disk.Kill()
		if err := c.check(c.disk); err != nil {
			t.Fatalf("operation %d, killed: %v", at, err)
		}
	}
}
