package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// TestOurSegmentsPassDumpLog has Apache Kafka's dump-log read every file that our broker wrote, opening every batch.
func TestOurSegmentsPassDumpLog(t *testing.T) {
	s := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=3"}})
	fill(t, s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	dumpLogPasses(t, s.Dir)
}

// dumpLogPasses runs dump-log on every segment, index and time index below a directory.
func dumpLogPasses(t *testing.T, dir string) {
	t.Helper()
	k := kafka(t)
	runner, err := k.StartRunner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer runner.Close()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, file := range files {
		var flags []string
		kind := filepath.Ext(file)
		switch kind {
		case ".log":
			flags = []string{"--deep-iteration", "--print-data-log"}
			if strings.Contains(file, "__consumer_offsets") {
				flags = append(flags, "--offsets-decoder")
			} else if strings.Contains(file, "__cluster_metadata") {
				flags = append(flags, "--cluster-metadata-decoder")
			}
		case ".index", ".timeindex":
			flags = []string{"--index-sanity-check"}
			if strings.Contains(file, "__cluster_metadata") {
				continue // rolled with snapshots, and read by nobody
			}
		case ".snapshot", ".checkpoint":
		default:
			continue
		}
		count[kind]++
		result, err := runner.Run(toolTimeout, "", "dump-log", append([]string{"--files", file}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		complaint := strings.TrimSpace(firstBatch.ReplaceAllString(result.Stderr, ""))
		if result.Code != 0 || complaint != "" || badDump.MatchString(result.Stdout) {
			t.Errorf("dump-log of %s: exit code %d\n%s\n%s", file, result.Code, complaint, badDump.FindString(result.Stdout))
		}
	}
	t.Logf("files read: %v", count)
	for _, kind := range []string{".log", ".index", ".timeindex", ".snapshot"} {
		if count[kind] == 0 {
			t.Errorf("no %s file was there to read", kind)
		}
	}
}

// badDump finds what dump-log prints of a file with faults; it still ends with exit code 0.
var badDump = regexp.MustCompile(`(?s)isvalid: false|Found \d+ invalid bytes|(Mismatches in|Index mismatch|Non-consecutive offsets|Found timestamp mismatch|Found out of order|Could not dump|Could not decode|Failed to|Exception).{0,500}`)

// firstBatch is what dump-log says of every segment but a log's first.
var firstBatch = regexp.MustCompile(`Non-consecutive offsets in \S+\s+-1 is followed by \d+(\s|$)`)

// TestApacheServesOurDirectory has Apache Kafka take over the directory of our node: records, groups, topics, configurations.
func TestApacheServesOurDirectory(t *testing.T) {
	handOver(t, server.Options{}, server.Options{Apache: true})
}

// TestWeServeApachesDirectory is the other way round.
func TestWeServeApachesDirectory(t *testing.T) {
	handOver(t, server.Options{Apache: true}, server.Options{})
}

// TestThereAndBack moves a directory to Apache Kafka and back, with records written at each stop.
func TestThereAndBack(t *testing.T) {
	s := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=3"}})
	want := fill(t, s)
	for _, apache := range []bool{true, false, true, false} {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s = server.Start(t, server.Options{Dir: s.Dir, Apache: apache, Extra: []string{"offsets.topic.num.partitions=3"}})
		check(t, s, want)
		more(t, s, want)
	}
	check(t, s, want)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	dumpLogPasses(t, s.Dir)
}

func handOver(t *testing.T, from, to server.Options) {
	from.Dir = filepath.Join(t.TempDir(), "data")
	from.Extra = []string{"offsets.topic.num.partitions=3"}
	first := server.Start(t, from)
	want := fill(t, first)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	to.Dir, to.Extra = from.Dir, from.Extra
	second := server.Start(t, to)
	check(t, second, want)
	more(t, second, want)
	check(t, second, want)
	if files, err := os.ReadDir(from.Dir); err == nil {
		for _, f := range files {
			if strings.HasSuffix(f.Name(), "-stray") {
				t.Errorf("%s was taken for a stray partition", f.Name())
			}
		}
	}
}

// content is what a directory holds: the records of every partition, in order, and what groups committed.
type content map[string]map[int32][]*kgo.Record

const group = "kept-group"

// fill creates topics of every kind that a directory can tell apart, and returns their content.
func fill(t *testing.T, s *server.Server) content {
	t.Helper()
	want := content{}
	random := rand.New(rand.NewPCG(1, 2))
	for i, codec := range client.Sorted(client.Codecs) {
		topic := "kept-" + codec
		client.Create(t, s.Addr, topic, 2, "segment.bytes", "1048576", "index.interval.bytes", "1000", "retention.ms", fmt.Sprint((i+1)*1_000_000_000_000))
		c := client.New(t, s.Addr, kgo.ProducerBatchCompression(client.Codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(50_000))
		var records []*kgo.Record
		for n := range 3000 {
			value := make([]byte, random.IntN(2000))
			for j := range value {
				value[j] = byte(random.IntN(256))
			}
			r := &kgo.Record{Topic: topic, Partition: int32(n % 2), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(n)), Key: fmt.Appendf(nil, "key-%d", n%10), Value: value}
			if n%5 == 0 {
				r.Key, r.Value = nil, nil
			}
			if n%3 == 0 {
				r.Headers = []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "null"}}
			}
			records = append(records, r)
		}
		client.Produce(t, c, records...)
		want.add(records...)
	}
	more(t, s, want)

	// A log whose start was moved, and committed offsets.
	admin := kadm.NewClient(client.New(t, s.Addr))
	ctx := client.Context(t)
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: "kept-none", Partition: 1, At: 100})
	if _, err := admin.DeleteRecords(ctx, cut); err != nil {
		t.Fatal(err)
	}
	want["kept-none"][1] = want["kept-none"][1][100:]
	commits := kadm.Offsets{}
	for topic, partitions := range want {
		if len(partitions) < 2 {
			continue
		}
		commits.Add(kadm.Offset{Topic: topic, Partition: 1, At: int64(len(topic)), LeaderEpoch: 0, Metadata: "at " + topic})
	}
	client.Retry(t, func() error { return admin.CommitAllOffsets(ctx, group, commits) })
	return want
}

// more adds records to a topic that is there, and to one that this creates.
func more(t *testing.T, s *server.Server, want content) {
	t.Helper()
	c := client.New(t, s.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	fresh := fmt.Sprintf("later-%d", len(want))
	client.Create(t, s.Addr, fresh, 1)
	for _, topic := range []string{"kept-zstd", fresh} {
		for range 3 {
			r := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "later %d", len(want[topic][0])), Timestamp: time.UnixMilli(1_750_000_000_000)}
			client.Produce(t, c, r)
			want.add(r)
		}
	}
}

func (c content) add(records ...*kgo.Record) {
	for _, r := range records {
		if c[r.Topic] == nil {
			c[r.Topic] = map[int32][]*kgo.Record{}
		}
		c[r.Topic][r.Partition] = append(c[r.Topic][r.Partition], r)
	}
}

// check reads everything and compares.
func check(t *testing.T, s *server.Server, want content) {
	t.Helper()
	ctx := client.Context(t)
	admin := kadm.NewClient(client.New(t, s.Addr))
	for _, topic := range client.Sorted(want) {
		for partition, records := range want[topic] {
			client.Same(t, records, client.ReadPartition(t, s.Addr, topic, partition, -1))
		}
	}
	var committed kadm.OffsetResponses
	client.Retry(t, func() (err error) {
		committed, err = admin.FetchOffsets(ctx, group)
		return err
	})
	for topic, partitions := range want {
		if len(partitions) < 2 {
			continue
		}
		if o, ok := committed.Lookup(topic, 1); !ok || o.At != int64(len(topic)) || o.Metadata != "at "+topic {
			t.Errorf("the group's offset in %s-1 is %+v", topic, o)
		}
	}
	for i, codec := range client.Sorted(client.Codecs) {
		configs, err := admin.DescribeTopicConfigs(ctx, "kept-"+codec)
		if err != nil {
			t.Fatal(err)
		}
		for _, config := range configs {
			for _, c := range config.Configs {
				if want := fmt.Sprint((i + 1) * 1_000_000_000_000); c.Key == "retention.ms" && c.MaybeValue() != want {
					t.Errorf("retention.ms of kept-%s is %s, want %s", codec, c.MaybeValue(), want)
				}
			}
		}
	}
}
