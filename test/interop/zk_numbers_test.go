package interop

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
)

// await repeats something until it goes well.
func await(t *testing.T, what string, f func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := f(ctx)
		cancel()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > 90*time.Second {
			t.Fatalf("not within 90 s: %s: %v", what, err)
		}
		<-tick.C
	}
}

// numbers writes numbers to a topic, and has a group read them.
type numbers struct {
	t      *testing.T
	cancel context.CancelFunc
	work   sync.WaitGroup
	acked  atomic.Int64
	seen   atomic.Int64

	mu     sync.Mutex
	values map[string]bool // acknowledged
	read   map[string]bool
}

func startNumbers(t *testing.T, seeds []string, topic string) *numbers {
	ctx, cancel := context.WithCancel(context.Background())
	l := &numbers{t: t, cancel: cancel, values: map[string]bool{}, read: map[string]bool{}}
	t.Cleanup(func() { cancel(); l.work.Wait() })
	dial := kgo.Dialer((&net.Dialer{Timeout: 2 * time.Second}).DialContext)
	writer := client.New(t, "", kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), dial,
		kgo.MaxBufferedRecords(100), kgo.RequestTimeoutOverhead(3*time.Second), kgo.RetryTimeout(5*time.Minute))
	reader := client.New(t, "", kgo.SeedBrokers(seeds...), kgo.ConsumerGroup("readers"), kgo.ConsumeTopics(topic), dial, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RequestTimeoutOverhead(3*time.Second), kgo.AutoCommitInterval(time.Second))
	l.work.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			writer.Produce(ctx, kgo.StringRecord(strconv.Itoa(n)), func(r *kgo.Record, err error) {
				if err != nil {
					return
				}
				l.mu.Lock()
				l.values[string(r.Value)] = true
				l.mu.Unlock()
				l.acked.Add(1)
			})
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	l.work.Go(func() {
		for ctx.Err() == nil {
			reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				l.mu.Lock()
				l.read[string(r.Value)] = true
				l.mu.Unlock()
				l.seen.Add(1)
			})
		}
	})
	return l
}

// goesOn waits until more is acknowledged and read.
func (l *numbers) goesOn(what string) {
	l.t.Helper()
	acked, seen := l.acked.Load()+100, l.seen.Load()+100
	took := await(l.t, "after "+what+" more is written and read", func(context.Context) error {
		if a, s := l.acked.Load(), l.seen.Load(); a < acked || s < seen {
			return fmt.Errorf("acknowledged %d of %d, seen %d of %d", a, acked, s, seen)
		}
		return nil
	})
	l.t.Logf("%s: 100 more acknowledged and seen after %v", what, took.Round(time.Millisecond))
}

// finish waits until the group has everything that was acknowledged.
func (l *numbers) finish() {
	l.t.Helper()
	l.mu.Lock()
	acked := make([]string, 0, len(l.values))
	for v := range l.values {
		acked = append(acked, v)
	}
	l.mu.Unlock()
	await(l.t, "the group reads everything", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, v := range acked {
			if !l.read[v] {
				return fmt.Errorf("%s was acknowledged and not seen", v)
			}
		}
		return nil
	})
	l.t.Logf("%d records acknowledged and read", len(acked))
}
