package cli

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type consumerFlags struct {
	*Flags
	connection                                           *Connection
	topic, include, partition, offset, fromBeginning     *Flag
	maxMessages, timeout, skipErrors, group, isolation   *Flag
	formatter, formatterProperty, formatterConfig        *Flag
	keyDeserializer, valueDeserializer, property, events *Flag
}

func consoleConsumerCommand() Command {
	return Command{
		Name: "console-consumer", Script: "kafka-console-consumer", Summary: "Print the records of topics.",
		Build: buildConsoleConsumer,
	}
}

func buildConsoleConsumer(flags *Flags) Action {
	flags.About = "This tool helps to read data from Kafka topics and outputs it to standard output.\nIt ends with Ctrl-C, after --max-messages records, or when --timeout-ms passed without one."
	flags.Examples = []string{
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic orders --from-beginning",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic orders --group billing",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic orders --partition 0 --offset 100 --max-messages 10",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic orders --from-beginning --timeout-ms 1000 --formatter-property print.key=true --formatter-property print.partition=true",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --include 'orders-.*'",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic __consumer_offsets --from-beginning --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter",
	}
	f := &consumerFlags{Flags: flags, connection: flags.Connection("consumer.config")}
	f.topic = f.String("topic", "topic", "The topic to read.")
	f.include = f.String("include", "regex", "A regular expression for the topics to read.")
	f.Alias(f.include, "whitelist")
	f.partition = f.Int("partition", "partition", "Read only this partition, without a group; from its end unless --offset or --from-beginning says otherwise.")
	f.offset = f.String("offset", "offset", "With --partition: where to begin: an offset, earliest, or latest.").Default("latest")
	f.fromBeginning = f.Switch("from-beginning", "Begin with the earliest record if the group has committed no offset.")
	f.group = f.String("group", "group id", "The consumer group to join. Its offsets are committed. Without it a group of its own, that commits nothing, is made.")
	f.maxMessages = f.Int("max-messages", "number", "End after so many records.")
	f.timeout = f.Long("timeout-ms", "ms", "End when no record comes for so long.")
	f.skipErrors = f.Switch("skip-message-on-error", "Pass over a record that cannot be printed, instead of ending.")
	f.isolation = f.String("isolation-level", "level", "read_uncommitted, or read_committed to leave out records of transactions that are not committed.").Default("read_uncommitted")
	f.property = f.String("command-property", "key=value", "A setting of the consumer. It wins over --command-config. May be repeated.")
	f.Alias(f.property, "consumer-property")
	f.formatter = f.String("formatter", "class", "How to print a record: DefaultMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter, OffsetsMessageFormatter or GroupMetadataMessageFormatter of org.apache.kafka.tools.consumer.").Default("org.apache.kafka.tools.consumer.DefaultMessageFormatter")
	f.formatterProperty = f.String("formatter-property", "key=value", "What to print. May be repeated.\nprint.timestamp, print.partition, print.offset, print.headers, print.key, print.value=true|false,\nkey.separator, line.separator, headers.separator, null.literal,\nkey.deserializer, value.deserializer, headers.deserializer=class")
	f.Alias(f.formatterProperty, "property")
	f.formatterConfig = f.String("formatter-config", "file", "A properties file with what --formatter-property can say.")
	f.keyDeserializer = f.String("key-deserializer", "class", "The form of keys, for example org.apache.kafka.common.serialization.LongDeserializer.")
	f.valueDeserializer = f.String("value-deserializer", "class", "The form of values.")
	f.events = f.Switch("enable-systest-events", "Print shutdown_complete at the end (for Kafka's system tests).")
	return f.run
}

func (f *consumerFlags) check() error {
	switch {
	case f.topic.Seen() == f.include.Seen():
		return Usagef("Exactly one of the following arguments is required: [topic], [include]")
	case f.partition.Seen() && !f.topic.Seen():
		return Usagef("The topic is required when partition is specified.")
	case f.partition.Seen() && f.fromBeginning.Seen() && f.offset.Seen():
		return Usagef("Options from-beginning and offset cannot be specified together.")
	case !f.partition.Seen() && f.offset.Seen():
		return Usagef("The partition is required when offset is specified.")
	}
	return Require(f.connection.Bootstrap)
}

// properties are the consumer's settings: file, then --command-property, then the options of the tool, as Kafka
// merges them.
func (f *consumerFlags) properties() (map[string]string, error) {
	fromFile, err := f.connection.Properties()
	if err != nil {
		return nil, err
	}
	extra := KeyValues(f.property.Values())
	var groups []string
	for _, id := range []string{f.group.Value(), fromFile["group.id"], extra["group.id"]} {
		if id != "" && (len(groups) == 0 || groups[len(groups)-1] != id) {
			groups = append(groups, id)
		}
	}
	if len(groups) > 1 {
		return nil, Usagef("The group ids provided in different places (directly using '--group', via '--command-property', or via '--command-config') do not match. Detected group ids: '%s'", strings.Join(groups, "', '"))
	}
	if len(groups) > 0 && f.partition.Seen() {
		return nil, Usagef("Options group and partition cannot be specified together.")
	}
	props := merge(fromFile, extra)
	if explicit, set := props["auto.offset.reset"]; !set {
		props["auto.offset.reset"] = "latest"
		if f.fromBeginning.Seen() {
			props["auto.offset.reset"] = "earliest"
		}
	} else if f.fromBeginning.Seen() && explicit != "earliest" {
		return nil, fmt.Errorf("Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option", explicit) //nolint:staticcheck // Kafka's words
	}
	if props["client.id"] == "" {
		props["client.id"] = "console-consumer"
	}
	if _, set := props["isolation.level"]; !set || f.isolation.Seen() {
		props["isolation.level"] = f.isolation.Value()
	}
	if len(groups) == 1 {
		props["group.id"] = groups[0]
		return props, nil
	}
	// A group that nobody asked for keeps no offsets.
	props["group.id"] = "console-consumer-" + strconv.Itoa(rand.IntN(100_000))
	if _, set := props["enable.auto.commit"]; !set {
		props["enable.auto.commit"] = "false"
	}
	return props, nil
}

func (f *consumerFlags) formatterFor(io IO) (formatter, error) {
	fromFile := map[string]string{}
	if f.formatterConfig.Seen() {
		var err error
		if fromFile, err = LoadProperties(f.formatterConfig.Value()); err != nil {
			return nil, err
		}
	}
	classes := map[string]string{}
	for key, flag := range map[string]*Flag{"key.deserializer": f.keyDeserializer, "value.deserializer": f.valueDeserializer} {
		if flag.Value() != "" {
			classes[key] = flag.Value()
		}
	}
	return newFormatter(f.formatter.Value(), merge(fromFile, classes, KeyValues(f.formatterProperty.Values())), io.Err)
}

// startOffset is where --partition begins.
func (f *consumerFlags) startOffset() (kgo.Offset, error) {
	text := "latest"
	if f.offset.Seen() {
		text = f.offset.Value()
	} else if f.fromBeginning.Seen() {
		text = "earliest"
	}
	switch strings.ToLower(text) {
	case "earliest":
		return kgo.NewOffset().AtStart(), nil
	case "latest":
		return kgo.NewOffset().AtEnd(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return kgo.Offset{}, Usagef("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", text)
	}
	return kgo.NewOffset().At(n), nil
}

func (f *consumerFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	props, err := f.properties()
	if err != nil {
		return err
	}
	start, err := f.startOffset()
	if err != nil {
		return err
	}
	print, err := f.formatterFor(io)
	if err != nil {
		return err
	}
	c := &consoleConsumer{
		started: make(chan struct{}),
		io:      io, formatter: print, max: -1, skipErrors: f.skipErrors.Seen(), events: f.events.Seen(),
		topic: f.topic.Value(), partition: -1, createTopic: props["allow.auto.create.topics"] != "false", positions: newPositions(),
	}
	if f.maxMessages.Seen() {
		c.max = f.maxMessages.Int()
	}
	if f.timeout.Seen() && f.timeout.Int64() >= 0 {
		c.timeout = milliseconds(f.timeout.Int64())
		c.hasTimeout = true
	}
	opts, err := consumerOptions(props)
	if err != nil {
		return err
	}
	switch {
	case f.partition.Seen():
		c.partition = f.partition.Int()
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {int32(c.partition): start}}))
	case f.topic.Seen():
		opts = append(opts, kgo.ConsumeTopics(c.topic))
	default:
		re := "^(?:" + f.include.Value() + ")$"
		if _, err := regexp.Compile(re); err != nil {
			return Usagef("--include %s is no regular expression: %v", f.include.Value(), err)
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(re))
		if props["exclude.internal.topics"] != "false" {
			opts = append(opts, kgo.ConsumeExcludeTopics("^__consumer_offsets$", "^__transaction_state$", "^__share_group_state$"))
		}
	}
	if !f.partition.Seen() {
		if opts, err = c.joinGroup(opts, props); err != nil {
			return err
		}
	}
	props = maps.Clone(props)
	props["default.api.timeout.ms"] = "0" // a consumer waits for its brokers without end; --timeout-ms ends it
	if c.client, err = NewClient(io, f.connection.Bootstrap.Value(), props, opts...); err != nil {
		return err
	}
	close(c.started)
	ctx, stop := endWithInput(ctx, io)
	defer stop()
	return c.run(ctx)
}

// joinGroup adds what makes the client a member of a group whose offsets are committed as a Java consumer does it:
// every auto.commit.interval.ms, before partitions are given away, and at the end.
func (c *consoleConsumer) joinGroup(opts []kgo.Opt, props map[string]string) ([]kgo.Opt, error) {
	more, err := groupOptions(props)
	if err != nil {
		return nil, err
	}
	opts = append(opts, more...)
	reset, err := parseReset(props["auto.offset.reset"])
	if err != nil {
		return nil, err
	}
	c.autoCommit = !strings.EqualFold(props["enable.auto.commit"], "false")
	if c.commitEvery, err = durationProperty(props, "auto.commit.interval.ms", 5*time.Second); err != nil {
		return nil, err
	}
	committedOnly := strings.EqualFold(props["isolation.level"], "read_committed")
	return append(opts,
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			select {
			case <-c.started:
				return c.positions.adjust(ctx, c.client, reset, committedOnly, offsets), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
			c.commit(ctx, client)
			c.positions.revoke(partitions)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			c.positions.lose(partitions)
		}),
	), nil
}
