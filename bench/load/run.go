package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Both is what a producer and a consumer at once did.
type Both struct {
	Produced, Fetched Result
	Delivered         *hdrhistogram.Histogram // from when a batch was due until a reader had it, in nanoseconds; the first reader of a partition counts
}

// ErrOtherSystem is returned where there is no epoll: one thread that waits for every connection is what makes the load cheap.
var ErrOtherSystem = errors.New("the load generator runs on Linux alone")

// Run makes the load of a producer and of a consumer at once; one of them may be nil. Their times are the producer's, if it is
// there, and then the readers follow it until it ends.
func Run(ctx context.Context, p *Produce, f *Fetch) (Both, error) {
	s := schedule{}
	if p != nil {
		s = schedule{p.Warmup, p.Time, p.Began, p.Ended}
	} else {
		s = schedule{f.Warmup, f.Time, f.Began, f.Ended}
	}
	l, err := newLoop(s)
	if err != nil {
		return Both{}, err
	}
	defer l.close()
	w, err := newWork(ctx, l, p, f)
	if err != nil {
		return Both{}, err
	}
	defer w.close()
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	l.begin()
	wg.Go(func() { s.tell(ctx, l.start) })
	err = l.run(ctx)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil || l.now() < l.end { // or it has counted to its end
		cancel(err)
	}
	wg.Wait()
	cancel(nil)
	return w.result(s), err
}

// schedule is when what counts begins and ends.
type schedule struct {
	warmup, time time.Duration
	began, ended func()
}

// tell calls began and ended when it is time.
func (s schedule) tell(ctx context.Context, start time.Time) {
	for _, at := range []struct {
		after time.Duration
		call  func()
	}{{s.warmup, s.began}, {s.warmup + s.time, s.ended}} {
		if at.call == nil {
			continue
		}
		select {
		case <-time.After(time.Until(start.Add(at.after))):
			at.call()
		case <-ctx.Done():
			return
		}
	}
}

// work is everything that a loop's connections do.
type work struct {
	p         *Produce
	f         *Fetch
	made      Result
	read      Result
	delivered *hdrhistogram.Histogram
	track     []tracked // by partition, of a load at a rate that is read too
	blocks    []*block
}

func newWork(ctx context.Context, l *loop, p *Produce, f *Fetch) (*work, error) {
	w := &work{p: p, f: f, made: Result{Latency: newHistogram()}, read: Result{Latency: newHistogram()}}
	if p != nil && f != nil {
		w.delivered = newHistogram()
		if p.PerSecond > 0 { // at full speed a batch waits for those before it, and remembering each costs
			w.track = newTracked(len(p.Addrs))
		}
	}
	l.undelivered = func() (n int) {
		for _, t := range w.track {
			n += len(t.due)
		}
		return n
	}
	var err error
	if p != nil {
		err = w.addProducers(ctx, l)
	}
	if err == nil && f != nil {
		err = w.addReaders(ctx, l)
	}
	if err != nil {
		w.close()
	}
	return w, err
}

func (w *work) addProducers(ctx context.Context, l *loop) error {
	p := w.p
	leaders := make(map[string][]int32)
	var addrs []string // in order, so that each run does the same
	for i, addr := range p.Addrs {
		if leaders[addr] == nil {
			addrs = append(addrs, addr)
		}
		leaders[addr] = append(leaders[addr], int32(i))
	}
	for _, addr := range addrs {
		b, err := p.block(leaders[addr])
		if err != nil {
			return err
		}
		w.blocks = append(w.blocks, b)
		for i := range p.Conns {
			pr := &producer{work: w, first: i % len(leaders[addr]) * b.frame}
			if pr.stream, err = l.add(ctx, addr, pr); err != nil {
				return err
			}
			pr.stream.block = b
			pr.stream.at = pr.first
			l.producers = append(l.producers, pr)
			if p.Count > 0 {
				l.counted, l.open = true, l.open+1
			}
		}
	}
	if p.PerSecond > 0 {
		l.every = time.Second.Nanoseconds() / int64(p.PerSecond)
		l.spin = p.Spin
	}
	return nil
}

func (w *work) addReaders(ctx context.Context, l *loop) error {
	for partition, addr := range w.f.Addrs {
		for i := range w.f.Readers {
			r := &reader{work: w, partition: int32(partition), first: i == 0, offset: w.f.from(int32(partition))}
			frame, offsetAt := w.f.frame(r.partition)
			r.offsetAt = offsetAt
			var err error
			if r.stream, err = l.add(ctx, addr, r); err != nil {
				return err
			}
			r.stream.block = &block{frame: len(frame), period: len(frame), bytes: frame}
			r.stream.discard = w.f.Discard
			if w.f.Time == 0 && w.p == nil {
				l.counted, l.open = true, l.open+1
			}
		}
	}
	return nil
}

func (w *work) close() error {
	var errs []error
	for _, b := range w.blocks {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}

func (w *work) result(s schedule) Both {
	if w.p != nil {
		if w.p.Count == 0 || w.made.Elapsed == 0 {
			w.made.Elapsed = s.time
		}
		w.made.Records = w.made.Requests * int64(w.p.PerBatch)
		w.made.Bytes = w.made.Requests * int64(len(w.p.Batch))
	}
	if s.time > 0 {
		w.read.Elapsed = s.time
	}
	return Both{Produced: w.made, Fetched: w.read, Delivered: w.delivered}
}
