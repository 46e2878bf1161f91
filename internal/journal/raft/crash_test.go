package raft

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
)

// Power fails at a random operation, again and again. What was handed over is there after each restart, in order and
// once; at most what was being written when the power failed may be there beside it.
func TestCrash(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			disk := vfs.NewMem(nil)
			if err := errors.Join(disk.MkdirAll("/data"), disk.SyncDir("/")); err != nil {
				t.Fatal(err)
			}
			var durable []string // handed over
			sent := 0
			for life := range 8 {
				left := 10 + rnd.IntN(120)
				faulty := &vfs.Fault{FS: disk, Hook: func(op vfs.Op, name string) error {
					if op.Changes() {
						left--
					}
					if left < 0 {
						return vfs.ErrFault
					}
					return nil
				}}
				seen := live(t, rnd, faulty, &sent)
				if seen != nil {
					if len(seen) < len(durable) || strings.Join(seen[:len(durable)], " ") != strings.Join(durable, " ") {
						t.Fatalf("life %d: had %v, has %v", life, durable, seen)
					}
					if !slices.IsSortedFunc(seen, byNumber) {
						t.Fatalf("life %d: out of order or twice: %v", life, seen)
					}
					durable = seen
				}
				disk = disk.Crash(rnd)
			}
		})
	}
}

// byNumber orders values; equal ones count as out of order.
func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	if x <= y {
		return x - y - 1
	}
	return 1
}

// live opens the log and writes to it until the disk fails; it returns everything that was handed over, or nil if the
// disk failed before the log could be replayed.
func live(t *testing.T, rnd *rand.Rand, disk vfs.FS, sent *int) []string {
	e, err := Open(Options{Dir: "/data", NodeID: 1, FS: disk, SegmentBytes: 700, RetentionBytes: 2000})
	if err != nil {
		mustBeFault(t, err)
		return nil
	}
	defer e.Close()
	f := newFollower()
	if err := e.Start(f); err != nil {
		t.Fatal(err)
	}
	e.Campaign()
	var next int64
	select {
	case next = <-f.lead:
	case err := <-f.failed:
		mustBeFault(t, err)
		return nil // committed batches may have been handed over, but not all
	}
	for {
		values := make([][]byte, 1+rnd.IntN(3))
		for i := range values {
			values[i] = fmt.Appendf(nil, "%d", *sent)
			*sent++
		}
		if err := e.Append(e.Status().Epoch, next, 1, values); err != nil {
			break
		}
		next += int64(len(values))
		if rnd.IntN(4) > 0 { // else the next batch goes into the same write, perhaps
			if !f.await(next-1) || rnd.IntN(10) == 0 && e.Save(t.Context(), f.snapshot()) != nil {
				break
			}
		}
	}
	e.Close()
	return f.state
}

func mustBeFault(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, vfs.ErrFault) {
		t.Fatal(err)
	}
}

// await waits until a batch was handed over; false when the journal failed first.
func (f *follower) await(last int64) bool {
	for {
		select {
		case b := <-f.commits:
			if b.LastOffset >= last {
				return true
			}
		case <-f.failed:
			return false
		}
	}
}

func (f *follower) snapshot() journal.Snapshot {
	last := f.batches[len(f.batches)-1]
	state := append([]string(nil), f.state...)
	return journal.Snapshot{
		LastOffset: last.LastOffset, Epoch: last.Epoch, TimestampMs: last.TimestampMs,
		Values: func(yield func([]byte, error) bool) {
			for _, v := range state {
				if !yield([]byte(v), nil) {
					return
				}
			}
		},
	}
}

// logOf writes some batches and returns the log's file.
func logOf(t *testing.T, dir string) string {
	t.Helper()
	e, f, next := start(t, Options{Dir: dir, NodeID: 1})
	for i := range 5 {
		next = put(t, e, f, next, fmt.Sprintf("value %d", i))
	}
	e.Close()
	return filepath.Join(dir, TopicDir, segmentName(0, ".log"))
}

func TestTornTailIsCut(t *testing.T) {
	path := logOf(t, t.TempDir())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := lastBatch(t, whole)
	for _, tail := range [][]byte{whole[last : last+1], whole[last : last+30], whole[last : len(whole)-1], make([]byte, 4096)} {
		dir := t.TempDir()
		torn := append(append([]byte(nil), whole[:last]...), tail...)
		logOf(t, dir)
		if err := os.WriteFile(filepath.Join(dir, TopicDir, segmentName(0, ".log")), torn, 0o644); err != nil {
			t.Fatal(err)
		}
		_, f, _ := start(t, Options{Dir: dir, NodeID: 1})
		if got := fmt.Sprint(f.state); got != "[value 0 value 1 value 2 value 3]" {
			t.Errorf("with %d bytes of the last batch: %s", len(tail), got)
		}
	}
}

func TestDamageInTheMiddleIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := logOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, []byte("value 2"))
	whole[at] = 'V'
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Options{Dir: dir, NodeID: 1, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "offset 3") {
		t.Fatalf("got %v", err)
	}
}

func lastBatch(t *testing.T, log []byte) int {
	t.Helper()
	at := bytes.LastIndex(log, []byte("value 4"))
	for at -= 1; at > 0; at-- {
		if b := log[at:]; len(b) > 17 && b[16] == 2 && bytes.HasPrefix(b, []byte{0, 0, 0, 0, 0, 0, 0, 5}) {
			return at
		}
	}
	t.Fatal("no last batch")
	return 0
}

// A disk that fails ends the journal and tells so; it does not end the process.
func TestReadErrorAtReplay(t *testing.T) {
	disk := vfs.NewMem(nil)
	e, f, next := start(t, Options{Dir: "/data", NodeID: 1, FS: disk})
	put(t, e, f, next, "a")
	e.Close()
	broken := false
	e, err := Open(Options{Dir: "/data", NodeID: 1, FS: &vfs.Fault{FS: disk, Hook: func(op vfs.Op, name string) error {
		if broken && op == vfs.OpRead {
			return vfs.ErrFault
		}
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	broken = true
	f = newFollower()
	if err := e.Start(f); err != nil {
		t.Fatal(err)
	}
	e.Campaign()
	if err := <-f.failed; !errors.Is(err, vfs.ErrFault) {
		t.Fatal(err)
	}
}
