package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func consumerPerfCommand() Command {
	return Command{
		Name: "consumer-perf-test", Script: "kafka-consumer-perf-test", Summary: "Measure how fast records can be consumed.",
		Build: buildConsumerPerf,
	}
}

// consumerPerfFlags are the options of kafka-consumer-perf-test.
type consumerPerfFlags struct {
	*Flags
	connection                              *Connection
	topic, include, group                   *Flag
	records, messages, timeout, interval    *Flag
	fetchSize, fromLatest, socketBuffer     *Flag
	property                                *Flag
	detailed, hideHeader, metrics, dateForm *Flag
}

func buildConsumerPerf(flags *Flags) Action {
	flags.About = "This tool is used to verify the consumer performance."
	flags.Examples = []string{
		"kafka-consumer-perf-test.sh --bootstrap-server localhost:9092 --topic orders --num-records 1000000",
		"kafka-consumer-perf-test.sh --bootstrap-server localhost:9092 --topic orders --num-records 1000000 --show-detailed-stats --reporting-interval 1000",
	}
	f := &consumerPerfFlags{Flags: flags, connection: flags.Connection("consumer.config")}
	f.topic = f.String("topic", "topic", "The topic to consume from.")
	f.include = f.String("include", "regex", "A regular expression for the topics to consume from.")
	f.group = f.String("group", "group id", "The group to consume with; perf-consumer- and a random number if missing.")
	f.records = f.Long("num-records", "count", "How many records to consume.")
	f.messages = f.Long("messages", "count", "(DEPRECATED) The same as --num-records.")
	f.timeout = f.Long("timeout", "ms", "The longest time between two records.").OptionalArg().Default("10000")
	f.interval = f.Long("reporting-interval", "ms", "How often to print progress with --show-detailed-stats.").Default("5000")
	f.fetchSize = f.Int("fetch-size", "bytes", "How much to fetch from a partition at a time.").Default("1048576")
	f.fromLatest = f.Switch("from-latest", "Begin with the latest record if the group has committed no offset.")
	f.socketBuffer = f.Int("socket-buffer-size", "bytes", "Accepted as Kafka accepts it (receive.buffer.bytes).").Default("2097152")
	f.property = f.String("command-property", "key=value", "A setting of the consumer. It wins over --command-config. May be repeated.")
	f.detailed = f.Switch("show-detailed-stats", "Print statistics for each reporting interval.")
	f.hideHeader = f.Switch("hide-header", "Print no header.")
	f.metrics = f.Switch("print-metrics", "Print metrics at the end.")
	f.dateForm = f.String("date-format", "format", "The form of times, as java.text.SimpleDateFormat has it.").Default("yyyy-MM-dd HH:mm:ss:SSS")
	return f.run
}

// properties are those of the file, of --command-property, and what the tool decides itself.
func (f *consumerPerfFlags) properties() (map[string]string, error) {
	props, err := f.connection.Properties()
	if err != nil {
		return nil, err
	}
	props = merge(props, KeyValues(f.property.Values()))
	props["max.partition.fetch.bytes"] = f.fetchSize.Value()
	props["auto.offset.reset"] = "earliest"
	if f.fromLatest.Seen() {
		props["auto.offset.reset"] = "latest"
	}
	if props["group.id"] = f.group.Value(); !f.group.Seen() {
		props["group.id"] = fmt.Sprintf("perf-consumer-%d", rand.IntN(100_000))
	}
	if props["client.id"] == "" {
		props["client.id"] = "perf-consumer-client"
	}
	return props, nil
}

func (f *consumerPerfFlags) check(io IO) error {
	switch {
	case f.topic.Seen() == f.include.Seen():
		return Usagef("Exactly one of the following arguments is required: [topic], [include]")
	case f.messages.Seen() == f.records.Seen():
		return Usagef("Exactly one of the following arguments is required: [messages], [num-records]")
	case f.interval.Int64() <= 0:
		return Usagef("Reporting interval must be greater than 0.")
	}
	if err := Require(f.connection.Bootstrap); err != nil {
		return err
	}
	if f.messages.Seen() {
		fmt.Fprintln(io.Out, "Warning: --messages is deprecated. Use --num-records instead.")
	}
	return nil
}

func (f *consumerPerfFlags) run(ctx context.Context, io IO) error {
	if err := f.check(io); err != nil {
		return err
	}
	date, err := javaDateFormat(f.dateForm.Value())
	if err != nil {
		return err
	}
	props, err := f.properties()
	if err != nil {
		return err
	}
	opts, err := consumerOptions(props)
	if err != nil {
		return err
	}
	group, err := groupOptions(props)
	if err != nil {
		return err
	}
	c := &consumerPerf{
		io: io, date: date, want: f.records.Int64() + f.messages.Int64(), timeout: milliseconds(f.timeout.Int64()),
		interval: milliseconds(f.interval.Int64()), detailed: f.detailed.Seen(),
	}
	opts = append(append(opts, group...), kgo.OnPartitionsAssigned(c.assigned), kgo.OnPartitionsRevoked(c.revoked))
	if f.topic.Seen() {
		opts = append(opts, kgo.ConsumeTopics(f.topic.Value()))
	} else {
		filter, err := newTopicFilter(f.include.Value())
		if err != nil {
			return err
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(filter.re.String()))
	}
	metrics := &perfMetrics{}
	if f.metrics.Seen() {
		opts = append(opts, kgo.WithHooks(metrics))
	}
	if !f.hideHeader.Seen() {
		c.printHeader()
	}
	now := time.Now()
	c.start, c.joinStart = now, now
	client, err := NewClient(io, f.connection.Bootstrap.Value(), props, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.consume(ctx, client); err != nil {
		return err
	}
	if !c.detailed {
		c.printTotal(time.Now())
	}
	// Kafka's consumer commits when it closes.
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.CommitUncommittedOffsets(limited); err != nil && ctx.Err() == nil {
		fmt.Fprintf(io.Err, "WARN Offsets could not be committed: %s\n", KafkaMessage(err, nil))
	}
	if f.metrics.Seen() {
		metrics.print(io.Out, "consumer-metrics", props["client.id"])
	}
	if ctx.Err() != nil {
		return Exit(interrupted)
	}
	return nil
}

// consumerPerf is one run.
type consumerPerf struct {
	io                IO
	date              func(time.Time) string
	want              int64
	timeout, interval time.Duration
	detailed          bool

	start          time.Time
	records, bytes int64
	reported       struct {
		at             time.Time
		records, bytes int64
	}

	mu        sync.Mutex // rebalances are told on the client's goroutine
	joinStart time.Time
	join      time.Duration // in rebalances, since the start
	joinRound time.Duration // and since the last report
}

func (c *consumerPerf) assigned(context.Context, *kgo.Client, map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := time.Since(c.joinStart)
	c.join += d
	c.joinRound += d
}

func (c *consumerPerf) revoked(context.Context, *kgo.Client, map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joinStart = time.Now()
}

// maxPollRecords is Kafka's max.poll.records: the tool may read so many more than it was asked for.
const maxPollRecords = 500

func (c *consumerPerf) consume(ctx context.Context, client *kgo.Client) error {
	last := time.Now()
	c.reported.at = last
	for c.records < c.want && time.Since(last) <= c.timeout && ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollRecords(limited, maxPollRecords)
		cancel()
		if err := c.fetchErrors(fetches); err != nil {
			return err
		}
		now := time.Now()
		if !fetches.Empty() {
			last = now
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			c.records++
			c.bytes += int64(len(r.Key) + len(r.Value))
			if now.Sub(c.reported.at) >= c.interval {
				c.report(now)
			}
		}
		client.AllowRebalance()
	}
	if c.records < c.want && ctx.Err() == nil {
		fmt.Fprintf(c.io.Out, "WARNING: Exiting before consuming the expected number of records: timeout (%d ms) exceeded. You can use the --timeout option to increase the timeout.\n", c.timeout.Milliseconds())
	}
	return nil
}

// fetchErrors returns what cannot get better by waiting.
func (c *consumerPerf) fetchErrors(fetches kgo.Fetches) (failed error) {
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		case fatalFetch(err):
			failed = fetchError(topic, partition, err)
		}
	})
	return failed
}

func (c *consumerPerf) printHeader() {
	first := "start.time, end.time"
	if c.detailed {
		first = "time, threadId"
	}
	fmt.Fprintln(c.io.Out, first+", data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
}

// report prints one line of --show-detailed-stats and begins the next interval.
func (c *consumerPerf) report(now time.Time) {
	c.mu.Lock()
	join := c.joinRound
	c.joinRound = 0
	c.mu.Unlock()
	if c.detailed {
		elapsed := now.Sub(c.reported.at)
		mb := float64(c.bytes-c.reported.bytes) / megabyte
		n := float64(c.records - c.reported.records)
		fetch := elapsed - join
		fetchMB, fetchN := 0.0, 0.0
		if fetch > 0 {
			fetchMB, fetchN = mb/fetch.Seconds(), n/fetch.Seconds()
		}
		fmt.Fprintf(c.io.Out, "%s, 0, %s, %s, %d, %s, %d, %d, %s, %s\n", c.date(now),
			javaFixed(float64(c.bytes)/megabyte, 4), javaFixed(mb/elapsed.Seconds(), 4), c.records, javaFixed(n/elapsed.Seconds(), 4),
			join.Milliseconds(), fetch.Milliseconds(), javaFixed(fetchMB, 4), javaFixed(fetchN, 4))
	}
	c.reported.at, c.reported.records, c.reported.bytes = now, c.records, c.bytes
}

func (c *consumerPerf) printTotal(end time.Time) {
	c.mu.Lock()
	join := c.join
	c.mu.Unlock()
	elapsed := end.Sub(c.start)
	fetch := elapsed - join
	mb, n := float64(c.bytes)/megabyte, float64(c.records)
	fmt.Fprintf(c.io.Out, "%s, %s, %s, %s, %d, %s, %d, %d, %s, %s\n", c.date(c.start), c.date(end),
		javaFixed(mb, 4), javaFixed(mb/elapsed.Seconds(), 4), c.records, javaFixed(n/elapsed.Seconds(), 4),
		join.Milliseconds(), fetch.Milliseconds(), javaFixed(mb/fetch.Seconds(), 4), javaFixed(n/fetch.Seconds(), 4))
}

// javaDateFormat makes a formatter of a pattern of java.text.SimpleDateFormat: the letters for date and time of day,
// time zones, and text in quotes.
func javaDateFormat(pattern string) (func(time.Time) string, error) {
	type part func(time.Time) string
	var parts []part
	text := func(s string) { parts = append(parts, func(time.Time) string { return s }) }
	number := func(width int, of func(time.Time) int) {
		parts = append(parts, func(t time.Time) string { return fmt.Sprintf("%0*d", width, of(t)) })
	}
	layout := func(l string) { parts = append(parts, func(t time.Time) string { return t.Format(l) }) }
	for i := 0; i < len(pattern); {
		letter := pattern[i]
		n := 1
		for i+n < len(pattern) && pattern[i+n] == letter {
			n++
		}
		switch {
		case letter == '\'':
			end := strings.IndexByte(pattern[i+1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("--date-format %q: a quote is not closed", pattern)
			}
			quoted := pattern[i+1 : i+1+end]
			if quoted == "" {
				quoted = "'"
			}
			text(quoted)
			i += end + 2
			continue
		case letter == 'y' && n == 2:
			layout("06")
		case letter == 'y':
			number(n, time.Time.Year)
		case letter == 'M' && n >= 4:
			layout("January")
		case letter == 'M' && n == 3:
			layout("Jan")
		case letter == 'M':
			number(n, func(t time.Time) int { return int(t.Month()) })
		case letter == 'd':
			number(n, time.Time.Day)
		case letter == 'D':
			number(n, time.Time.YearDay)
		case letter == 'H':
			number(n, time.Time.Hour)
		case letter == 'h':
			number(n, func(t time.Time) int { return (t.Hour()+11)%12 + 1 })
		case letter == 'm':
			number(n, time.Time.Minute)
		case letter == 's':
			number(n, time.Time.Second)
		case letter == 'S':
			number(n, func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) })
		case letter == 'a':
			layout("PM")
		case letter == 'E' && n >= 4:
			layout("Monday")
		case letter == 'E':
			layout("Mon")
		case letter == 'Z':
			layout("-0700")
		case letter == 'X':
			layout([]string{"Z07", "Z0700", "Z07:00"}[min(n, 3)-1])
		case letter == 'z':
			layout("MST")
		case letter|0x20 >= 'a' && letter|0x20 <= 'z':
			return nil, fmt.Errorf("--date-format %q: the letter %c is not supported; use y M d D H h m s S a E z Z X, and quotes around text", pattern, letter)
		default:
			text(pattern[i : i+n])
		}
		i += n
	}
	return func(t time.Time) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(p(t))
		}
		return b.String()
	}, nil
}
