// Package client holds what tests do with a franz-go client: create topics, fill them, read them back.
package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Patience is how long a test waits for what must happen.
const Patience = 30 * time.Second

// New connects to a broker until the test ends.
func New(t testing.TB, addr string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Context ends with the test, or when its patience does.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Create creates a topic with configurations key, value, key, value, ...
func Create(t testing.TB, addr, topic string, partitions int, config ...string) {
	t.Helper()
	configs := map[string]*string{}
	for i := 0; i < len(config); i += 2 {
		configs[config[i]] = &config[i+1]
	}
	c := New(t, addr)
	if _, err := kadm.NewClient(c).CreateTopic(Context(t), int32(partitions), 1, configs, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// Produce sends records and waits for every acknowledgement.
func Produce(t testing.TB, c *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := c.ProduceSync(Context(t), records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// ReadPartition reads a partition from its start until a record at offset end-1 or beyond has come, or, if end is -1, up to
// where the log ends now.
func ReadPartition(t testing.TB, addr, topic string, partition int32, end int64, options ...kgo.Opt) []*kgo.Record {
	t.Helper()
	ctx := Context(t)
	c := New(t, addr, append([]kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}})}, options...)...)
	defer c.Close()
	if end < 0 {
		ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		o, ok := ends.Lookup(topic, partition)
		if !ok || o.Err != nil {
			t.Fatalf("end of %s-%d: %v", topic, partition, o.Err)
		}
		end = o.Offset
	}
	var records []*kgo.Record
	for len(records) == 0 && end > 0 || len(records) > 0 && records[len(records)-1].Offset < end-1 {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %s-%d up to %d: have %d records: %v", topic, partition, end, len(records), ctx.Err())
		}
		fetches.EachError(func(_ string, p int32, err error) {
			if !kerr.IsRetriable(err) && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("read %s-%d: %v", topic, p, err)
			}
		})
		records = append(records, fetches.Records()...)
	}
	return records
}

// Retry repeats, while the test has patience, what fails with an error that Kafka calls retriable, such as of a coordinator that is still loading.
func Retry(t testing.TB, f func() error) {
	t.Helper()
	ctx := Context(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var before error
	for {
		err := f()
		if err == nil {
			return
		}
		if !kerr.IsRetriable(err) || ctx.Err() != nil {
			t.Fatalf("%v (before: %v)", err, before)
		}
		before = err
		<-tick.C
	}
}

// Codecs are the compression codecs by name.
var Codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// Show writes a record as one line of text, to compare and to print.
func Show(r *kgo.Record) string {
	text := fmt.Sprintf("%s-%d@%d time=%d key=%s value=%s", r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli(), bytesOrNull(r.Key), bytesOrNull(r.Value))
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %s:%s", h.Key, bytesOrNull(h.Value))
	}
	return text
}

func bytesOrNull(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 100 {
		return fmt.Sprintf("%.60q...(%d bytes, sum %x)", b, len(b), sum(b))
	}
	return fmt.Sprintf("%q", b)
}

func sum(b []byte) (s uint32) {
	for _, c := range b {
		s = s*31 + uint32(c)
	}
	return s
}

// Same reports the first difference between two lists of records.
func Same(t testing.TB, want, got []*kgo.Record) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			t.Errorf("record %d of %d is missing: %s", i, len(want), Show(want[i]))
			return
		case i >= len(want):
			t.Errorf("a record more than the %d there should be: %s", len(want), Show(got[i]))
			return
		case Show(want[i]) != Show(got[i]):
			t.Errorf("record %d: want %s\ngot %s", i, Show(want[i]), Show(got[i]))
			return
		}
	}
}

// Sorted returns the names of a set of codecs, or the like, in order.
func Sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Whole tells what a cluster of so many brokers lacks: a broker, a leader, a replica that is in sync; nil if nothing.
func Whole(ctx context.Context, admin *kadm.Client, brokers int) error {
	m, err := admin.Metadata(ctx)
	if err != nil {
		return err
	}
	if len(m.Brokers) != brokers {
		return fmt.Errorf("%d brokers", len(m.Brokers))
	}
	for name, t := range m.Topics {
		if t.Err != nil {
			return fmt.Errorf("%s: %w", name, t.Err)
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) != len(p.Replicas) {
				return fmt.Errorf("%s-%d: leader %d, ISR %v of %v: %v", name, p.Partition, p.Leader, p.ISR, p.Replicas, p.Err)
			}
		}
	}
	return nil
}
