package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A client of today produces with each codec, idempotently, and reads it back in sessions with topic ids.
func TestFranzGo(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 3)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	want := make(map[string]bool)
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		producer, err := kgo.NewClient(kgo.SeedBrokers(tb.addr), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			value := fmt.Sprintf("%s %d %s", name, i, strings.Repeat("x", i))
			want[value] = true
			producer.Produce(ctx, &kgo.Record{Key: fmt.Append(nil, i), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "h", Value: nil}}}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := producer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		producer.Close()
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(tb.addr), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	last := make(map[int32]int64)
	for n := len(want); n > 0; {
		fetches := consumer.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			t.Fatal(errs)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !want[string(r.Value)] || r.Offset != last[r.Partition] || !slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "h" && h.Value == nil }) {
				t.Fatalf("partition %d offset %d, %d expected: %.20q %v", r.Partition, r.Offset, last[r.Partition], r.Value, r.Headers)
			}
			delete(want, string(r.Value))
			last[r.Partition]++
			n--
		})
	}
}
