package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/server"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// load writes numbers to every partition of a topic while a test does harm, and knows which of them were acknowledged.
type load struct {
	t          *testing.T
	c          *server.Cluster
	topic      string
	partitions int32
	client     *kgo.Client
	cancel     context.CancelFunc
	wg         sync.WaitGroup

	mu    sync.Mutex
	acked []int         // by partition: numbers below it are acknowledged
	last  time.Time     // of the newest acknowledgement
	gap   time.Duration // the longest time without one
	err   error
}

// startLoad makes a topic of three replicas, of which two must be in sync, and begins to write.
func startLoad(t *testing.T, c *server.Cluster, topic string, partitions int32) *load {
	t.Helper()
	l := &load{t: t, c: c, topic: topic, partitions: partitions, acked: make([]int, partitions)}
	l.client = clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProduceRequestTimeout(2*time.Second), kgo.RequestTimeoutOverhead(time.Second)) // a broker that stands still answers nothing
	adm := kadm.NewClient(l.client)
	two := "2"
	if _, err := adm.CreateTopic(client.Context(t), partitions, 3, map[string]*string{"min.insync.replicas": &two}, topic); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, topic, 3)
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel, l.last = cancel, time.Now()
	for p := range partitions {
		l.wg.Go(func() { l.write(ctx, p) })
	}
	t.Cleanup(func() { l.cancel(); l.wg.Wait() })
	l.more(20)
	return l
}

// write has one number after the other acknowledged.
func (l *load) write(ctx context.Context, partition int32) {
	for n := 0; ctx.Err() == nil; n++ {
		err := l.client.ProduceSync(context.WithoutCancel(ctx), &kgo.Record{Topic: l.topic, Partition: partition, Value: strconv.AppendInt(nil, int64(n), 10)}).FirstErr()
		l.mu.Lock()
		if err != nil {
			l.err = fmt.Errorf("partition %d, record %d: %w", partition, n, err)
			l.mu.Unlock()
			return
		}
		l.acked[partition] = n + 1
		now := time.Now()
		l.gap, l.last = max(l.gap, now.Sub(l.last)), now
		l.mu.Unlock()
	}
}

// more waits until every partition has so many more acknowledgements.
func (l *load) more(n int) {
	l.t.Helper()
	l.mu.Lock()
	want := make([]int, len(l.acked))
	for i, have := range l.acked {
		want[i] = have + n
	}
	l.mu.Unlock()
	until(l.t, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for p, have := range l.acked {
			if l.err != nil {
				return l.err
			}
			if have < want[p] {
				return fmt.Errorf("partition %d has %d acknowledged, want %d", p, have, want[p])
			}
		}
		return nil
	})
}

// longestGap returns the longest time that nothing was acknowledged, and begins to measure anew.
func (l *load) longestGap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := max(l.gap, time.Since(l.last))
	l.gap, l.last = 0, time.Now()
	return gap
}

// check ends the load and reads everything: what was acknowledged is there, once and in order, on every replica alike.
func (l *load) check() {
	l.t.Helper()
	l.more(5)
	l.cancel()
	l.wg.Wait()
	if l.err != nil {
		l.t.Fatal(l.err)
	}
	adm := kadm.NewClient(l.client)
	until(l.t, func() error { return client.Whole(l.t.Context(), adm, len(l.c.Nodes)) })
	total := 0
	for p := range l.partitions {
		records := client.ReadPartition(l.t, l.c.Nodes[0].Addr, l.topic, p, -1)
		for i, r := range records {
			if string(r.Value) != strconv.Itoa(i) {
				l.t.Fatalf("partition %d: record %d is %s", p, i, r.Value)
			}
		}
		if len(records) < l.acked[p] {
			l.t.Fatalf("partition %d has %d records, %d were acknowledged", p, len(records), l.acked[p])
		}
		total += len(records)
	}
	l.t.Logf("%d records in %d partitions, each once and in order", total, l.partitions)
}
