package cases

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/test/reference"
)

// Clients are the cases of the clients that people use. They take more processor time than the servers, so that their own
// speed is most of what is seen.
func Clients() []harness.Case {
	write := harness.Workload{Partitions: 3, Records: 1, RecordBytes: clientRecord, Acks: -1}
	show := []string{harness.CPUperGB, harness.ClientGB, harness.RSS}
	perf := []string{harness.CPUperGB, harness.P50, harness.P99, harness.RSS}
	return []harness.Case{
		{Name: "franz-produce", Title: "franz-go producing records of 1 KB, acks=all, idempotent", Workload: write, Measure: franzProduce, Main: harness.MBps, Show: show},
		{Name: "franz-fetch", Title: "franz-go reading 3 x 150 MB in records of 1 KB", Workload: write, Measure: franzFetch, Main: harness.MBps, Show: show},
		{Name: "perf-produce", Title: "Kafka's kafka-producer-perf-test, 300,000 records of 1 KB, acks=all", Workload: write, Measure: perfProduce(kafkaPerf), Main: harness.MBps, Show: perf},
		{Name: "perf-fetch", Title: "Kafka's kafka-consumer-perf-test, 450,000 records of 1 KB", Workload: write, Measure: perfFetch(kafkaPerf), Main: harness.MBps, Show: show},
		{Name: "ours-produce", Title: "our kafka-producer-perf-test, 300,000 records of 1 KB, acks=all", Workload: write, Measure: perfProduce(ourPerf), Main: harness.MBps, Show: perf},
		{Name: "ours-fetch", Title: "our kafka-consumer-perf-test, 450,000 records of 1 KB", Workload: write, Measure: perfFetch(ourPerf), Main: harness.MBps, Show: show},
	}
}

const (
	clientRecord  = 1000
	perfRecords   = 300_000
	readRecords   = 450_000 // of all partitions
	readPerBatch  = 15
	producerBytes = 16384 // batch.size, Kafka's default
)

// speaksAll says whether a server has more of the protocol than the limit server has.
func speaksAll(t *harness.Target) error {
	if t.Server == harness.LimitName {
		return harness.ErrNotThisOne
	}
	return nil
}

func franzProduce(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	if err := speaksAll(t); err != nil {
		return nil, err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(t.Addrs()...), kgo.DefaultProduceTopic(t.Topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var acked atomic.Int64
	value := load.Random(clientRecord)
	write := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
			c.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					cancel(err)
					return
				}
				acked.Add(1)
			})
		}
	}
	write(t.Warmup)
	before, stop := acked.Load(), t.Measured()
	write(t.Time)
	u := stop()
	records := acked.Load() - before
	if err := c.Flush(ctx); err != nil {
		return nil, context.Cause(ctx)
	}
	return clientFigures(records, u, u.Elapsed), nil
}

func clientFigures(records int64, u harness.Usage, took time.Duration) harness.Figures {
	bytes := records * clientRecord
	return harness.Figures{harness.MBps: float64(bytes) / 1e6 / took.Seconds()}.Add(u.Figures(0, bytes))
}

// fill writes what the readers read.
func fill(ctx context.Context, t *harness.Target) error {
	p := producer(t, t.Topic)
	return load.Fill(ctx, t.Topic, p.Addrs, load.Batch(readPerBatch, clientRecord, time.Now().UnixMilli()), readRecords/readPerBatch/len(p.Addrs))
}

func franzFetch(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	if err := speaksAll(t); err != nil {
		return nil, err
	}
	if err := fill(ctx, t); err != nil {
		return nil, err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(t.Addrs()...), kgo.ConsumeTopics(t.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := t.Measured()
	for records := 0; records < readRecords; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		records += fetches.NumRecords()
	}
	u := stop()
	return clientFigures(readRecords, u, u.Elapsed), nil
}

// perfTool is a way to run one of the perf tools.
type perfTool func(ctx context.Context, t *harness.Target, name string, args ...string) (*exec.Cmd, error)

func kafkaPerf(ctx context.Context, _ *harness.Target, name string, args ...string) (*exec.Cmd, error) {
	k, err := reference.Fetch(ctx, reference.Version)
	if err != nil {
		return nil, err
	}
	return k.FastTool(ctx, "512M", name, args...)
}

func ourPerf(ctx context.Context, t *harness.Target, name string, args ...string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, t.Options.Binary, append([]string{name}, args...)...), nil
}

func perfProduce(tool perfTool) func(context.Context, *harness.Target) (harness.Figures, error) {
	return func(ctx context.Context, t *harness.Target) (harness.Figures, error) {
		out, u, err := runPerf(ctx, t, tool, "producer-perf-test", "--topic", t.Topic, "--num-records", strconv.Itoa(perfRecords), "--record-size", strconv.Itoa(clientRecord),
			"--throughput", "-1", "--producer-props", "bootstrap.servers="+t.Addrs()[0], "acks=all", "batch.size="+strconv.Itoa(producerBytes))
		if err != nil {
			return nil, err
		}
		f, err := producerFigures(out)
		if err != nil {
			return nil, err
		}
		return f.Add(u.Figures(0, perfRecords*clientRecord)), nil
	}
}

func perfFetch(tool perfTool) func(context.Context, *harness.Target) (harness.Figures, error) {
	return func(ctx context.Context, t *harness.Target) (harness.Figures, error) {
		if err := speaksAll(t); err != nil {
			return nil, err
		}
		if err := fill(ctx, t); err != nil {
			return nil, err
		}
		out, u, err := runPerf(ctx, t, tool, "consumer-perf-test", "--bootstrap-server", t.Addrs()[0], "--topic", t.Topic, "--messages", strconv.Itoa(readRecords), "--timeout", "20000")
		if err != nil {
			return nil, err
		}
		f, err := consumerFigures(out)
		if err != nil {
			return nil, err
		}
		return f.Add(u.Figures(0, readRecords*clientRecord)), nil
	}
}

// runPerf runs a tool to its end. The client's processor time is the tool's.
func runPerf(ctx context.Context, t *harness.Target, tool perfTool, name string, args ...string) (string, harness.Usage, error) {
	if err := speaksAll(t); err != nil {
		return "", harness.Usage{}, err
	}
	cmd, err := tool(ctx, t, name, args...)
	if err != nil {
		return "", harness.Usage{}, err
	}
	stop := t.Measured()
	out, err := cmd.Output()
	u := stop()
	if err != nil {
		return "", u, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	u.Client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return string(out), u, nil
}
