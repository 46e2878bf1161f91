package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Produce is a load of Produce requests, each with one batch for one partition; the partitions take turns.
type Produce struct {
	Addrs     []string // of the leader of each partition, by partition
	Topic     string
	Acks      int16
	Batch     []byte
	PerBatch  int // records in Batch
	Conns     int // connections to each leader
	InFlight  int // requests that a connection sends before the reply of the first; ignored at a rate
	PerSecond int // requests a second of all connections together, sent when they are due whatever the replies do; 0: as fast as replies come
	Count     int // requests after which each connection ends, with one in flight; 0: only Time ends it
	Warmup    time.Duration
	Time      time.Duration
	Began     func() // called when Warmup is over, if set
	Ended     func() // called when Time is over
}

// Result is what a load did after its warm-up.
type Result struct {
	Requests, Records, Bytes int64
	Elapsed                  time.Duration
	Latency                  *hdrhistogram.Histogram // of requests, in nanoseconds: from when one was due, so that a server that stalls is charged for all that it held up
}

// PerSecond is the rate of requests.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Quantile is a latency: Quantile(99).
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q))
}

// Add counts a load that was made at the same time.
func (r *Result) Add(o Result) {
	r.Requests += o.Requests
	r.Records += o.Records
	r.Bytes += o.Bytes
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	if r.Latency == nil {
		r.Latency = newHistogram()
	}
	r.Latency.Merge(o.Latency)
}

// newHistogram holds from a microsecond to a minute with three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

func (p *Produce) frame(partition int32) []byte {
	b := appendHeader(nil, 0, 8)
	b = append(b, 0xff, 0xff) // no transactional id
	b = binary.BigEndian.AppendUint16(b, uint16(p.Acks))
	b = binary.BigEndian.AppendUint32(b, 30_000)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, p.Topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Batch)))
	return finish(append(b, p.Batch...))
}

// checkProduced looks at the only partition of a reply of version 8.
func checkProduced(body []byte) error {
	// [topics] name [partitions] index error
	if len(body) < 6 {
		return errors.New("a reply that is too short")
	}
	at := 4 + 2 + int(binary.BigEndian.Uint16(body[4:])) + 4 + 4
	if len(body) < at+2 {
		return errors.New("a reply that is too short")
	}
	return errorOf("produce", binary.BigEndian.Uint16(body[at:]))
}

// Run makes the load until its time is over.
func (p *Produce) Run(ctx context.Context) (Result, error) {
	leaders := make(map[string][]int32)
	for i, addr := range p.Addrs {
		leaders[addr] = append(leaders[addr], int32(i))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		total   = Result{Latency: newHistogram()}
		writers []*writer
	)
	for addr, partitions := range leaders {
		for i := range p.Conns {
			w := &writer{load: p, latency: newHistogram()}
			for j := range partitions {
				w.frames = append(w.frames, p.frame(partitions[(i+j)%len(partitions)]))
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return total, err
			}
			defer conn.Close()
			w.conn, w.in = conn, bufio.NewReaderSize(conn, 64<<10)
			writers = append(writers, w)
		}
	}
	start := time.Now()
	measure, end := start.Add(p.Warmup), start.Add(p.Warmup+p.Time)
	for i, w := range writers {
		w.measure, w.end = measure, end
		wg.Go(func() {
			var err error
			if p.PerSecond > 0 {
				every := time.Duration(float64(len(writers)) / float64(p.PerSecond) * float64(time.Second))
				err = w.paced(ctx, start.Add(every*time.Duration(i)/time.Duration(len(writers))), every)
			} else {
				err = w.run(ctx)
			}
			if err != nil {
				cancel(fmt.Errorf("%s: %w", w.conn.RemoteAddr(), err))
			}
			mu.Lock()
			defer mu.Unlock()
			total.Requests += w.requests
			total.Latency.Merge(w.latency)
		})
	}
	wg.Go(func() { p.tell(ctx, measure, end) })
	stop := context.AfterFunc(ctx, func() {
		for _, w := range writers {
			w.conn.Close()
		}
	})
	wg.Wait()
	stop()
	total.Elapsed = p.Time
	total.Records = total.Requests * int64(p.PerBatch)
	total.Bytes = total.Requests * int64(len(p.Batch))
	return total, context.Cause(ctx)
}

// tell calls Began and Ended when it is time.
func (p *Produce) tell(ctx context.Context, measure, end time.Time) {
	for _, at := range []struct {
		time time.Time
		call func()
	}{{measure, p.Began}, {end, p.Ended}} {
		if at.call == nil {
			continue
		}
		select {
		case <-time.After(time.Until(at.time)):
			at.call()
		case <-ctx.Done():
			return
		}
	}
}

// writer is one connection.
type writer struct {
	load         *Produce
	conn         net.Conn
	in           *bufio.Reader
	frames       [][]byte
	next         uint32
	measure, end time.Time
	requests     int64
	latency      *hdrhistogram.Histogram
	reply        []byte
}

// take reads one reply and counts it if it was due in the time that counts.
func (w *writer) take(due time.Time) error {
	_, body, err := readReply(w.in, w.reply)
	if err != nil {
		return err
	}
	w.reply = body
	if err := checkProduced(body); err != nil {
		return err
	}
	if now := time.Now(); !due.Before(w.measure) && now.Before(w.end) {
		w.requests++
		_ = w.latency.RecordValue(int64(now.Sub(due)))
	}
	return nil
}

func (w *writer) frame() []byte {
	f := w.frames[int(w.next)%len(w.frames)]
	setCorrelation(f, w.next)
	w.next++
	return f
}

// run keeps InFlight requests under way: each reply makes room for the next.
func (w *writer) run(ctx context.Context) error {
	sent := make([]time.Time, w.load.InFlight)
	for i := range sent {
		sent[i] = time.Now()
		if _, err := w.conn.Write(w.frame()); err != nil {
			return err
		}
	}
	for i := 0; ; i = (i + 1) % len(sent) {
		if err := w.take(sent[i]); err != nil {
			return err
		}
		if sent[i] = time.Now(); !sent[i].Before(w.end) || ctx.Err() != nil || w.load.Count > 0 && int(w.next) >= w.load.Count {
			return nil
		}
		if _, err := w.conn.Write(w.frame()); err != nil {
			return err
		}
	}
}

// paced sends each request when it is due.
func (w *writer) paced(ctx context.Context, first time.Time, every time.Duration) error {
	due := make(chan time.Time, 1<<16)
	failed := make(chan error, 1)
	go func() {
		var err error
		for d := range due {
			if err = w.take(d); err != nil {
				w.conn.Close()
				break
			}
		}
		failed <- err
		for range due { // let the sender go on to its end
		}
	}()
	var err error
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for d := first; d.Before(w.end) && err == nil; d = d.Add(every) {
		if wait := time.Until(d); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				err = ctx.Err()
				continue
			}
		}
		due <- d
		_, err = w.conn.Write(w.frame())
	}
	close(due)
	return errors.Join(<-failed, err)
}
