package cases

import (
	"context"
	"fmt"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
)

// filledBytes of each partition are there before something is read: less than what a topic keeps.
const filledBytes = 150_000_000

// Fetch are the cases that read.
func Fetch() []harness.Case {
	read := harness.Workload{Partitions: 3, Records: 128, RecordBytes: 1000, Acks: -1, Readers: 1, MaxWait: 500 * time.Millisecond}
	fetchShow := []string{harness.CPUperGB, harness.ClientGB, harness.MachineGB, harness.RSS}
	cases := []harness.Case{
		{Name: "fetch", Title: "fetch from the start: 3 partitions, a reader each, replies of 1 MB", Workload: read,
			Measure: fetchCopied, Main: harness.MBps, Show: fetchShow},
		{Name: "fetch-discard", Title: "the same, the readers' kernel throws the records away", Workload: read,
			Measure: fetchDiscarded, Main: harness.MBps, Show: fetchShow},
	}
	for _, tail := range []struct{ readers, perSecond int }{{1, 5000}, {10, 1000}, {100, 100}} {
		cases = append(cases, harness.Case{Name: fmt.Sprintf("tail-%d", tail.readers),
			Title: fmt.Sprintf("at the tail: %d records a second of 1 KB each, read by %d", tail.perSecond, tail.readers),
			Workload: harness.Workload{Partitions: 1, Conns: 4, InFlight: 1, Records: 1, RecordBytes: 1000, Acks: -1, PerSecond: tail.perSecond,
				Readers: tail.readers, MaxWait: 500 * time.Millisecond},
			Measure: follow, Main: harness.Deliver50,
			Show: []string{harness.Deliver99, harness.Deliver999, CPUperDelivery, harness.ClientM, harness.P50, harness.P99}})
	}
	return append(cases,
		harness.Case{Name: "mixed", Title: "production and consumption at once: 128 x 1 KB, 3 partitions, a reader each",
			Workload: harness.Workload{Partitions: 3, Conns: 2, InFlight: 5, Records: 128, RecordBytes: 1000, Acks: -1, Readers: 1, MaxWait: 500 * time.Millisecond, Keep: 1 << 30},
			Measure:  follow, Touch: 3000, Main: harness.MBps, Show: []string{harness.ReadMBps, harness.CPUperGB, harness.ClientGB, harness.MachineGB, harness.P50, harness.P99, harness.RSS}},
		harness.Case{Name: "ack", Title: "acknowledgement at a fixed rate: 2,000 records a second of 1 KB, one each request, 8 connections, a client that does not sleep",
			Workload: harness.Workload{Partitions: 3, Conns: 8, InFlight: 1, Records: 1, RecordBytes: 1000, Acks: -1, PerSecond: 2000, Spin: true},
			Measure:  produce, Main: harness.P50, Show: []string{harness.P99, harness.P999, harness.CPUperM, harness.ClientM}},
		harness.Case{Name: "latency", Title: "end to end at a fixed rate: 2,000 records a second of 1 KB, one each request, 8 connections, a reader for each of 3 partitions",
			Workload: harness.Workload{Partitions: 3, Conns: 8, InFlight: 1, Records: 1, RecordBytes: 1000, Acks: -1, PerSecond: 2000, Readers: 1, MaxWait: 500 * time.Millisecond},
			Measure:  follow, Main: harness.Deliver50,
			Show: []string{harness.Deliver99, harness.Deliver999, harness.P50, harness.P99, harness.P999, harness.CPUperM, harness.ClientM}},
	)
}

// CPUperDelivery is what it takes to give a record to one reader, its writing among it.
const CPUperDelivery = "server CPU s/million delivered"

func fetchCopied(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	return fetch(ctx, t, false)
}
func fetchDiscarded(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	return fetch(ctx, t, true)
}

// fetch reads what was written, again and again.
func fetch(ctx context.Context, t *harness.Target, discard bool) (harness.Figures, error) {
	w := t.Case.Workload
	p := producer(t, t.Topic)
	times := filledBytes / len(p.Batch)
	p.Conns, p.InFlight, p.Count, p.Warmup, p.Time = 1, 4, times*w.Partitions, 0, time.Minute
	if _, err := p.Run(ctx); err != nil {
		return nil, fmt.Errorf("write what is read: %w", err)
	}
	f := reader(t, p.Addrs)
	f.To, f.Discard, f.Warmup, f.Time = int64(times*w.Records), discard, t.Warmup, t.Time
	var stop func() harness.Usage
	var used harness.Usage
	f.Began, f.Ended = func() { stop = t.Measured() }, func() { used = stop() }
	r, err := f.Run(ctx)
	if err != nil {
		return nil, err
	}
	return harness.OfLoad(r).Add(used.Figures(r.Requests, r.Bytes)), nil
}

func reader(t *harness.Target, addrs []string) *load.Fetch {
	w := t.Case.Workload
	return &load.Fetch{Addrs: addrs, Topic: t.Topic, Readers: w.Readers, MaxBytes: 1 << 20, MaxWait: w.MaxWait}
}

// follow writes and reads at once.
func follow(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	w := t.Case.Workload
	p := producer(t, t.Topic)
	var stop func() harness.Usage
	var used harness.Usage
	p.Began, p.Ended = func() { stop = t.Measured() }, func() { used = stop() }
	both, err := load.Run(ctx, p, reader(t, p.Addrs))
	if err != nil {
		return nil, err
	}
	f := harness.OfLoad(both.Produced).Add(used.Figures(both.Produced.Requests, both.Produced.Bytes))
	f[harness.ReadMBps] = float64(both.Fetched.Bytes) / 1e6 / both.Fetched.Elapsed.Seconds()
	f[CPUperDelivery] = used.Server.Seconds() / float64(both.Produced.Records*int64(w.Readers)) * 1e6
	if d := both.Delivered; d.TotalCount() > 0 {
		f.Add(harness.Distribution(harness.Delivered, d))
	}
	return f, nil
}
