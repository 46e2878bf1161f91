package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type producerFlags struct {
	*Flags
	connection                               *Connection
	topic, sync, codec, reader               *Flag
	readerProperty, readerConfig, property   *Flag
	linger, acks, requestTimeout, maxBlock   *Flag
	retries, retryBackoff, expiry            *Flag
	bufferMemory, batchSize, partitionMemory *Flag
	socketBuffer                             *Flag
}

func consoleProducerCommand() Command {
	return Command{
		Name: "console-producer", Script: "kafka-console-producer", Summary: "Send each line of standard input to a topic.",
		Build: buildConsoleProducer,
	}
}

func buildConsoleProducer(flags *Flags) Action {
	flags.About = "This tool helps to read data from standard input and publish it to Kafka.\nEvery line is one record and is sent at once. Lines without a key go to the partitions in turn."
	flags.Examples = []string{
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders --reader-property parse.key=true --reader-property key.separator=:",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders --reader-property parse.headers=true",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders --compression-codec zstd --sync < lines.txt",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders --command-property partitioner.class=org.apache.kafka.clients.producer.UniformStickyPartitioner",
	}
	f := &producerFlags{Flags: flags, connection: flags.Connection("producer.config")}
	f.Alias(f.connection.Bootstrap, "broker-list")
	f.topic = f.String("topic", "topic", "REQUIRED: The topic to send to.")
	f.property = f.String("command-property", "key=value", "A setting of the producer, for example partitioner.class=... It wins over --command-config. May be repeated.")
	f.Alias(f.property, "producer-property")
	f.readerProperty = f.String("reader-property", "key=value", "How to read a line. May be repeated.\nparse.key=false, parse.headers=false, ignore.error=false,\nkey.separator=\\t, headers.delimiter=\\t, headers.separator=',', headers.key.separator=':',\nnull.marker= (a key, value or header value equal to it becomes null).\nWith both: h1:v1,h2:v2<TAB>key<TAB>value")
	f.Alias(f.readerProperty, "property")
	f.readerConfig = f.String("reader-config", "file", "A properties file with what --reader-property can say.")
	f.reader = f.String("line-reader", "class", "What reads the lines; there is only the default.").Default("org.apache.kafka.tools.LineMessageReader")
	f.sync = f.Switch("sync", "Wait for each record's acknowledgement before the next line is read.")
	f.codec = f.String("compression-codec", "codec", "none, gzip, snappy, lz4 or zstd; gzip if no value is given.").OptionalArg()
	f.acks = f.String("request-required-acks", "acks", "Who has to have a record before it counts as sent: all (or -1), 1 (the leader), 0 (nobody).").Default("-1")
	f.linger = f.Long("timeout", "ms", "How long a record may wait for others to share its batch (linger.ms). Without this option a line is sent at once.")
	f.requestTimeout = f.Int("request-timeout-ms", "ms", "How long the broker may wait for the acknowledgements of a request.").Default("1500")
	f.maxBlock = f.Long("max-block-ms", "ms", "How long to wait for the topic to be known (max.block.ms).").Default("60000")
	f.retries = f.Int("message-send-max-retries", "number", "How often a record is sent again before it is given up (retries). Without this option: until delivery.timeout.ms.")
	f.retryBackoff = f.Long("retry-backoff-ms", "ms", "The pause before a retry (retry.backoff.ms).").Default("100")
	f.expiry = f.Long("metadata-expiry-ms", "ms", "How old metadata may get (metadata.max.age.ms).").Default("300000")
	f.bufferMemory = f.Long("max-memory-bytes", "bytes", "How much memory waiting records may take (buffer.memory).").Default("33554432")
	f.batchSize = f.Int("batch-size", "bytes", "Accepted as Kafka accepts it (batch.size); a batch here closes when it is sent.").Default("16384")
	f.partitionMemory = f.Int("max-partition-memory-bytes", "bytes", "Accepted as Kafka accepts it (batch.size, deprecated).").Default("16384")
	f.socketBuffer = f.Int("socket-buffer-size", "bytes", "Accepted as Kafka accepts it (send.buffer.bytes).").Default("102400")
	return f.run
}

// properties are the producer's settings: file, then --command-property, then the options of the tool, as Kafka
// merges them.
func (f *producerFlags) properties() (map[string]string, error) {
	props, err := f.connection.Properties()
	if err != nil {
		return nil, err
	}
	maps.Copy(props, KeyValues(f.property.Values()))
	for key, flag := range map[string]*Flag{
		"acks": f.acks, "linger.ms": f.linger, "max.block.ms": f.maxBlock, "retries": f.retries,
		"retry.backoff.ms": f.retryBackoff, "metadata.max.age.ms": f.expiry, "buffer.memory": f.bufferMemory,
	} {
		if _, set := props[key]; flag.Has() && (flag.Seen() || !set) {
			props[key] = flag.Value()
		}
	}
	if f.requestTimeout.Seen() {
		props["request.timeout.ms"] = f.requestTimeout.Value()
	}
	if f.codec.Seen() {
		props["compression.type"] = f.codec.Value()
		if f.codec.Value() == "" {
			props["compression.type"] = "gzip"
		}
	}
	if props["client.id"] == "" {
		props["client.id"] = "console-producer"
	}
	return props, nil
}

// producerOptions turn a producer's settings into a client's. The names and values are Kafka's.
func producerOptions(props map[string]string) ([]kgo.Opt, error) {
	partitioner, err := partitionerFor(props)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.RecordPartitioner(partitioner), kgo.AllowAutoTopicCreation()}
	switch codec := strings.TrimSpace(props["compression.type"]); codec {
	case "", "none":
		opts = append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	case "gzip":
		opts = append(opts, kgo.ProducerBatchCompression(kgo.GzipCompression()))
	case "snappy":
		opts = append(opts, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	case "lz4":
		opts = append(opts, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	case "zstd":
		opts = append(opts, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	default:
		return nil, badValue("compression.type", codec, "none, gzip, snappy, lz4, zstd")
	}
	idempotent := !strings.EqualFold(props["enable.idempotence"], "false")
	switch acks := strings.TrimSpace(props["acks"]); acks {
	case "", "all", "-1":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts, idempotent = append(opts, kgo.RequiredAcks(kgo.LeaderAck())), false
	case "0":
		opts, idempotent = append(opts, kgo.RequiredAcks(kgo.NoAck())), false
	default:
		return nil, badValue("acks", acks, "all, -1, 0, 1")
	}
	if !idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	for key, use := range map[string]func(int64) kgo.Opt{
		"linger.ms":           func(n int64) kgo.Opt { return kgo.ProducerLinger(time.Duration(n) * time.Millisecond) },
		"retries":             func(n int64) kgo.Opt { return kgo.RecordRetries(int(n)) },
		"delivery.timeout.ms": func(n int64) kgo.Opt { return kgo.RecordDeliveryTimeout(time.Duration(n) * time.Millisecond) },
		"request.timeout.ms":  func(n int64) kgo.Opt { return kgo.ProduceRequestTimeout(time.Duration(n) * time.Millisecond) },
		"max.request.size":    func(n int64) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) },
		"buffer.memory":       func(n int64) kgo.Opt { return kgo.MaxBufferedBytes(int(n)) },
		"retry.backoff.ms": func(n int64) kgo.Opt {
			return kgo.RetryBackoffFn(func(int) time.Duration { return time.Duration(n) * time.Millisecond })
		},
	} {
		text, set := props[key]
		if !set {
			text = map[string]string{"delivery.timeout.ms": "120000", "max.request.size": "1048576", "linger.ms": "0"}[key]
		}
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return nil, badValue(key, text, "a number, 0 or more")
		}
		opts = append(opts, use(n))
	}
	return opts, nil
}

func badValue(key, value, valid string) error {
	return fmt.Errorf("Invalid value %s for configuration %s: must be one of: %s", value, key, valid) //nolint:staticcheck // Kafka's words
}

func (f *producerFlags) run(ctx context.Context, io IO) error {
	if err := Require(f.topic); err != nil {
		return err
	}
	if _, err := parseBootstrap(f.connection.Bootstrap.Value()); err != nil {
		return Usagef("%v", err)
	}
	switch f.reader.Value() {
	case "org.apache.kafka.tools.LineMessageReader", "kafka.tools.ConsoleProducer$LineMessageReader":
	default:
		return fmt.Errorf("--line-reader %s: a Java class cannot be loaded here; leave the option out to read line by line", f.reader.Value())
	}
	props, err := f.properties()
	if err != nil {
		return err
	}
	opts, err := producerOptions(props)
	if err != nil {
		return err
	}
	maxBlock, err := durationProperty(props, "max.block.ms", time.Minute)
	if err != nil {
		return err
	}
	readerProps := map[string]string{}
	if f.readerConfig.Seen() {
		if readerProps, err = LoadProperties(f.readerConfig.Value()); err != nil {
			return err
		}
	}
	reader, err := newLineReader(io.In, f.topic.Value(), merge(readerProps, KeyValues(f.readerProperty.Values())), prompter(io))
	if err != nil {
		return err
	}
	// A producer waits for its brokers as long as max.block.ms says.
	props["default.api.timeout.ms"] = strconv.FormatInt(maxBlock.Milliseconds(), 10)
	client, err := NewClient(io, f.connection.Bootstrap.Value(), props, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	p := &consoleProducer{Client: client, io: io, sync: f.sync.Seen(), maxBlock: maxBlock}
	return p.run(ctx, f.topic.Value(), reader)
}

// prompter prints Kafka's prompt if a person sits in front of the tool.
func prompter(io IO) func() {
	if !isTerminal(io.In) || !isTerminal(io.Out) {
		return func() {}
	}
	return func() { fmt.Fprint(io.Out, ">") }
}

type consoleProducer struct {
	*kgo.Client
	io       IO
	sync     bool
	maxBlock time.Duration

	mu sync.Mutex // guards io.Err
}

// interrupted is the exit code of a program that Ctrl-C ended.
const interrupted = 130

func (p *consoleProducer) run(ctx context.Context, topic string, reader *lineReader) error {
	type line struct {
		record *kgo.Record
		err    error
	}
	// Reading from a terminal cannot be called off, so it has a goroutine of its own, which ends with the input, or
	// with the process after Ctrl-C.
	lines := make(chan line)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		for {
			record, err := reader.Next()
			select {
			case lines <- line{record, err}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	known := false
	for {
		var next line
		select {
		case <-ctx.Done():
			return p.finish(Exit(interrupted))
		case next = <-lines:
		}
		if next.err == io.EOF {
			return p.finish(nil)
		}
		if next.err != nil {
			return p.finish(next.err)
		}
		if !known {
			if err := p.waitForTopic(ctx, topic); err != nil {
				return err
			}
			known = true
		}
		if !p.sync {
			p.Produce(ctx, next.record, p.log)
			continue
		}
		if err := p.ProduceSync(ctx, next.record).FirstErr(); err != nil {
			if ctx.Err() != nil {
				return Exit(interrupted)
			}
			return fmt.Errorf("Error when sending message to topic %s: %s", topic, sendError(next.record, err)) //nolint:staticcheck // Kafka's words
		}
	}
}

// finish waits until what was sent is acknowledged.
func (p *consoleProducer) finish(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_ = p.Flush(ctx) // every record that fails is reported by itself
	return err
}

// waitForTopic waits max.block.ms for the topic: brokers make it on demand if they are set to.
func (p *consoleProducer) waitForTopic(ctx context.Context, topic string) error {
	limited, cancel := context.WithTimeout(ctx, p.maxBlock)
	defer cancel()
	_, err := awaitTopic(limited, p.Client, topic, true, p.io)
	switch {
	case ctx.Err() != nil:
		return Exit(interrupted)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("Topic %s not present in metadata after %d ms. Create it, or set auto.create.topics.enable=true on the brokers", topic, p.maxBlock.Milliseconds()) //nolint:staticcheck // Kafka's words
	}
	return err
}

func (p *consoleProducer) warn(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.io.Err, format, args...)
}

// log reports a record that could not be sent, as Kafka's tool does: on standard error, and goes on.
func (p *consoleProducer) log(r *kgo.Record, err error) {
	if err == nil {
		return
	}
	size := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%d bytes", len(b))
	}
	p.warn("ERROR Error when sending message to topic %s with key: %s, value: %s with error: %s\n", r.Topic, size(r.Key), size(r.Value), sendError(r, err))
}

// sendError adds to Kafka's text what to change.
func sendError(r *kgo.Record, err error) string {
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		return "The record is larger than max.request.size (--command-property max.request.size=...) or than the topic's max.message.bytes allows."
	case errors.Is(err, kerr.InvalidRecord) && r.Key == nil:
		return KafkaMessage(err, nil) + " It has no key, which a topic with cleanup.policy=compact demands (--reader-property parse.key=true)."
	}
	return KafkaMessage(err, nil)
}
