package drive

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gregor/bench/load"
)

// Writer is a connection that sends requests. Send and Wait may be called from one goroutine each.
type Writer interface {
	// Send sends the next request. The first eight bytes of its records are the time it was due: Unix time in nanoseconds.
	Send(due time.Time) error
	// Wait waits until the oldest request that was not waited for is acknowledged, all of its records.
	Wait() error
	Close() error
}

// Load is the part of a load that no protocol has its own of.
type Load struct {
	Conns      int
	InFlight   int // requests that a connection sends before the first is acknowledged; ignored at a rate
	PerSecond  int // requests a second of all connections, sent when they are due; 0: as fast as acknowledgements come
	PerRequest int // records
	Bytes      int // of a request's records
	Warmup     time.Duration
	Time       time.Duration
	Began      func() // called when Warmup is over, if set
	Ended      func() // called when Time is over, if set
}

// Slots is how many requests a writer must be able to have under way.
func (l Load) Slots() int {
	if l.PerSecond > 0 {
		return pacedSlots
	}
	return l.InFlight
}

// pacedSlots bounds the requests that a stalled server makes pile up on a connection with a rate.
const pacedSlots = 1 << 10

// grace is how long after the end an acknowledgement is waited for.
const grace = 20 * time.Second

// Run makes the load on connections that open opens.
func (l Load) Run(ctx context.Context, open func(ctx context.Context, conn int) (Writer, error)) (load.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := load.Result{Latency: newHistogram(), Elapsed: l.Time}
	var writers []*driven
	defer func() {
		for _, w := range writers {
			w.Close()
		}
	}()
	for i := range l.Conns {
		w, err := open(ctx, i)
		if err != nil {
			return total, err
		}
		writers = append(writers, &driven{Writer: w, latency: newHistogram()})
	}
	defer context.AfterFunc(ctx, func() {
		for _, w := range writers {
			w.Close()
		}
	})()
	start := time.Now()
	var wg sync.WaitGroup
	for _, w := range writers {
		w.measure, w.end = start.Add(l.Warmup), start.Add(l.Warmup+l.Time)
		if l.PerSecond == 0 {
			wg.Go(func() {
				if err := w.closed(ctx, l.InFlight); err != nil {
					cancel(err)
				}
			})
		}
	}
	if l.PerSecond > 0 {
		wg.Go(func() {
			if err := l.pace(ctx, writers, start); err != nil {
				cancel(err)
			}
		})
	}
	wg.Go(func() { l.tell(ctx, start) })
	late := time.AfterFunc(l.Warmup+l.Time+grace, func() { cancel(fmt.Errorf("acknowledgements are missing %v after the end", grace)) })
	defer late.Stop()
	wg.Wait()
	for _, w := range writers {
		total.Requests += w.requests
		total.Latency.Merge(w.latency)
	}
	total.Records = total.Requests * int64(l.PerRequest)
	total.Bytes = total.Requests * int64(l.Bytes)
	return total, context.Cause(ctx)
}

// tell calls Began and Ended when it is time.
func (l Load) tell(ctx context.Context, start time.Time) {
	at := start.Add(l.Warmup)
	for _, call := range []func(){l.Began, l.Ended} {
		if call != nil {
			select {
			case <-time.After(time.Until(at)):
				call()
			case <-ctx.Done():
				return
			}
		}
		at = at.Add(l.Time)
	}
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// driven is a writer and what was measured on it.
type driven struct {
	Writer
	measure, end time.Time
	requests     int64
	latency      *hdrhistogram.Histogram
}

// take waits for a request, and counts it if it was due in the time that counts.
func (w *driven) take(due time.Time) error {
	if err := w.Wait(); err != nil {
		return err
	}
	if now := time.Now(); !due.Before(w.measure) && now.Before(w.end) {
		w.requests++
		_ = w.latency.RecordValue(int64(now.Sub(due)))
	}
	return nil
}

// closed keeps a number of requests under way until the end.
func (w *driven) closed(ctx context.Context, inFlight int) error {
	sent := make([]time.Time, inFlight)
	for i := range sent {
		sent[i] = time.Now()
		if err := w.Send(sent[i]); err != nil {
			return err
		}
	}
	for i := 0; ; i = (i + 1) % len(sent) {
		if err := w.take(sent[i]); err != nil {
			return err
		}
		if sent[i] = time.Now(); !sent[i].Before(w.end) || ctx.Err() != nil {
			return nil
		}
		if err := w.Send(sent[i]); err != nil {
			return err
		}
	}
}
