package raft

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gregor/internal/journal"
)

// follower collects what a journal tells.
type follower struct {
	lead    chan int64
	batches []journal.Batch
	commits chan journal.Batch
	loaded  *journal.Snapshot
	state   []string
	failed  chan error
}

func newFollower() *follower {
	return &follower{lead: make(chan int64, 10), commits: make(chan journal.Batch, 10000), failed: make(chan error, 1)}
}

func (f *follower) Load(s journal.Snapshot) error {
	f.loaded = &s
	f.state = nil
	for v, err := range s.Values {
		if err != nil {
			return err
		}
		f.state = append(f.state, string(v))
	}
	return nil
}

func (f *follower) Commit(batches []journal.Batch) error {
	for _, b := range batches {
		f.batches = append(f.batches, b)
		for _, v := range b.Values {
			f.state = append(f.state, string(v))
		}
		f.commits <- b
	}
	return nil
}

func (f *follower) Lead(epoch int32, next int64) { f.lead <- next }
func (f *follower) Follow(int32, int32)          {}
func (f *follower) Fail(err error)               { f.failed <- err }

func start(t *testing.T, o Options) (*Engine, *follower, int64) {
	t.Helper()
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	f := newFollower()
	if err := e.Start(f); err != nil {
		t.Fatal(err)
	}
	e.Campaign()
	select {
	case next := <-f.lead:
		return e, f, next
	case err := <-f.failed:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("no leader")
	}
	return nil, nil, 0
}

func put(t *testing.T, e *Engine, f *follower, offset int64, values ...string) int64 {
	t.Helper()
	raw := make([][]byte, len(values))
	for i, v := range values {
		raw[i] = []byte(v)
	}
	if err := e.Append(e.Status().Epoch, offset, 1000+offset, raw); err != nil {
		t.Fatal(err)
	}
	for b := range f.commits {
		if b.Offset == offset {
			return b.LastOffset + 1
		}
	}
	return 0
}

func TestReopen(t *testing.T) {
	o := Options{Dir: t.TempDir(), NodeID: 0}
	e, f, next := start(t, o)
	if next != 1 {
		t.Fatalf("an empty log leads from offset %d, want 1 (after LeaderChange)", next)
	}
	next = put(t, e, f, next, "a", "b")
	next = put(t, e, f, next, "c")
	e.Close()

	e, f, again := start(t, o)
	if again != next+1 {
		t.Fatalf("reopened at %d, want %d", again, next+1)
	}
	if got := fmt.Sprint(f.state); got != "[a b c]" {
		t.Fatalf("replayed %s", got)
	}
	if got := e.Status(); got.Epoch != 2 || got.Leader != 0 || got.Committed != again {
		t.Fatalf("status %+v", got)
	}
	if err := e.Append(1, again, 0, nil); !errors.Is(err, journal.ErrNotLeader) {
		t.Fatalf("append at an old epoch: %v", err)
	}
	if err := e.Append(2, again+1, 0, nil); !errors.Is(err, journal.ErrUnexpectedOffset) {
		t.Fatalf("append at a wrong offset: %v", err)
	}
}

func TestSnapshotAndRetention(t *testing.T) {
	o := Options{Dir: t.TempDir(), NodeID: 1, RetentionBytes: 1}
	e, f, next := start(t, o)
	for i := range 50 {
		next = put(t, e, f, next, fmt.Sprint(i))
		if i%20 == 19 {
			save(t, e, f)
		}
	}
	if got := e.Status(); got.StartOffset != 41 || got.Snapshot != 41 {
		t.Fatalf("status %+v", got)
	}
	e.Close()
	_, f, again := start(t, o)
	if again != next+1 {
		t.Fatalf("reopened at %d, want %d", again, next+1)
	}
	if f.loaded == nil || f.loaded.LastOffset != 40 || f.loaded.TimestampMs != 1040 {
		t.Fatalf("snapshot %+v", f.loaded)
	}
	if len(f.state) != 50 || f.state[49] != "49" {
		t.Fatalf("replayed %v", f.state)
	}
}

func save(t *testing.T, e *Engine, f *follower) {
	t.Helper()
	last := f.batches[len(f.batches)-1]
	state := f.state
	err := e.Save(context.Background(), journal.Snapshot{
		LastOffset: last.LastOffset, Epoch: last.Epoch, TimestampMs: last.TimestampMs,
		Values: func(yield func([]byte, error) bool) {
			for _, v := range state {
				if !yield([]byte(v), nil) {
					return
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}
