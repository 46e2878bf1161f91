package peers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gregor/bench/cases"
	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// work is what the systems do for each case that they have.
var work = map[string]func(ctx context.Context, t *harness.Target, s system) (harness.Figures, error){
	"large": produce, "small": produce, "flush": produce, "noflush": produce, "active": produce,
	"cluster-large": produce, "cluster-small": produce,
	"fetch": read,
	"mixed": follow, "latency": follow, "tail-1": follow, "tail-10": follow, "tail-100": follow,
}

// measure does a case's workload on a system, or says that it is not one of its.
func measure(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	do := work[t.Case.Name]
	if do == nil {
		return nil, harness.ErrNotThisOne
	}
	w := t.Case.Workload
	if w.PerSecond == 0 && w.Records*w.RecordBytes < drive.Direct {
		// Small requests are made by one thread, as in bench/load: it has fewer switches, and takes more replies at a time.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	return do(ctx, t, s)
}

// loadOf is the writing part of a workload.
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

// filled is how much of each partition is written to be read, in bytes: less than what is kept.
const filled = 150_000_000

// read fills the partitions, and measures how fast they are read from their start: again and again, where it is possible.
func read(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	w := t.Case.Workload
	l, record := loadOf(t)
	l.Conns, l.InFlight, l.Warmup, l.Time = w.Partitions, 4, 0, 200*time.Millisecond
	var written int64
	for written < filled*int64(w.Partitions) {
		r, err := s.produce(ctx, t, l, record)
		if err != nil {
			return nil, err
		}
		written += r.Bytes
	}
	each := filled / int64(w.RecordBytes) * 9 / 10 // the partitions are not quite equally full
	stop := t.Measured()
	start := time.Now()
	var total load.Result
	for time.Since(start) < t.Time {
		r, err := s.consume(ctx, t, each, drive.Hooks{})
		if err != nil {
			return nil, err
		}
		total.Requests += r.Requests
		total.Bytes += r.Bytes
		if s.takes() {
			break
		}
	}
	used := stop()
	total.Elapsed = used.Elapsed
	return harness.OfLoad(total).Add(used.Figures(total.Requests, total.Bytes)), nil
}

// follow writes and reads at once. At a rate, it measures when a record, due at some time, has come to a reader.
func follow(ctx context.Context, t *harness.Target, s system) (harness.Figures, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		w         = t.Case.Workload
		d         = &deliveries{took: hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)}
		began     sync.WaitGroup
		hooks     = drive.Hooks{Started: began.Done}
		fetched   load.Result
		failed    = make(chan error, 1)
		errEnough = errors.New("all was written")
	)
	d.since.Store(math.MaxInt64)
	if w.PerSecond > 0 {
		hooks.Each = d.count
	}
	began.Add(w.Partitions * w.Readers)
	go func() {
		var err error
		fetched, err = s.consume(ctx, t, math.MaxInt64, hooks)
		cancel(err)
		failed <- err
	}()
	ready := make(chan struct{})
	go func() {
		began.Wait()
		close(ready)
	}()
	select {
	case <-ready:
	case err := <-failed:
		return nil, err
	}
	l, record := loadOf(t)
	var stop func() harness.Usage
	var used harness.Usage
	l.Began, l.Ended = func() { d.since.Store(time.Now().UnixNano()); stop = t.Measured() }, func() { used = stop() }
	r, err := s.produce(ctx, t, l, record)
	cancel(errEnough)
	if errRead := <-failed; err == nil && !errors.Is(context.Cause(ctx), errEnough) {
		err = errRead
	}
	if err == nil && fetched.Records == 0 {
		err = errors.New("nothing was read")
	}
	if err != nil {
		return nil, err
	}
	f := harness.OfLoad(r).Add(used.Figures(r.Requests, r.Bytes))
	f[harness.ReadMBps] = float64(fetched.Bytes) / 1e6 / fetched.Elapsed.Seconds()
	f[cases.CPUperDelivery] = used.Server.Seconds() / float64(r.Records*int64(w.Readers)) * 1e6
	if w.PerSecond > 0 {
		f.Add(harness.Distribution(harness.Delivered, d.took))
	}
	return f, nil
}

// deliveries are the records that came to the first reader of each partition.
type deliveries struct {
	since atomic.Int64 // Unix time in nanoseconds: what was due before does not count
	mu    sync.Mutex
	took  *hdrhistogram.Histogram // nanoseconds
}

func (d *deliveries) count(record []byte) {
	due := int64(binary.BigEndian.Uint64(record))
	if due < d.since.Load() {
		return
	}
	took := time.Now().UnixNano() - due
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.took.RecordValue(took)
}
