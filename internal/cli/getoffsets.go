package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type offsetsFlags struct {
	*Flags
	connection                                *Connection
	topicPartitions, topic, partitions, time_ *Flag
	excludeInternal                           *Flag
}

func getOffsetsCommand() Command {
	return Command{Name: "get-offsets", Script: "kafka-get-offsets", Summary: "Show the offsets of partitions.", Build: buildGetOffsets}
}

func buildGetOffsets(flags *Flags) Action {
	flags.About = "An interactive shell for getting topic-partition offsets.\nPrints topic:partition:offset."
	flags.Examples = []string{
		"kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic orders",
		"kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic-partitions 'orders:0,invoices.*:1-3' --time earliest",
		"kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic orders --time 1893456000000 --output json",
	}
	f := &offsetsFlags{Flags: flags, connection: flags.Connection()}
	f.Alias(f.connection.Bootstrap, "broker-list")
	f.topicPartitions = f.String("topic-partitions", "patterns", "Patterns of topics and partitions, separated by commas: topic, topic:1, topic:0-3 (3 is not included), topic:5-, topic:-3, :0. The topic is a regular expression.")
	f.topic = f.String("topic", "topic", "The topic; a regular expression.")
	f.partitions = f.String("partitions", "ids", "Partition ids, separated by commas.")
	f.time_ = f.String("time", "time", "Which offset: a timestamp in ms (the first record of that time or later), -1 or latest, -2 or earliest, -3 or max-timestamp, -4 or earliest-local, -5 or latest-tiered, -6 or earliest-pending-upload.").Default("latest")
	f.excludeInternal = f.Switch("exclude-internal-topics", "Leave internal topics out.")
	f.Output()
	return f.run
}

// partitionRule chooses partitions: a topic pattern and a range of ids.
type partitionRule struct {
	topics topicFilter
	ids    []int32 // nil: from low to high
	low    int
	high   int // not included
}

func (r partitionRule) match(topic string, partition int32) bool {
	if !r.topics.Match(topic) {
		return false
	}
	if r.ids != nil {
		return slices.Contains(r.ids, partition)
	}
	return int(partition) >= r.low && int(partition) < r.high
}

var rulePattern = regexp.MustCompile(`^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$`)

func parsePartitionRule(text string) (partitionRule, error) {
	m := rulePattern.FindStringSubmatch(text)
	if m == nil {
		return partitionRule{}, fmt.Errorf("Invalid rule specification: %s", text) //nolint:staticcheck // Kafka's words
	}
	topics, err := newTopicFilter(cmp.Or(m[1], ".*"))
	if err != nil {
		return partitionRule{}, err
	}
	r := partitionRule{topics: topics, high: math.MaxInt}
	number := func(text string, into *int) {
		if n, convErr := strconv.ParseInt(text, 10, 32); text != "" {
			*into, err = int(n), cmp.Or(err, convErr)
		}
	}
	if m[2] != "" {
		number(m[2], &r.low)
		r.high = r.low + 1
	}
	number(m[3], &r.low)
	number(m[4], &r.high)
	return r, err
}

func (f *offsetsFlags) rules() ([]partitionRule, error) {
	if f.topicPartitions.Seen() {
		if f.topic.Seen() || f.partitions.Seen() {
			return nil, errors.New("--topic-partitions cannot be used with --topic or --partitions")
		}
		var rules []partitionRule
		for _, text := range strings.Split(f.topicPartitions.Value(), ",") {
			r, err := parsePartitionRule(text)
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
		return rules, nil
	}
	topics, err := newTopicFilter(cmp.Or(f.topic.Value(), ".*"))
	if err != nil {
		return nil, err
	}
	r := partitionRule{topics: topics, high: math.MaxInt}
	if list := f.partitions.Value(); list != "" {
		for _, word := range strings.Split(list, ",") {
			id, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("--partitions expects a comma separated list of numeric partition ids, but received: %s", list)
			}
			r.ids = append(r.ids, int32(id))
		}
	}
	return []partitionRule{r}, nil
}

func parseOffsetTime(text string) (int64, error) {
	names := map[string]int64{"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5, "earliest-pending-upload": -6}
	if n, ok := names[text]; ok {
		return n, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp", text) //nolint:staticcheck // Kafka's words
	}
	return n, nil
}

func (f *offsetsFlags) run(ctx context.Context, io IO) error {
	if err := Require(f.connection.Bootstrap); err != nil {
		return err
	}
	if _, err := parseBootstrap(f.connection.Bootstrap.Value()); err != nil {
		return Usagef("%v", err)
	}
	err := f.list(ctx, io)
	var usage *UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	fmt.Fprintln(io.Err, "Error occurred: "+explain(err))
	return Exit(1)
}

func (f *offsetsFlags) list(ctx context.Context, io IO) error {
	rules, err := f.rules()
	if err != nil {
		return err
	}
	at, err := parseOffsetTime(f.time_.Value())
	if err != nil {
		return err
	}
	ctx, client, done, err := f.connection.Dial(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	all, err := topicsClient{client, io}.allTopics(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for _, t := range all {
		if f.excludeInternal.Seen() && (t.IsInternal || internalTopic(*t.Topic)) {
			continue
		}
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = *t.Topic
		for _, p := range t.Partitions {
			if slices.ContainsFunc(rules, func(r partitionRule) bool { return r.match(rt.Topic, p.Partition) }) {
				rp := kmsg.NewListOffsetsRequestTopicPartition()
				rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p.Partition, at, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
		}
		if len(rt.Partitions) > 0 {
			req.Topics = append(req.Topics, rt)
		}
	}
	if len(req.Topics) == 0 {
		return errors.New("Could not match any topic-partitions with the specified filters") //nolint:staticcheck // Kafka's words
	}
	return f.print(ctx, client, req, io)
}

// foundOffset is one line of the answer, and its form with --output json.
type foundOffset struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Offset      int64  `json:"offset"`
	Timestamp   int64  `json:"timestamp"`
	LeaderEpoch int32  `json:"leaderEpoch"`
}

func (f *offsetsFlags) print(ctx context.Context, client *kgo.Client, req *kmsg.ListOffsetsRequest, io IO) error {
	found := []foundOffset{}
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			if lost, ok := shard.Req.(*kmsg.ListOffsetsRequest); ok && shard.Meta.NodeID < 0 && isBrokerAnswer(shard.Err) {
				for _, t := range lost.Topics {
					for _, p := range t.Partitions {
						skipOffset(io, t.Topic, p.Partition, shard.Err)
					}
				}
				continue
			}
			return shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					skipOffset(io, t.Topic, p.Partition, err)
				} else if p.Offset >= 0 {
					found = append(found, foundOffset{t.Topic, p.Partition, p.Offset, p.Timestamp, p.LeaderEpoch})
				}
			}
		}
	}
	// Kafka orders by the text topic-partition.
	slices.SortFunc(found, func(a, b foundOffset) int {
		return strings.Compare(fmt.Sprintf("%s-%d", a.Topic, a.Partition), fmt.Sprintf("%s-%d", b.Topic, b.Partition))
	})
	if f.JSON() {
		return PrintJSON(io.Out, found)
	}
	for _, o := range found {
		fmt.Fprintf(io.Out, "%s:%d:%d\n", o.Topic, o.Partition, o.Offset)
	}
	return nil
}

func isBrokerAnswer(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code)
}

func skipOffset(io IO, topic string, partition int32, err error) {
	fmt.Fprintf(io.Err, "Skip getting offsets for topic-partition %s-%d due to error: %s\n", topic, partition, javaError(err, nil))
}
