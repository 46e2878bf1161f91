package cases

import (
	"context"
	"fmt"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/internal/record"
)

// Produce are the cases that only write.
func Produce() []harness.Case {
	one := harness.Workload{Partitions: 1, Conns: 32, InFlight: 1, Records: 1, RecordBytes: 100, Acks: -1}
	flush := one
	flush.Flush = true
	cases := []harness.Case{
		{Name: "large", Title: "large batches: 128 x 1 KB, acks=all, 3 partitions",
			Workload: harness.Workload{Partitions: 3, Conns: 3, InFlight: 5, Records: 128, RecordBytes: 1000, Acks: -1},
			Measure:  produce, Main: harness.MBps, Show: []string{harness.CPUperGB, harness.ClientGB, harness.MachineGB, harness.P50, harness.P99, harness.RSS}},
		{Name: "small", Title: "small requests: one record of 100 bytes, 16 connections, 8 in flight",
			Workload: harness.Workload{Partitions: 3, Conns: 16, InFlight: 8, Records: 1, RecordBytes: 100, Acks: -1},
			Measure:  produce, Main: harness.Requests, Show: []string{harness.CPUperM, harness.ClientM, harness.P50, harness.P99, harness.RSS}},
		{Name: "flush", Title: "flush before acknowledge: 32 connections, one record each", Workload: flush, Config: harness.Config{Flush: true},
			Measure: produce, Main: harness.Requests, Show: []string{harness.CPUperM, harness.ClientM, harness.P50, harness.P99}},
		{Name: "noflush", Title: "the same, flushed by the system when it likes", Workload: one,
			Measure: produce, Main: harness.Requests, Show: []string{harness.CPUperM, harness.ClientM, harness.P50, harness.P99}},
	}
	for _, codec := range []record.Codec{record.LZ4, record.Zstd} {
		cases = append(cases, harness.Case{Name: codec.String(), Title: fmt.Sprintf("compressed batches: 128 x 1 KB of text, %v, acks=all, 3 partitions", codec),
			Workload: harness.Workload{Partitions: 3, Conns: 2, InFlight: 5, Records: 128, RecordBytes: 1000, Codec: codec.String(), Acks: -1},
			Measure:  produce, Main: harness.Requests, Show: []string{harness.MBps, harness.CPUperM, harness.ClientM, harness.P50, harness.P99, harness.RSS}})
	}
	return cases
}

// producer is the load of a workload on a topic.
func producer(t *harness.Target, topic string) *load.Produce {
	w := t.Case.Workload
	nowMs := time.Now().UnixMilli()
	batch := load.Batch(w.Records, w.RecordBytes, nowMs)
	if codec, err := record.ParseCodec(w.Codec); err == nil && codec != record.None {
		batch = load.Compressed(codec, w.Records, w.RecordBytes, nowMs)
	}
	p := &load.Produce{Topic: topic, Acks: int16(w.Acks), Batch: batch, PerBatch: w.Records,
		Conns: w.Conns, InFlight: w.InFlight, PerSecond: w.PerSecond, Spin: w.Spin, Warmup: t.Warmup, Time: t.Time}
	for range w.Partitions {
		p.Addrs = append(p.Addrs, t.Addrs()[0])
	}
	return p
}

func produce(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	return measured(ctx, t, producer(t, t.Topic))
}

// measured makes a load, and gives its figures.
func measured(ctx context.Context, t *harness.Target, p *load.Produce) (harness.Figures, error) {
	var stop func() harness.Usage
	var used harness.Usage
	p.Began, p.Ended = func() { stop = t.Measured() }, func() { used = stop() }
	r, err := p.Run(ctx)
	if err != nil {
		return nil, err
	}
	return harness.OfLoad(r).Add(used.Figures(r.Requests, r.Bytes)), nil
}
