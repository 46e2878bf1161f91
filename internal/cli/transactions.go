package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func transactionsCommand() Command {
	return Command{Name: "transactions", Script: "kafka-transactions", Summary: "See transactions and the producers of a partition; find and abort hanging ones.", Build: buildTransactions}
}

// transactionsFlags are the options of kafka-transactions, each of some of its commands.
type transactionsFlags struct {
	*Flags
	connection                       *Connection
	duration, pattern, id            *Flag
	broker, topic, partition         *Flag
	maxTimeout                       *Flag
	start, producer, epoch, coordGen *Flag
	client                           *kgo.Client
	io                               IO
	now                              func() time.Time
}

func buildTransactions(flags *Flags) Action {
	flags.About = "This tool is used to analyze the transactional state of producers in the cluster. It can be used to detect and recover from hanging transactions.\nUsage: kafka-transactions.sh --bootstrap-server host:port {list | describe | describe-producers | abort | find-hanging | forceTerminateTransaction} [options]"
	flags.Words = []string{"list", "describe", "describe-producers", "abort", "find-hanging", "forceTerminateTransaction"}
	flags.Examples = []string{
		"kafka-transactions.sh --bootstrap-server localhost:9092 list --transactional-id-pattern 'orders-.*'",
		"kafka-transactions.sh --bootstrap-server localhost:9092 describe --transactional-id orders-1",
		"kafka-transactions.sh --bootstrap-server localhost:9092 describe-producers --topic orders --partition 0",
		"kafka-transactions.sh --bootstrap-server localhost:9092 find-hanging --topic orders",
		"kafka-transactions.sh --bootstrap-server localhost:9092 abort --topic orders --partition 0 --start-offset 4711",
		"kafka-transactions.sh --bootstrap-server localhost:9092 forceTerminateTransaction --transactionalId orders-1",
		"kafka-transactions.sh --bootstrap-server localhost:9092 list --output json",
	}
	f := &transactionsFlags{Flags: flags, connection: flags.Connection(), now: time.Now}
	f.duration = f.Long("duration-filter", "ms", "With list: only transactions that have run for longer. Less than 0: all.")
	f.pattern = f.String("transactional-id-pattern", "regex", "With list: only transactional ids that the regular expression (RE2) matches.")
	f.id = f.String("transactional-id", "id", "With describe and forceTerminateTransaction: the transactional id.")
	f.Alias(f.id, "transactionalId")
	f.broker = f.Int("broker-id", "id", "With describe-producers: the replica of this broker, not of the leader. With find-hanging: only partitions with a replica there.")
	f.topic = f.String("topic", "topic", "With describe-producers, find-hanging and abort: the topic.")
	f.partition = f.Int("partition", "number", "With describe-producers, find-hanging and abort: the partition.")
	f.maxTimeout = f.Int("max-transaction-timeout", "minutes", "With find-hanging: how long a transaction may be open before it is looked at.").Default("15")
	f.start = f.Long("start-offset", "offset", "With abort: the offset at which the transaction begins.")
	f.producer = f.Long("producer-id", "id", "With abort, instead of --start-offset (for brokers older than 3.0): the producer's id.")
	f.epoch = f.Int("producer-epoch", "number", "With --producer-id: the producer's epoch.")
	f.coordGen = f.Int("coordinator-epoch", "number", "With --producer-id: the epoch of the transaction coordinator.")
	f.Output()
	return f.run
}

func (f *transactionsFlags) run(ctx context.Context, io IO) error {
	type command struct {
		run  func(context.Context) error
		need []*Flag
	}
	commands := map[string]command{
		"list":                      {run: f.list},
		"describe":                  {f.describe, []*Flag{f.id}},
		"describe-producers":        {f.describeProducers, []*Flag{f.topic, f.partition}},
		"abort":                     {f.abort, []*Flag{f.topic, f.partition}},
		"find-hanging":              {run: f.findHanging},
		"forceTerminateTransaction": {f.forceTerminate, []*Flag{f.id}},
		"force-terminate":           {f.forceTerminate, []*Flag{f.id}},
	}
	if len(f.Rest) == 0 {
		return Usagef("kafka-transactions.sh: error: too few arguments")
	}
	c, ok := commands[f.Rest[0]]
	if !ok {
		return Usagef("kafka-transactions.sh: error: invalid choice: '%s' (choose from '%s')", f.Rest[0], strings.Join(f.Words, "', '"))
	}
	if len(f.Rest) > 1 {
		return Usagef("kafka-transactions.sh: error: unrecognized arguments: '%s'", strings.Join(f.Rest[1:], " "))
	}
	for _, flag := range append([]*Flag{f.connection.Bootstrap}, c.need...) {
		if !flag.Seen() {
			return Usagef("kafka-transactions.sh: error: argument --%s is required", flag.Name())
		}
	}
	if _, err := parseBootstrap(f.connection.Bootstrap.Value()); err != nil {
		return Usagef("%v", err)
	}
	if err := f.check(f.Rest[0]); err != nil {
		return err
	}
	ctx, client, done, err := f.connection.Dial(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	f.client, f.io = client, io
	return c.run(ctx)
}

// check looks at what options exclude each other or belong together, before anybody is asked.
func (f *transactionsFlags) check(command string) error {
	switch {
	case command == "find-hanging" && !f.topic.Seen() && !f.broker.Seen():
		return errors.New("The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search") //nolint:staticcheck // Kafka's words
	case command == "find-hanging" && f.partition.Seen() && !f.topic.Seen():
		return errors.New("The --partition argument requires --topic to be provided") //nolint:staticcheck // Kafka's words
	case command == "abort" && !f.start.Seen() && !f.producer.Seen():
		return errors.New("The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)") //nolint:staticcheck // Kafka's words
	case command == "abort" && !f.start.Seen() && !f.epoch.Seen():
		return errors.New("Missing required argument --producer-epoch") //nolint:staticcheck // Kafka's words
	case command == "abort" && !f.start.Seen() && !f.coordGen.Seen():
		return errors.New("Missing required argument --coordinator-epoch") //nolint:staticcheck // Kafka's words
	case f.epoch.Seen() && (f.epoch.Int() < -1 || f.epoch.Int() > 1<<15-1):
		return Usagef("kafka-transactions.sh: error: argument --producer-epoch: could not convert '%s' to Short", f.epoch.Value())
	}
	return nil
}

// listedTransaction is a transaction as list shows it.
type listedTransaction struct {
	ID          string `json:"transactionalId"`
	Coordinator int32  `json:"coordinator"`
	ProducerID  int64  `json:"producerId"`
	State       string `json:"state"`
}

func (f *transactionsFlags) list(ctx context.Context) error {
	req := kmsg.NewPtrListTransactionsRequest()
	if f.duration.Seen() {
		req.DurationFilterMillis = f.duration.Int64()
	}
	if f.pattern.Seen() {
		req.TransactionalIDPattern = kmsg.StringPtr(f.pattern.Value())
	}
	all, err := f.ask(ctx, req)
	if err != nil {
		return fmt.Errorf("Failed to list transactions: %w", err) //nolint:staticcheck // Kafka's words
	}
	if f.JSON() {
		return PrintJSON(f.io.Out, append([]listedTransaction{}, all...))
	}
	rows := [][]string{{"TransactionalId", "Coordinator", "ProducerId", "TransactionState"}}
	for _, t := range all {
		rows = append(rows, []string{t.ID, fmt.Sprint(t.Coordinator), fmt.Sprint(t.ProducerID), t.State})
	}
	printTable(f.io.Out, rows)
	return nil
}

// ask asks every broker for the transactions it coordinates, and puts them in the order of their ids.
func (f *transactionsFlags) ask(ctx context.Context, req *kmsg.ListTransactionsRequest) ([]listedTransaction, error) {
	var all []listedTransaction
	for _, shard := range f.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListTransactionsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, fmt.Errorf("broker %d: %s", shard.Meta.NodeID, KafkaMessage(err, nil))
		}
		if len(resp.UnknownStateFilters) > 0 {
			return nil, fmt.Errorf("broker %d does not know the states %v", shard.Meta.NodeID, resp.UnknownStateFilters)
		}
		for _, t := range resp.TransactionStates {
			all = append(all, listedTransaction{t.TransactionalID, shard.Meta.NodeID, t.ProducerID, t.TransactionState})
		}
	}
	slices.SortFunc(all, func(a, b listedTransaction) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// describedTransaction is a transaction as describe shows it. Nil: it has not begun.
type describedTransaction struct {
	Coordinator int32            `json:"coordinatorId"`
	ID          string           `json:"transactionalId"`
	ProducerID  int64            `json:"producerId"`
	Epoch       int16            `json:"producerEpoch"`
	State       string           `json:"state"`
	TimeoutMs   int32            `json:"transactionTimeoutMs"`
	StartMs     *int64           `json:"currentTransactionStartTimeMs"`
	DurationMs  *int64           `json:"transactionDurationMs"`
	Partitions  []topicPartition `json:"topicPartitions"`
}

func (f *transactionsFlags) describe(ctx context.Context) error {
	d, err := f.describeID(ctx, f.id.Value())
	if err != nil {
		return fmt.Errorf("Failed to describe transaction state of transactional-id `%s`: %w", f.id.Value(), err) //nolint:staticcheck // Kafka's words
	}
	if f.JSON() {
		return PrintJSON(f.io.Out, d)
	}
	var partitions []string
	for _, p := range d.Partitions {
		partitions = append(partitions, p.String())
	}
	printTable(f.io.Out, [][]string{
		{"CoordinatorId", "TransactionalId", "ProducerId", "ProducerEpoch", "TransactionState", "TransactionTimeoutMs", "CurrentTransactionStartTimeMs", "TransactionDurationMs", "TopicPartitions"},
		{fmt.Sprint(d.Coordinator), d.ID, fmt.Sprint(d.ProducerID), fmt.Sprint(d.Epoch), d.State, fmt.Sprint(d.TimeoutMs), orNone(d.StartMs), orNone(d.DurationMs), strings.Join(partitions, ",")},
	})
	return nil
}

func orNone(n *int64) string {
	if n == nil {
		return "None"
	}
	return strconv.FormatInt(*n, 10)
}

// errUnknownTransaction is an id that its coordinator does not know.
type errUnknownTransaction struct{ id string }

func (e errUnknownTransaction) Error() string {
	return fmt.Sprintf("DescribeTransactions request for transactionalId `%s` failed because the ID could not be found.", e.id)
}

func (f *transactionsFlags) describeID(ctx context.Context, id string) (describedTransaction, error) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	for _, shard := range f.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return describedTransaction{}, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.DescribeTransactionsResponse).TransactionStates {
			err := kerr.ErrorForCode(t.ErrorCode)
			if errors.Is(err, kerr.TransactionalIDNotFound) {
				return describedTransaction{}, errUnknownTransaction{id}
			}
			if err != nil {
				return describedTransaction{}, errors.New(KafkaMessage(err, nil))
			}
			d := describedTransaction{
				Coordinator: shard.Meta.NodeID, ID: t.TransactionalID, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch,
				State: t.State, TimeoutMs: t.TimeoutMillis, Partitions: []topicPartition{},
			}
			if t.StartTimestamp >= 0 {
				start, took := t.StartTimestamp, f.now().UnixMilli()-t.StartTimestamp
				d.StartMs, d.DurationMs = &start, &took
			}
			for _, topic := range t.Topics {
				for _, p := range topic.Partitions {
					d.Partitions = append(d.Partitions, topicPartition{topic.Topic, p})
				}
			}
			return d, nil
		}
	}
	return describedTransaction{}, errors.New("the coordinator has left the id out of its answer")
}

// forceTerminate takes the transactional id away from its producer, as a new producer of that id does: what it had open
// is aborted. The new one's timeout is what Kafka's tool gives it.
func (f *transactionsFlags) forceTerminate(ctx context.Context) error {
	id := f.id.Value()
	for {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID = kmsg.StringPtr(id)
		req.TransactionTimeoutMillis = 30_000
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, err := req.RequestWith(ctx, f.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case errors.Is(err, kerr.ConcurrentTransactions): // it is being aborted
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
			fallthrough
		case err != nil:
			return fmt.Errorf("Failed to force terminate transactionalId `%s`: %s", id, KafkaMessage(err, nil)) //nolint:staticcheck // Kafka's words
		}
		return nil
	}
}
