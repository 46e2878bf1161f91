// Package bench measures a whole broker over its socket: go test ./bench -bench . The parts have benchmarks of their own
// beside them (go test -bench . ./internal/log, ...).
package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor"
	"gregor/test/client"
)

func start(b *testing.B) string {
	b.Helper()
	broker, err := gregor.Start(b.Context(), gregor.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { broker.Close() })
	return broker.Addr()
}

// BenchmarkProduce has one client write records of some size with acks=all, batched as a client does by itself.
func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			addr := start(b)
			client.Create(b, addr, "written", 1)
			c := client.New(b, addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic("written"))
			value := make([]byte, size)
			rand.Read(value)
			b.SetBytes(int64(size))
			for b.Loop() {
				c.Produce(b.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
			if err := c.Flush(b.Context()); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkRoundTrip waits for the acknowledgement of each record before the next: the time of one produce request.
func BenchmarkRoundTrip(b *testing.B) {
	addr := start(b)
	client.Create(b, addr, "written", 1)
	c := client.New(b, addr, kgo.DefaultProduceTopic("written"), kgo.ProducerLinger(0))
	for b.Loop() {
		if err := c.ProduceSync(b.Context(), &kgo.Record{Value: []byte("a record")}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume reads 100 MB of records from the page cache, again and again.
func BenchmarkConsume(b *testing.B) {
	addr := start(b)
	client.Create(b, addr, "read", 1)
	const count, size = 100_000, 1000
	c := client.New(b, addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic("read"))
	value := make([]byte, size)
	rand.Read(value)
	for range count {
		c.Produce(b.Context(), &kgo.Record{Value: value}, nil)
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(count * size)
	for b.Loop() {
		c := client.New(b, addr, kgo.ConsumeTopics("read"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(b.Context(), client.Patience)
		for read := 0; read < count; {
			fetches := c.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			read += fetches.NumRecords()
		}
		cancel()
		c.Close()
	}
}
