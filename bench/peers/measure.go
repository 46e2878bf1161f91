package peers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gregor/bench/harness"
	"gregor/bench/peers/drive"
)

// work is what the systems do for each case that they have.
var work = map[string]func(ctx context.Context, t *harness.Target, s system) (harness.Figures, error){
	"large": produce, "small": produce, "flush": produce, "noflush": produce, "active": produce,
	"cluster-large": produce, "cluster-small": produce,
	"ack": produce, "latency": deliver, "fetch": read,
}

// measure does a case's workload on a system, or says that it is not one of its.
func measure(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	do := work[t.Case.Name]
	if do == nil {
		return nil, harness.ErrNotThisOne
	}
	return do(ctx, t, s)
}

// loadOf is the writing part of a workload; began and ended are around what counts.
func loadOf(t *harness.Target) (l drive.Load, record []byte) {
	w := t.Case.Workload
	record = make([]byte, w.RecordBytes)
	rand.Read(record)
	return drive.Load{Conns: w.Conns, InFlight: w.InFlight, PerSecond: w.PerSecond, PerRequest: w.Records, Warmup: t.Warmup, Time: t.Time}, record
}

func produce(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	l, record := loadOf(t)
	var stop func() harness.Usage
	var used harness.Usage
	l.Began, l.Ended = func() { stop = t.Measured() }, func() { used = stop() }
	r, err := s.produce(ctx, t, l, record)
	if err != nil {
		return nil, err
	}
	return harness.OfLoad(r).Add(used.Figures(r.Requests, r.Bytes)), nil
}

// filled is how much is written to be read, in bytes of all partitions: less than what is kept.
const filled = 120_000_000

// read fills the partitions, and measures how fast they are read from their start.
func read(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	w := t.Case.Workload
	l, record := loadOf(t)
	l.Conns, l.InFlight, l.Warmup, l.Time = w.Partitions, 4, 0, time.Second
	var written int64
	for written*int64(w.RecordBytes) < filled {
		r, err := s.produce(ctx, t, l, record)
		if err != nil {
			return nil, err
		}
		written += r.Records
	}
	each := min(written, filled/int64(w.RecordBytes)) * 9 / 10 / int64(w.Partitions) // the partitions are not quite equally full
	stop := t.Measured()
	r, err := s.consume(ctx, t, each, drive.Hooks{})
	if err != nil {
		return nil, err
	}
	used := stop()
	return harness.OfLoad(r).Add(used.Figures(r.Records, r.Bytes)), nil
}

// deliver writes at a rate, and measures when a record, due at some time, has come to a reader.
func deliver(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		measured   atomic.Int64 // Unix time in nanoseconds, from which on records count
		mu         sync.Mutex
		delivered  = hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
		got        atomic.Int64
		began      sync.WaitGroup
		failed     = make(chan error, 1)
		done       = errors.New("all was written")
		partitions = max(t.Case.Workload.Partitions, 1)
	)
	measured.Store(math.MaxInt64)
	began.Add(partitions * max(t.Case.Workload.Readers, 1))
	hooks := drive.Hooks{Started: began.Done, Each: func(record []byte) {
		got.Add(1)
		due := int64(binary.BigEndian.Uint64(record))
		if due < measured.Load() {
			return
		}
		took := time.Now().UnixNano() - due
		mu.Lock()
		defer mu.Unlock()
		_ = delivered.RecordValue(took)
	}}
	go func() {
		_, err := s.consume(ctx, t, math.MaxInt64, hooks)
		cancel(err)
		failed <- err
	}()
	ready := make(chan struct{})
	go func() { began.Wait(); close(ready) }()
	select {
	case <-ready:
	case err := <-failed:
		return nil, err
	}
	l, record := loadOf(t)
	var stop func() harness.Usage
	var used harness.Usage
	l.Began, l.Ended = func() { measured.Store(time.Now().UnixNano()); stop = t.Measured() }, func() { used = stop() }
	r, err := s.produce(ctx, t, l, record)
	cancel(done)
	if errRead := <-failed; err == nil && !errors.Is(errRead, done) {
		err = errRead
	}
	if err == nil && got.Load() == 0 {
		err = errNothing
	}
	if err != nil {
		return nil, err
	}
	return harness.OfLoad(r).Add(used.Figures(r.Requests, r.Bytes)).Add(harness.Distribution(harness.Delivered, delivered)), nil
}
