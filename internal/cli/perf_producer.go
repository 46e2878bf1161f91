package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/internal/metadata"
)

func producerPerfCommand() Command {
	return Command{
		Name: "producer-perf-test", Script: "kafka-producer-perf-test", Summary: "Measure how fast records can be produced.",
		Build: buildProducerPerf,
	}
}

// producerPerfFlags are the options of kafka-producer-perf-test.
type producerPerfFlags struct {
	*Flags
	bootstrap, topic, records, throughput          *Flag
	recordSize, payloadFile, delimiter, monotonic  *Flag
	props, property, config, commandConfig         *Flag
	printMetrics, transactionalID, transactionTime *Flag
	warmup, interval                               *Flag
}

func buildProducerPerf(flags *Flags) Action {
	flags.About = "This tool is used to verify the producer performance. To enable transactions, specify a transactional id (--transactional-id, or transactional.id as a property) or a duration (--transaction-duration-ms)."
	flags.Examples = []string{
		"kafka-producer-perf-test.sh --bootstrap-server localhost:9092 --topic orders --num-records 1000000 --record-size 100 --throughput -1",
		"kafka-producer-perf-test.sh --bootstrap-server localhost:9092 --topic orders --num-records 100000 --payload-file lines.txt --throughput 5000 --command-property acks=1 compression.type=lz4",
		"kafka-producer-perf-test.sh --bootstrap-server localhost:9092 --topic orders --num-records 100000 --record-size 1000 --throughput -1 --warmup-records 10000 --print-metrics",
	}
	f := &producerPerfFlags{Flags: flags}
	f.bootstrap = f.String("bootstrap-server", "host:port,...", "The brokers to connect to first. It wins over bootstrap.servers among the properties.")
	f.topic = f.String("topic", "topic", "Produce records to this topic.").Required()
	f.records = f.Long("num-records", "number", "How many records to produce.").Required()
	f.throughput = f.Float("throughput", "records/s", "Produce about so many records a second; -1 for no limit.").Required()
	f.recordSize = f.Int("record-size", "bytes", "The size of a record's value, which is random. Give exactly one of --record-size, --payload-file, --payload-monotonic.")
	f.payloadFile = f.String("payload-file", "file", "Take values at random from this file of UTF-8 text.")
	f.monotonic = f.Switch("payload-monotonic", "The values are 0, 1, 2, ...")
	f.delimiter = f.String("payload-delimiter", "text", "What separates the values in --payload-file: a regular expression as in Kafka is not supported, but \\n and \\t are understood.").Default(`\n`)
	f.property = f.String("command-property", "name=value ...", "Settings of the producer, like linger.ms=10 batch.size=32768. They win over the file's.")
	f.props = f.String("producer-props", "name=value ...", "(DEPRECATED) The same as --command-property.")
	f.commandConfig = f.String("command-config", "file", "A properties file with settings of the producer.")
	f.config = f.String("producer.config", "file", "(DEPRECATED) The same as --command-config.")
	f.printMetrics = f.Switch("print-metrics", "Print metrics at the end.")
	f.transactionalID = f.String("transactional-id", "id", "Produce in transactions, with this id.")
	f.transactionTime = f.Long("transaction-duration-ms", "ms", "Commit a transaction after so long; 3000 if a transactional id is given. Without an id a random one is taken.")
	f.warmup = f.Long("warmup-records", "number", "The first so many records do not count in the steady-state statistics, which get a line of their own.").Default("0")
	f.interval = f.Long("reporting-interval", "ms", "How often to print progress.").Default("5000")
	return f.run
}

// properties are those of the file, then of --command-property, then --bootstrap-server.
func (f *producerPerfFlags) properties(io IO) (map[string]string, error) {
	switch {
	case f.property.Seen() && f.props.Seen():
		return nil, Usagef("--command-property and --producer-props cannot be specified together.")
	case f.commandConfig.Seen() && f.config.Seen():
		return nil, Usagef("--command-config and --producer.config cannot be specified together.")
	case !f.bootstrap.Seen() && !f.property.Seen() && !f.props.Seen() && !f.config.Seen() && !f.commandConfig.Seen():
		return nil, Usagef("At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.")
	}
	if f.props.Seen() {
		fmt.Fprintln(io.Out, "Option --producer-props has been deprecated and will be removed in a future version. Use --command-property instead.")
	}
	if f.config.Seen() {
		fmt.Fprintln(io.Out, "Option --producer.config has been deprecated and will be removed in a future version. Use --command-config instead.")
	}
	props := map[string]string{}
	if file := f.commandConfig.Value() + f.config.Value(); file != "" {
		var err error
		if props, err = LoadProperties(file); err != nil {
			return nil, err
		}
	}
	// One option takes several words: all but the first of them are left over.
	words := append(append(f.property.Values(), f.props.Values()...), f.Rest...)
	for _, word := range words {
		if strings.Count(word, "=") != 1 || strings.HasPrefix(word, "=") {
			return nil, Usagef("Invalid property: %s", word)
		}
	}
	maps.Copy(props, KeyValues(words))
	if f.bootstrap.Seen() {
		props["bootstrap.servers"] = f.bootstrap.Value()
	}
	for key, value := range map[string]string{"client.id": "perf-producer-client", "linger.ms": "5", "buffer.memory": "33554432", "partitioner.class": ""} {
		if _, set := props[key]; !set {
			props[key] = value
		}
	}
	return props, nil
}

func (f *producerPerfFlags) check() error {
	if !ExactlyOne(f.recordSize, f.payloadFile, f.monotonic) {
		return Usagef("Exactly one of --record-size, --payload-file or --payload-monotonic is required.")
	}
	for _, g := range []*Flag{f.records, f.recordSize, f.transactionTime, f.interval} {
		if g.Seen() && g.Int64() <= 0 {
			return Usagef("--%s should be greater than zero.", g.Name())
		}
	}
	if f.warmup.Int64() < 0 || f.warmup.Int64() >= f.records.Int64() {
		return Usagef("The value for --warmup-records must be between 0 (inclusive) and the number of records to produce, --num-records (exclusive).")
	}
	return nil
}

func (f *producerPerfFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	props, err := f.properties(io)
	if err != nil {
		return err
	}
	payloads, err := f.payloads(io)
	if err != nil {
		return err
	}
	opts, err := producerOptions(props)
	if err != nil {
		return err
	}
	// The client counts records where Kafka's counts bytes only, and has no batch.size: a batch may be as large as a
	// request allows, unless batch.size is given.
	opts = append(opts, kgo.MaxBufferedRecords(1<<30))
	if text, set := props["batch.size"]; set {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return badValue("batch.size", text, "a number, 0 or more")
		}
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(max(int(n), payloads.largest()+1024))))
	}
	id, duration := f.transaction(props)
	if id != "" {
		opts = append(opts, kgo.TransactionalID(id))
	}
	metrics := &perfMetrics{}
	if f.printMetrics.Seen() {
		opts = append(opts, kgo.WithHooks(metrics))
	}
	client, err := NewClient(io, props["bootstrap.servers"], props, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if f.warmup.Int64() > 0 {
		fmt.Fprintf(io.Out, "Warmup first %d records. Steady state results will print after the complete test summary.\n", f.warmup.Int64())
	}
	p := &producerPerf{
		client: client, io: io, topic: f.topic.Value(), records: f.records.Int64(), warmup: f.warmup.Int64(), rate: f.throughput.Float(),
		interval: milliseconds(f.interval.Int64()), transaction: duration, payloads: payloads, transactional: id != "",
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	if f.printMetrics.Seen() {
		metrics.print(io.Out, "producer-metrics", props["client.id"])
	}
	return nil
}

// transaction is the transactional id, "" for none, and how long a transaction lasts.
func (f *producerPerfFlags) transaction(props map[string]string) (id string, duration time.Duration) {
	id, duration = props["transactional.id"], 3*time.Second
	if f.transactionalID.Seen() {
		id = f.transactionalID.Value()
	}
	if f.transactionTime.Seen() {
		duration = milliseconds(f.transactionTime.Int64())
		if id == "" {
			id = "performance-producer-" + metadata.NewUUID().String()
		}
	}
	return id, duration
}

// producerPerf is one run.
type producerPerf struct {
	client                *kgo.Client
	io                    IO
	topic                 string
	records, warmup       int64
	rate                  float64
	interval, transaction time.Duration
	transactional         bool
	payloads              *payloads
	all, steady           *perfStats

	mu     sync.Mutex
	failed map[string]int64 // how often by error
}

func (p *producerPerf) run(ctx context.Context) error {
	p.failed = map[string]int64{}
	start := time.Now()
	p.all = newPerfStats(p.io.Out, p.records, p.interval, false, start)
	limit := throttle{p.rate, start}
	var begun time.Time // of the open transaction; zero: none is open
	for i := range p.records {
		if p.transactional && begun.IsZero() {
			if err := p.client.BeginTransaction(); err != nil {
				return err
			}
			begun = time.Now()
		}
		if i == p.warmup && p.warmup > 0 {
			p.steady = newPerfStats(p.io.Out, p.records-p.warmup, p.interval, true, time.Now())
			p.all.silence()
		}
		p.send(ctx, p.payloads.next(i), p.steady)
		now := time.Now()
		if p.transactional && now.Sub(begun) >= p.transaction {
			if err := p.commit(ctx); err != nil {
				return err
			}
			begun = time.Time{}
		}
		if d := limit.wait(i, now); d > 0 && i+1 < p.records {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return p.finish(ctx, !begun.IsZero())
}

func (p *producerPerf) send(ctx context.Context, value []byte, steady *perfStats) {
	sent := time.Now()
	size := len(value)
	p.client.Produce(ctx, &kgo.Record{Topic: p.topic, Value: value}, func(_ *kgo.Record, err error) {
		now := time.Now()
		p.payloads.release(value)
		if err != nil {
			p.fail(err)
			return
		}
		p.all.record(now.Sub(sent), size, now)
		if steady != nil {
			steady.record(now.Sub(sent), size, now)
		}
	})
}

// fail reports an error the first time it occurs: a broker that refuses one record mostly refuses all.
func (p *producerPerf) fail(err error) {
	text := explain(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed[text]++; p.failed[text] == 1 && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(p.io.Err, text)
	}
}

func (p *producerPerf) commit(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return p.client.EndTransaction(ctx, kgo.TryCommit)
}

func (p *producerPerf) finish(ctx context.Context, open bool) error {
	if ctx.Err() == nil {
		if err := p.client.Flush(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if open && ctx.Err() == nil {
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	p.all.printTotal(now)
	if p.steady != nil {
		p.steady.printTotal(now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for text, n := range p.failed {
		if n > 1 {
			fmt.Fprintf(p.io.Err, "%d records failed with: %s\n", n, text)
		}
	}
	switch {
	case ctx.Err() != nil:
		return Exit(interrupted)
	case len(p.failed) > 0 && p.all.count == 0:
		return Exit(1)
	}
	return nil
}
