package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicsFlags are the options of kafka-topics.
type topicsFlags struct {
	*Flags
	connection                                   *Connection
	list, create, delete, alter, describe        *Flag
	topic, topicID, config, deleteConfig         *Flag
	partitions, replicationFactor, assignment    *Flag
	underReplicated, unavailable                 *Flag
	underMinISR, atMinISR, overrides             *Flag
	ifExists, ifNotExists, excludeInternal, size *Flag
}

func topicsCommand() Command {
	return Command{
		Name: "topics", Script: "kafka-topics", Summary: "Create, list, describe, change and delete topics.",
		Build: buildTopics,
	}
}

func buildTopics(flags *Flags) Action {
	flags.About = "This tool helps to create, delete, describe, or change a topic."
	flags.Examples = []string{
		"kafka-topics.sh --bootstrap-server localhost:9092 --create --topic orders --partitions 3 --replication-factor 1",
		"kafka-topics.sh --bootstrap-server localhost:9092 --create --topic orders --config retention.ms=3600000",
		"kafka-topics.sh --bootstrap-server localhost:9092 --list --exclude-internal",
		"kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic 'orders.*' --output json",
		"kafka-topics.sh --bootstrap-server localhost:9092 --alter --topic orders --partitions 6",
		"kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic orders --if-exists",
	}
	f := &topicsFlags{Flags: flags, connection: flags.Connection()}
	f.list = f.Switch("list", "List all topics.")
	f.create = f.Switch("create", "Create a topic.")
	f.delete = f.Switch("delete", "Delete a topic.")
	f.alter = f.Switch("alter", "Change the number of partitions. (Use kafka-configs to change settings.)")
	f.describe = f.Switch("describe", "Show topics with their partitions.")
	f.topic = f.String("topic", "topic", "The topic. Except with --create it may be a regular expression that names several; escape special characters with \\.")
	f.topicID = f.String("topic-id", "topic-id", "The id of the topic to describe.")
	f.config = f.String("config", "name=value", "A setting of the topic that is created, for example cleanup.policy=compact. May be repeated.")
	f.deleteConfig = f.String("delete-config", "name", "No longer supported: use kafka-configs.")
	f.partitions = f.Int("partitions", "number", "How many partitions the topic gets. The cluster's default with --create if missing. With keyed records, adding partitions changes which partition a key belongs to.")
	f.replicationFactor = f.Int("replication-factor", "number", "How many replicas each partition gets. The cluster's default if missing.")
	f.assignment = f.String("replica-assignment", "id:id,id:id,...", "The brokers of each partition, one list a partition, the preferred leader first.")
	f.underReplicated = f.Switch("under-replicated-partitions", "With --describe: only partitions with a replica that is not in sync.")
	f.unavailable = f.Switch("unavailable-partitions", "With --describe: only partitions without a live leader.")
	f.underMinISR = f.Switch("under-min-isr-partitions", "With --describe: only partitions with fewer in-sync replicas than min.insync.replicas.")
	f.atMinISR = f.Switch("at-min-isr-partitions", "With --describe: only partitions with exactly min.insync.replicas in-sync replicas.")
	f.overrides = f.Switch("topics-with-overrides", "With --describe: only topics with settings of their own.")
	f.ifExists = f.Switch("if-exists", "With --alter, --delete, --describe: no error if the topic does not exist.")
	f.ifNotExists = f.Switch("if-not-exists", "With --create: no error if the topic exists.")
	f.excludeInternal = f.Switch("exclude-internal", "With --list, --describe: leave internal topics out.")
	f.size = f.Int("partition-size-limit-per-response", "number", "With --describe: ask for at most so many partitions at a time.")
	f.Output()
	return f.run
}

// check repeats Kafka's rules of which options go together.
func (f *topicsFlags) check() error {
	if !ExactlyOne(f.list, f.create, f.delete, f.alter, f.describe) {
		return Usagef("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	}
	if !f.connection.Bootstrap.Seen() {
		return Usagef("--bootstrap-server must be specified")
	}
	if f.describe.Seen() && f.ifExists.Seen() && !f.topic.Seen() && !f.topicID.Seen() {
		return Usagef("--topic or --topic-id is required to describe a topic")
	}
	if !f.list.Seen() && !f.describe.Seen() {
		if err := Require(f.topic); err != nil {
			return err
		}
	}
	if f.alter.Seen() {
		if f.config.Seen() {
			return Usagef("Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)")
		}
		if err := Require(f.partitions); err != nil {
			return err
		}
	}
	actions := []*Flag{f.create, f.list, f.alter, f.describe, f.delete}
	others := func(allowed []*Flag, more ...*Flag) []*Flag {
		return append(slices.DeleteFunc(slices.Clone(actions), func(a *Flag) bool { return slices.Contains(allowed, a) }), more...)
	}
	describe := []*Flag{f.describe}
	reports := []*Flag{f.underReplicated, f.underMinISR, f.atMinISR, f.unavailable}
	for _, rule := range []struct {
		used    *Flag
		invalid []*Flag
	}{
		{f.config, others([]*Flag{f.alter, f.create})},
		{f.partitions, others([]*Flag{f.alter, f.create})},
		{f.replicationFactor, others([]*Flag{f.create})},
		{f.assignment, others([]*Flag{f.alter, f.create})},
		{f.underReplicated, others(describe, f.overrides)},
		{f.underMinISR, others(describe, f.overrides)},
		{f.atMinISR, others(describe, f.overrides)},
		{f.unavailable, others(describe, f.overrides)},
		{f.overrides, others(describe, reports...)},
		{f.ifExists, others([]*Flag{f.alter, f.delete, f.describe})},
		{f.ifNotExists, others([]*Flag{f.create})},
		{f.excludeInternal, others([]*Flag{f.list, f.describe})},
	} {
		if err := Exclude(rule.used, rule.invalid...); err != nil {
			return err
		}
	}
	if f.create.Seen() {
		return Exclude(f.assignment, f.partitions, f.replicationFactor)
	}
	return nil
}

func (f *topicsFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.deleteConfig.Seen() {
		fmt.Fprintln(io.Err, "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.")
	}
	if f.describe.Seen() && f.ifExists.Seen() && f.topic.Seen() && f.topicID.Seen() {
		fmt.Fprintln(io.Out, "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID")
	}
	ctx, kafka, done, err := f.connection.Dial(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	client := topicsClient{kafka, io}
	switch {
	case f.create.Seen():
		err = f.runCreate(ctx, client)
	case f.alter.Seen():
		err = f.runAlter(ctx, client)
	case f.list.Seen():
		err = f.runList(ctx, client)
	case f.describe.Seen():
		err = f.runDescribe(ctx, client)
	case f.delete.Seen():
		err = f.runDelete(ctx, client)
	}
	return failure(io, "Error while executing topic command : ", err)
}

// failure prints an error where Kafka's admin tools print it, on standard output, and ends the tool with code 1.
func failure(io IO, prefix string, err error) error {
	var usage *UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	fmt.Fprintln(io.Out, prefix+explain(err))
	return Exit(1)
}

// topicsClient does what the tool needs of a cluster.
type topicsClient struct {
	*kgo.Client
	io IO
}

// brokerError is a broker's answer to a request: what a user reads is its message.
type brokerError struct {
	code    error
	message *string
}

func (e *brokerError) Error() string { return KafkaMessage(e.code, e.message) }
func (e *brokerError) Unwrap() error { return e.code }

// answer is nil for code 0.
func answer(code int16, message *string) error {
	if err := kerr.ErrorForCode(code); err != nil {
		return &brokerError{err, message}
	}
	return nil
}

func (f *topicsFlags) runCreate(ctx context.Context, c topicsClient) error {
	name := f.topic.Value()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	var err error
	if t.Configs, err = topicConfigs(f.config.Values()); err != nil {
		return err
	}
	if f.assignment.Value() != "" {
		lists, err := parseAssignment(f.assignment.Value())
		if err != nil {
			return err
		}
		for p, brokers := range lists {
			t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(p), Replicas: brokers})
		}
	}
	if strings.ContainsAny(name, "._") {
		fmt.Fprintln(c.io.Out, "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.")
	}
	if f.replicationFactor.Seen() {
		if n := f.replicationFactor.Int(); n < 1 || n > math.MaxInt16 {
			return fmt.Errorf("The replication factor must be between 1 and %d inclusive", math.MaxInt16) //nolint:staticcheck // Kafka's words
		}
		t.ReplicationFactor = int16(f.replicationFactor.Int())
	}
	if f.partitions.Seen() {
		if f.partitions.Int() < 1 {
			return errors.New("The partitions must be greater than 0") //nolint:staticcheck // Kafka's words
		}
		t.NumPartitions = int32(f.partitions.Int())
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = requestTimeoutMs
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		err := answer(t.ErrorCode, t.ErrorMessage)
		if errors.Is(err, kerr.TopicAlreadyExists) && f.ifNotExists.Seen() {
			return nil
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(c.io.Out, "Created topic %s.\n", name)
	return nil
}

// requestTimeoutMs is how long the controller may take over one request.
const requestTimeoutMs = 30_000

func topicConfigs(words []string) ([]kmsg.CreateTopicsRequestTopicConfig, error) {
	var configs []kmsg.CreateTopicsRequestTopicConfig
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || value == "" || strings.Contains(value, "=") {
			return nil, errors.New(`requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".`) //nolint:staticcheck // Kafka's words
		}
		i := slices.IndexFunc(configs, func(c kmsg.CreateTopicsRequestTopicConfig) bool { return c.Name == key })
		if i < 0 {
			i = len(configs)
			configs = append(configs, kmsg.CreateTopicsRequestTopicConfig{Name: key})
		}
		configs[i].Value = &value
	}
	return configs, nil
}

// parseAssignment reads 1:2,2:3 as one list of brokers for each partition.
func parseAssignment(text string) ([][]int32, error) {
	var lists [][]int32
	for p, part := range strings.Split(text, ",") {
		var brokers, twice []int32
		for _, word := range strings.Split(part, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(word), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("--replica-assignment: %q is no broker id; give one list of ids for each partition, for example 1:2,2:3", word)
			}
			if slices.Contains(brokers, int32(id)) {
				twice = append(twice, int32(id))
			}
			brokers = append(brokers, int32(id))
		}
		if twice != nil {
			return nil, fmt.Errorf("Partition replica lists may not contain duplicate entries: %s", joinInts(twice, ",")) //nolint:staticcheck // Kafka's words
		}
		if p > 0 && len(brokers) != len(lists[0]) {
			return nil, fmt.Errorf("Partition %d has different replication factor: [%s]", p, joinInts(brokers, ", ")) //nolint:staticcheck // Kafka's words
		}
		lists = append(lists, brokers)
	}
	return lists, nil
}

func joinInts(ids []int32, separator string) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, separator)
}

func (f *topicsFlags) runList(ctx context.Context, c topicsClient) error {
	topics, err := f.matching(ctx, c)
	if err != nil {
		return err
	}
	if f.JSON() {
		type listed struct {
			Topic    string `json:"topic"`
			TopicID  string `json:"topicId"`
			Internal bool   `json:"internal"`
		}
		out := make([]listed, 0, len(topics))
		for _, t := range topics {
			out = append(out, listed{*t.Topic, topicIDString(t.TopicID), t.IsInternal})
		}
		return PrintJSON(c.io.Out, out)
	}
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, *t.Topic)
	}
	fmt.Fprintln(c.io.Out, strings.Join(names, "\n"))
	return nil
}

// matching are the topics that --topic and --exclude-internal choose, by name.
func (f *topicsFlags) matching(ctx context.Context, c topicsClient) ([]kmsg.MetadataResponseTopic, error) {
	filter, err := newTopicFilter(".*")
	if f.topic.Seen() {
		filter, err = newTopicFilter(f.topic.Value())
	}
	if err != nil {
		return nil, err
	}
	all, err := c.allTopics(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t kmsg.MetadataResponseTopic) bool {
		return !filter.Match(*t.Topic) || f.excludeInternal.Seen() && (t.IsInternal || internalTopic(*t.Topic))
	}), nil
}

// allTopics asks for every topic, sorted by name.
func (c topicsClient) allTopics(ctx context.Context) ([]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	topics := slices.DeleteFunc(resp.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic == nil })
	slices.SortFunc(topics, func(a, b kmsg.MetadataResponseTopic) int { return strings.Compare(*a.Topic, *b.Topic) })
	return topics, nil
}

// mustExist is Kafka's complaint about a --topic that chooses nothing.
func (f *topicsFlags) mustExist(found int) error {
	if f.topic.Value() != "" && !f.ifExists.Seen() && found == 0 {
		return fmt.Errorf("Topic '%s' does not exist as expected", f.topic.Value()) //nolint:staticcheck // Kafka's words
	}
	return nil
}

func (f *topicsFlags) runAlter(ctx context.Context, c topicsClient) error {
	topics, err := f.matching(ctx, c)
	if err != nil {
		return err
	}
	if err := f.mustExist(len(topics)); err != nil || len(topics) == 0 {
		return err
	}
	var lists [][]int32
	if f.assignment.Value() != "" {
		if lists, err = parseAssignment(f.assignment.Value()); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = requestTimeoutMs
	for _, t := range topics {
		add := kmsg.NewCreatePartitionsRequestTopic()
		add.Topic, add.Count = *t.Topic, int32(f.partitions.Int())
		for p, brokers := range lists {
			if p >= len(t.Partitions) {
				add.Assignment = append(add.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: brokers})
			}
		}
		req.Topics = append(req.Topics, add)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (f *topicsFlags) runDelete(ctx context.Context, c topicsClient) error {
	topics, err := f.matching(ctx, c)
	if err != nil {
		return err
	}
	if err := f.mustExist(len(topics)); err != nil || len(topics) == 0 {
		return err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = requestTimeoutMs
	for _, t := range topics {
		// Both forms are filled: the version decides which one is sent.
		req.TopicNames = append(req.TopicNames, *t.Topic)
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: t.Topic})
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}
