package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
)

// place is a partition that a test writes.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s-%d", p.topic, p.partition) }

// number is what a writer wrote into a record.
func number(r *kgo.Record) int {
	n, err := strconv.Atoi(string(r.Key))
	if err != nil {
		return -1
	}
	return n
}

// writers is one idempotent producer a partition, each with its own codec, that numbers its records.
type writers struct {
	mu     sync.Mutex
	acked  []int // by place
	failed error
	change chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func startWriters(t *testing.T, addr string, places []place) *writers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{acked: make([]int, len(places)), change: make(chan struct{}, 1), cancel: cancel}
	codecs := client.Sorted(client.Codecs)
	for i, p := range places {
		c := client.New(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.StopProducerOnDataLossDetected(), kgo.ProducerBatchCompression(client.Codecs[codecs[i%len(codecs)]]),
			kgo.MaxBufferedRecords(100), kgo.ProducerLinger(0), kgo.RecordRetries(1_000_000))
		w.done.Go(func() { w.write(ctx, c, i, p) })
	}
	t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

func (w *writers) write(ctx context.Context, c *kgo.Client, at int, p place) {
	payload := make([]byte, 2000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	for i := 0; ctx.Err() == nil; i++ {
		record := &kgo.Record{Topic: p.topic, Partition: p.partition, Key: strconv.AppendInt(nil, int64(i), 10), Value: payload[:i*31%len(payload)]}
		// The producer's context is not the loop's: what was begun is to be finished.
		c.Produce(context.Background(), record, func(r *kgo.Record, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			switch {
			case err != nil:
				w.failed = errors.Join(w.failed, fmt.Errorf("%v, record %s: %w", p, r.Key, err))
			case r.Offset != int64(number(r)):
				w.failed = errors.Join(w.failed, fmt.Errorf("%v, record %s was acknowledged at offset %d", p, r.Key, r.Offset))
			default:
				w.acked[at] = number(r) + 1
			}
			select {
			case w.change <- struct{}{}:
			default:
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), client.Patience)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		w.mu.Lock()
		w.failed = errors.Join(w.failed, fmt.Errorf("%v, last records: %w", p, err))
		w.mu.Unlock()
	}
}

func (w *writers) acknowledged() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acked)
}

func (w *writers) total() (n int) {
	for _, a := range w.acknowledged() {
		n += a
	}
	return n
}

// waitFor waits until so many records are acknowledged.
func (w *writers) waitFor(t *testing.T, total int) {
	t.Helper()
	ctx := client.Context(t)
	for w.total() < total {
		select {
		case <-w.change:
		case <-ctx.Done():
			t.Fatalf("%d records acknowledged, want %d", w.total(), total)
		}
		w.mu.Lock()
		err := w.failed
		w.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends the writers when everything they sent is acknowledged.
func (w *writers) stop(t *testing.T) []int {
	t.Helper()
	w.cancel()
	w.done.Wait()
	if w.failed != nil {
		t.Fatal(w.failed)
	}
	return w.acknowledged()
}
