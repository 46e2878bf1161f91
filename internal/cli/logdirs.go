package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func logDirsCommand() Command {
	return Command{Name: "log-dirs", Script: "kafka-log-dirs", Summary: "Show what lies in the brokers' log directories.", Build: buildLogDirs}
}

func buildLogDirs(f *Flags) Action {
	f.About = "This tool helps to query log directory usage on the specified brokers."
	f.Examples = []string{
		"kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe",
		"kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe --topic-list orders,invoices --broker-list 1,2",
		"kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe --output json",
	}
	connection := f.Connection()
	describe := f.Switch("describe", "REQUIRED: Show the log directories of the brokers.")
	topics := f.String("topic-list", "topic,...", "Only these topics. All if missing.")
	brokers := f.String("broker-list", "id,...", "Only these brokers. All if missing.")
	f.Output()
	return func(ctx context.Context, io IO) error {
		if err := Require(connection.Bootstrap, describe); err != nil {
			return err
		}
		asked, err := parseBrokerIDs(brokers.Value())
		if err != nil {
			return err
		}
		ctx, client, done, err := connection.Dial(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		cluster := &clusterClient{Requestor: client, client: client, io: io}
		return cluster.printLogDirs(ctx, asked, splitList(topics.Value()), f.JSON())
	}
}

// splitList are the words between commas, without empty ones.
func splitList(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(w string) bool { return w == "" })
}

func parseBrokerIDs(text string) ([]int32, error) {
	var ids []int32
	for _, word := range splitList(text) {
		id, err := strconv.ParseInt(strings.TrimSpace(word), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--broker-list: %q is no broker id; give ids apart by commas, for example 1,2,3", word)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// brokerLogDirs is what a broker answered. The field order is that of the line that Kafka's tool prints.
type brokerLogDirs struct {
	Broker  int32    `json:"broker"`
	LogDirs []logDir `json:"logDirs"`
}

type logDir struct {
	Partitions []logDirReplica `json:"partitions"`
	Error      *string         `json:"error"` // name of the Java exception
	LogDir     string          `json:"logDir"`

	total, usable int64 // bytes, -1 if the broker does not say
	cordoned      bool
}

type logDirReplica struct {
	Partition string `json:"partition"` // topic-id
	Size      int64  `json:"size"`      // bytes
	OffsetLag int64  `json:"offsetLag"`
	IsFuture  bool   `json:"isFuture"`

	topicPartition `json:"-"`
}

// brokerIDs are the brokers that are up.
func (c *clusterClient) brokerIDs(ctx context.Context) ([]int32, error) {
	cluster, err := c.describe(ctx, false)
	if err != nil {
		return nil, err
	}
	var ids []int32
	for _, b := range cluster.Brokers {
		ids = append(ids, b.NodeID)
	}
	slices.Sort(ids)
	return ids, nil
}

func (c *clusterClient) printLogDirs(ctx context.Context, asked []int32, topics []string, asJSON bool) error {
	known, err := c.brokerIDs(ctx)
	if err != nil {
		return err
	}
	slices.Sort(asked)
	asked = slices.Compact(asked)
	missing := slices.DeleteFunc(slices.Clone(asked), func(id int32) bool { return slices.Contains(known, id) })
	if len(missing) > 0 {
		return fmt.Errorf("ERROR: The given brokers do not exist from --broker-list: %s. Current existent brokers: %s", joinInts(missing, ","), joinInts(known, ","))
	}
	if len(asked) == 0 {
		asked = known
	}
	if !asJSON {
		fmt.Fprintln(c.io.Out, "Querying brokers for log directories information")
	}
	found := []brokerLogDirs{}
	for _, id := range asked {
		dirs, err := describeLogDirs(ctx, c.client, id, nil)
		if err != nil {
			return err
		}
		for i := range dirs {
			dirs[i].Partitions = slices.DeleteFunc(dirs[i].Partitions, func(r logDirReplica) bool {
				return len(topics) > 0 && !slices.Contains(topics, r.Topic)
			})
		}
		found = append(found, brokerLogDirs{id, dirs})
	}
	if asJSON {
		return PrintJSON(c.io.Out, logDirsJSON(found))
	}
	fmt.Fprintf(c.io.Out, "Received log directory information from brokers %s\n", joinInts(asked, ","))
	fmt.Fprintln(c.io.Out, jsonText(struct {
		Brokers []brokerLogDirs `json:"brokers"`
		Version int             `json:"version"`
	}{found, 1}))
	return nil
}

// describeLogDirs asks one broker; topics nil means all. Directories and replicas are in order.
func describeLogDirs(ctx context.Context, client *kgo.Client, broker int32, topics []kmsg.DescribeLogDirsRequestTopic) ([]logDir, error) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Topics = topics
	raw, err := client.Broker(int(broker)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("broker %d: %w", broker, err)
	}
	resp := raw.(*kmsg.DescribeLogDirsResponse)
	if err := answer(resp.ErrorCode, nil); err != nil {
		return nil, fmt.Errorf("broker %d: %w", broker, err)
	}
	dirs := []logDir{}
	for _, d := range resp.Dirs {
		dir := logDir{LogDir: d.Dir, Partitions: []logDirReplica{}, total: -1, usable: -1, cordoned: d.IsCordoned}
		if resp.Version >= 4 {
			dir.total, dir.usable = d.TotalBytes, d.UsableBytes
		}
		if err := kerr.ErrorForCode(d.ErrorCode); err != nil {
			class, _, _ := strings.Cut(javaError(err, nil), ":")
			dir.Error = &class
		}
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				tp := topicPartition{t.Topic, p.Partition}
				dir.Partitions = append(dir.Partitions, logDirReplica{tp.String(), p.Size, p.OffsetLag, p.IsFuture, tp})
			}
		}
		slices.SortFunc(dir.Partitions, func(a, b logDirReplica) int { return comparePartitions(a.topicPartition, b.topicPartition) })
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b logDir) int { return cmp.Compare(a.LogDir, b.LogDir) })
	return dirs, nil
}

// logDirsJSON is the form of --output json: all that the brokers told, one object a directory.
func logDirsJSON(found []brokerLogDirs) any {
	type replica struct {
		topicPartition
		SizeBytes int64 `json:"sizeBytes"`
		OffsetLag int64 `json:"offsetLag"`
		IsFuture  bool  `json:"isFuture"`
	}
	type directory struct {
		Broker      int32     `json:"broker"`
		LogDir      string    `json:"logDir"`
		Error       *string   `json:"error"`
		TotalBytes  *int64    `json:"totalBytes"` // of the disk; null if the broker does not say
		UsableBytes *int64    `json:"usableBytes"`
		Cordoned    bool      `json:"cordoned"`
		Replicas    []replica `json:"replicas"`
	}
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	out := []directory{}
	for _, b := range found {
		for _, d := range b.LogDirs {
			o := directory{b.Broker, d.LogDir, d.Error, known(d.total), known(d.usable), d.cordoned, []replica{}}
			for _, r := range d.Partitions {
				o.Replicas = append(o.Replicas, replica{r.topicPartition, r.Size, r.OffsetLag, r.IsFuture})
			}
			out = append(out, o)
		}
	}
	return out
}
