// Package e2e uses a broker as users do: a process, its scripts, a Go program, several clients at once. Its tests need
// nothing but Go.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// TestProduceAndConsume writes with every codec, restarts the broker, and reads the same records.
func TestProduceAndConsume(t *testing.T) {
	s := server.Start(t, server.Options{})
	want := map[string][]*kgo.Record{}
	for _, codec := range client.Sorted(client.Codecs) {
		topic := "codec-" + codec
		client.Create(t, s.Addr, topic, 1)
		c := client.New(t, s.Addr, kgo.ProducerBatchCompression(client.Codecs[codec]))
		for i := range 500 {
			want[topic] = append(want[topic], &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%5),
				Value: []byte(strings.Repeat(codec, i%40)), Headers: []kgo.RecordHeader{{Key: "i", Value: fmt.Append(nil, i)}, {Key: "null"}}})
		}
		want[topic] = append(want[topic], &kgo.Record{Topic: topic}) // null key, null value
		client.Produce(t, c, want[topic]...)
	}
	for range 2 {
		for _, topic := range client.Sorted(want) {
			client.Same(t, want[topic], client.ReadPartition(t, s.Addr, topic, 0, -1))
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s.Restart(t)
	}
}

// TestLargeRecords sends records at the default limit, and one beyond it.
func TestLargeRecords(t *testing.T) {
	s := server.Start(t, server.Options{})
	client.Create(t, s.Addr, "large", 1)
	c := client.New(t, s.Addr, kgo.ProducerBatchMaxBytes(4_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var want []*kgo.Record
	for i := range 5 {
		want = append(want, &kgo.Record{Topic: "large", Value: []byte(strings.Repeat(fmt.Sprint(i), 1_000_000))})
		client.Produce(t, c, want[i])
	}
	err := c.ProduceSync(client.Context(t), &kgo.Record{Topic: "large", Value: make([]byte, 2_000_000)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a record of 2 MB: %v, want %v", err, kerr.MessageTooLarge)
	}
	// A consumer that asks for less than a record still gets it.
	client.Same(t, want, client.ReadPartition(t, s.Addr, "large", 0, -1, kgo.FetchMaxPartitionBytes(1000), kgo.FetchMaxBytes(1000)))
}

// TestLongPoll checks that a consumer at the end of a log hears of a record at once, not when its wait is over.
func TestLongPoll(t *testing.T) {
	s := server.Start(t, server.Options{})
	client.Create(t, s.Addr, "polled", 1)
	consumer := client.New(t, s.Addr, kgo.ConsumeTopics("polled"), kgo.FetchMaxWait(20*time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	producer := client.New(t, s.Addr)
	ctx := client.Context(t)
	start := time.Now()
	for i := range 20 {
		client.Produce(t, producer, &kgo.Record{Topic: "polled", Value: fmt.Append(nil, i)})
		records := consumer.PollFetches(ctx).Records()
		if len(records) != 1 || string(records[0].Value) != fmt.Sprint(i) {
			t.Fatalf("poll %d: %d records, %v", i, len(records), ctx.Err())
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("20 records took %v: a waiting fetch is not woken", took)
	}
}

// TestGroup lets members join and leave while records flow: every record is consumed, and after an orderly end none twice.
func TestGroup(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{})
			client.Create(t, s.Addr, "shared", 6)
			g := newGathering()
			// Every partition gets records: when all are consumed, each has an owner and the generation is in the log. A member
			// that leaves in a generation that never began is, after a restart, a member still, until its session is over.
			producer := client.New(t, s.Addr, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
			sent := 0
			send := func() {
				for range 300 {
					client.Produce(t, producer, &kgo.Record{Topic: "shared", Value: fmt.Append(nil, sent)})
					sent++
				}
			}
			stops := []func(){}
			for range 3 {
				stops = append(stops, g.member(t, s.Addr, kgo.Balancers(balancer)))
				send()
				g.wait(t, sent)
			}
			stops[0]()
			send()
			g.wait(t, sent)
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			s.Restart(t)
			send()
			g.wait(t, sent)
			stops[1]()
			stops[2]()

			admin := kadm.NewClient(client.New(t, s.Addr))
			var l kadm.DescribedGroupLag
			client.Retry(t, func() error {
				lags, err := admin.Lag(client.Context(t), "gathering")
				l = lags["gathering"]
				return errors.Join(err, l.Error())
			})
			if l.State != "Empty" || l.Lag.Total() != 0 {
				t.Errorf("after all members left the group is %s with a lag of %d", l.State, l.Lag.Total())
			}
		})
	}
}

// gathering collects what the members of one group consume.
type gathering struct {
	mu   sync.Mutex
	seen map[string]int
	more chan struct{}
}

func newGathering() *gathering {
	return &gathering{seen: map[string]int{}, more: make(chan struct{}, 1)}
}

func (g *gathering) member(t *testing.T, addr string, options ...kgo.Opt) (stop func()) {
	c := client.New(t, addr, append(options, kgo.ConsumerGroup("gathering"), kgo.ConsumeTopics("shared"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(100*time.Millisecond), kgo.AutoCommitMarks())...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			records := c.PollFetches(ctx).Records()
			g.mu.Lock()
			for _, r := range records {
				g.seen[string(r.Value)]++
			}
			g.mu.Unlock()
			c.MarkCommitRecords(records...)
			select {
			case g.more <- struct{}{}:
			default:
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.CommitMarkedOffsets(ctx); err != nil {
			t.Errorf("commit: %v", err)
		}
		c.Close()
	})
	t.Cleanup(stop)
	return stop
}

func (g *gathering) wait(t *testing.T, want int) {
	t.Helper()
	ctx := client.Context(t)
	for {
		g.mu.Lock()
		have := len(g.seen)
		g.mu.Unlock()
		if have == want {
			return
		}
		select {
		case <-g.more:
		case <-ctx.Done():
			t.Fatalf("consumed %d of %d records", have, want)
		}
	}
}

// TestAutomaticTopic writes to a topic that nobody created.
func TestAutomaticTopic(t *testing.T) {
	s := server.Start(t, server.Options{Extra: []string{"num.partitions=3"}})
	c := client.New(t, s.Addr, kgo.AllowAutoTopicCreation())
	client.Produce(t, c, &kgo.Record{Topic: "on-demand", Value: []byte("v")})
	topics, err := kadm.NewClient(c).ListTopics(client.Context(t), "on-demand")
	if err != nil || len(topics["on-demand"].Partitions) != 3 {
		t.Errorf("%v, %v: want a topic of three partitions", topics, err)
	}
}

// TestRetention deletes what is too old and too much, and says so by the log's start.
func TestRetention(t *testing.T) {
	s := server.Start(t, server.Options{Extra: []string{"log.retention.check.interval.ms=100", "log.initial.task.delay.ms=100", "log.segment.delete.delay.ms=100"}})
	client.Create(t, s.Addr, "short", 1, "retention.bytes", "1000000", "segment.bytes", "1048576")
	c := client.New(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 40 {
		client.Produce(t, c, &kgo.Record{Topic: "short", Value: make([]byte, 100_000)})
	}
	admin := kadm.NewClient(c)
	ctx := client.Context(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		starts, err := admin.ListStartOffsets(ctx, "short")
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := starts.Lookup("short", 0); o.Offset >= 20 {
			break
		}
		<-tick.C
	}
	if got := client.ReadPartition(t, s.Addr, "short", 0, -1); got[len(got)-1].Offset != 39 {
		t.Errorf("the last record has offset %d", got[len(got)-1].Offset)
	}
}

// TestTopicsAreListedInOrder runs a tool on a broker.
func TestTopicsAreListedInOrder(t *testing.T) {
	s := server.Start(t, server.Options{})
	names := []string{"c", "a", "b"}
	for _, name := range names {
		client.Create(t, s.Addr, name, 1)
	}
	slices.Sort(names)
	result := server.Tool(client.Context(t), t, "", "topics", "--list", "--bootstrap-server", s.Addr)
	if got := strings.Fields(result.Stdout); !slices.Equal(got, names) {
		t.Errorf("topics --list printed %q (%s)", got, result.Stderr)
	}
}
