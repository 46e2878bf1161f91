package coordinator

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// Options of a Runtime.
type Options[E, R any] struct {
	// New makes the empty machine of a partition.
	New func(partition int32) Machine[E, R]
	// MaxBatchBytes bounds a record batch: the topic's max.message.bytes. Decisions are packed into one batch up to it.
	// A machine must not decide on more than that at once: such a decision cannot be written and costs a reload.
	MaxBatchBytes func() int
	// WriteTimeoutMs is how long a reply waits for its records to be committed before it turns into ErrTimeout.
	WriteTimeoutMs func() int64
	// Outbox takes what machines send, on the shard's goroutine: it must not block. nil: machines send nothing.
	Outbox func(partition, leaderEpoch int32, body R)
	Clock  Clock        // nil: SystemClock
	Logger *slog.Logger // nil: discard
}

// Runtime keeps the shards of the partitions this broker leads. Its methods may be called from any goroutine.
type Runtime[E, R any] struct {
	options Options[E, R]

	mu     sync.Mutex
	shards map[int32]*Shard[E, R]
	former map[int32]*Shard[E, R] // of a partition that is not led any more, the last; its goroutine may still run
	closed bool
}

// NewRuntime makes a runtime that leads no partition. Close it.
func NewRuntime[E, R any](o Options[E, R]) *Runtime[E, R] {
	if o.Clock == nil {
		o.Clock = SystemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Runtime[E, R]{options: o, shards: make(map[int32]*Shard[E, R]), former: make(map[int32]*Shard[E, R])}
}

// Elected starts leading partition in leaderEpoch: its log is read back in the background, and until then requests get
// ErrLoading. An older or equal epoch than the one that is led already changes nothing.
func (r *Runtime[E, R]) Elected(partition, leaderEpoch int32, log Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	old := r.shards[partition]
	if old != nil && old.leaderEpoch >= leaderEpoch {
		return
	}
	if old == nil {
		old = r.former[partition]
	}
	r.shards[partition] = startShard(&r.options, partition, leaderEpoch, log, old)
	delete(r.former, partition)
}

// Resigned stops leading partition, if it is led in leaderEpoch or an earlier one. Whoever waits gets ErrNotCoordinator.
func (r *Runtime[E, R]) Resigned(partition, leaderEpoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.shards[partition]
	if s == nil || s.leaderEpoch > leaderEpoch {
		return
	}
	delete(r.shards, partition)
	r.former[partition] = s
	s.stop()
}

// Submit hands an event to the shard of partition. done is called exactly once, perhaps before Submit returns, with the
// machine's reply or one of the package's errors; it must not block.
func (r *Runtime[E, R]) Submit(partition int32, event E, done func(R, error)) {
	r.mu.Lock()
	s := r.shards[partition]
	r.mu.Unlock()
	if s == nil {
		var none R
		done(none, ErrNotCoordinator)
		return
	}
	s.submit(event, done)
}

// Mark has the end of a transaction written into the log of partition and told to its machine. done is called exactly once,
// when the marker is committed, or with an error: a [Refused], or one of the package's.
func (r *Runtime[E, R]) Mark(partition int32, m Marker, done func(error)) {
	r.mu.Lock()
	s := r.shards[partition]
	r.mu.Unlock()
	if s == nil {
		done(ErrNotCoordinator)
		return
	}
	s.accept(submission[E, R]{marker: &m, done: func(_ R, err error) { done(err) }})
}

// Partitions are the partitions that are led, loaded or not, in no order.
func (r *Runtime[E, R]) Partitions() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ps := make([]int32, 0, len(r.shards))
	for p := range r.shards {
		ps = append(ps, p)
	}
	return ps
}

// AwaitLoaded returns when partition is loaded, with ErrNotCoordinator if it is not led, or with the context's error.
func (r *Runtime[E, R]) AwaitLoaded(ctx context.Context, partition int32) error {
	r.mu.Lock()
	s := r.shards[partition]
	r.mu.Unlock()
	if s == nil {
		return ErrNotCoordinator
	}
	select {
	case <-s.loaded:
		return nil
	case <-s.ended:
		return ErrNotCoordinator
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops all shards and returns when their goroutines have ended.
func (r *Runtime[E, R]) Close() {
	r.mu.Lock()
	r.closed = true
	var all []*Shard[E, R]
	for _, s := range r.shards {
		all = append(all, s)
	}
	for _, s := range r.former {
		all = append(all, s)
	}
	clear(r.shards)
	clear(r.former)
	r.mu.Unlock()
	for _, s := range all {
		s.stop()
	}
	for _, s := range all {
		<-s.ended // each waits for the one before it
	}
}
