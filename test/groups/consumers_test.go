package groups

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

var noHiding = strings.NewReplacer()

// TestConsumersShareATopic has consumers come and go while a topic is filled. Every record is read, and in the end
// everything is committed.
func TestConsumersShareATopic(t *testing.T) {
	b := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=5"}})
	for name, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "cooperative": kgo.CooperativeStickyBalancer(),
	} {
		for _, static := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s static=%v", name, static), func(t *testing.T) {
				share(t, b.Addr, fmt.Sprintf("%s-%v", name, static), balancer, static)
			})
		}
	}
}

func share(t *testing.T, addr, name string, balancer kgo.GroupBalancer, static bool) {
	const records, partitions = 3000, 6
	client.Create(t, addr, name, partitions)
	ctx, cancel := context.WithTimeout(client.Context(t), client.Patience)
	defer cancel()
	producer := client.New(t, addr)
	var mu sync.Mutex
	read := map[string]int{}
	all := make(chan struct{})
	consume := func(i int) (stop func()) {
		options := []kgo.Opt{
			kgo.SeedBrokers(addr), kgo.ConsumerGroup(name), kgo.ConsumeTopics(name), kgo.Balancers(balancer),
			kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		}
		if static {
			options = append(options, kgo.InstanceID(fmt.Sprint(i)))
		}
		c, err := kgo.NewClient(options...)
		if err != nil {
			t.Error(err)
			return func() {}
		}
		until, end := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for until.Err() == nil {
				fetches := c.PollRecords(until, 100)
				mu.Lock()
				fetches.EachRecord(func(r *kgo.Record) { read[string(r.Value)]++ })
				if len(read) == records {
					select {
					case <-all:
					default:
						close(all)
					}
				}
				mu.Unlock()
				_ = c.CommitUncommittedOffsets(ctx)
			}
			c.Close()
			if static {
				// A static member does not leave by itself; the others would wait for its session timeout.
				if _, err := kadm.NewClient(producer).LeaveGroup(ctx, kadm.LeaveGroup(name).InstanceIDs(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		}()
		return func() { end(); <-done }
	}
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			producer.Produce(ctx, &kgo.Record{Topic: name, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}, nil)
		}
		if err := producer.Flush(ctx); err != nil {
			t.Error(err)
		}
	}
	first := consume(1)
	produce(0, 1000)
	second := consume(2)
	produce(1000, 2000)
	third := consume(3)
	first()
	produce(2000, records)
	select {
	case <-all:
	case <-ctx.Done():
		mu.Lock()
		t.Errorf("%d of %d records were read", len(read), records)
		mu.Unlock()
	}
	second()
	third()

	admin := kadm.NewClient(producer)
	lags, err := admin.Lag(client.Context(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if lag := lags[name].Lag.Total(); lag != 0 {
		t.Errorf("a lag of %d is left", lag)
	}
	if state := lags[name].State; state != "Empty" {
		t.Errorf("the group is %s, want Empty", state)
	}
}
