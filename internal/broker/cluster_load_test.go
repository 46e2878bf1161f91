package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Leaders change again and again while an idempotent producer and consumers work: nothing acknowledged is lost, comes
// twice, or out of order. Meant for the race detector, too.
func TestLeaderChangesUnderLoad(t *testing.T) {
	c := startCluster(t, 3, 2*time.Second)
	const partitions = 4
	c.createTopic("t", partitions, 1, 2, 3)
	changes := 40
	if testing.Short() {
		changes = 10
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seeds := kgo.SeedBrokers(c.brokers[0].addr, c.brokers[1].addr, c.brokers[2].addr)
	pause := kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond })
	producer, err := kgo.NewClient(seeds, pause, kgo.MetadataMinAge(10*time.Millisecond), kgo.DefaultProduceTopic("t"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(200))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var sent [partitions]int
	var acked atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; n < 200*changes; n++ {
			p := n % partitions
			r := &kgo.Record{Partition: int32(p), Value: fmt.Appendf(nil, "%d", sent[p])}
			sent[p]++
			producer.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
					return
				}
				acked.Add(1)
			})
		}
	}()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range changes {
		// One after the other, so that the producer gets on between them.
		eventually(t, "records are acknowledged", func() bool { return acked.Load() >= int64(200*i) })
		c.mu.Lock()
		r := metadata.NewPartitionChangeRecord()
		r.TopicID, r.PartitionID = topicID("t"), int32(rnd.IntN(partitions))
		isr := c.truth.Topic("t").Partitions[r.PartitionID].ISR
		r.Leader = isr[rnd.IntN(len(isr))]
		c.apply(r)
		c.mu.Unlock()
	}
	<-done
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	consumer, err := kgo.NewClient(seeds, pause, kgo.MetadataMinAge(10*time.Millisecond), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var got [partitions]int
	for n := 0; n < int(acked.Load()); {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(got[r.Partition]) {
				t.Fatalf("partition %d: record %s comes after %d", r.Partition, r.Value, got[r.Partition]-1)
			}
			got[r.Partition]++
			n++
		})
	}
	if got != sent {
		t.Errorf("%v were sent, %v read", sent, got)
	}
}
