package interop

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// TestGroupsWithMembers compares what is said of groups while members are in them.
func TestGroupsWithMembers(t *testing.T) {
	s := server.Start(t, server.Options{})
	p := newPair(t, s)
	client.Create(t, s.Addr, "watched", 3)
	producer := client.New(t, s.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range int32(7) {
		client.Produce(t, producer, &kgo.Record{Topic: "watched", Partition: i % 2, Value: []byte("v")})
	}
	member(t, s, kgo.ConsumerGroup("lively"), kgo.ClientID("first"))
	member(t, s, kgo.ConsumerGroup("lively"), kgo.ClientID("second"), kgo.InstanceID("instance-2"))
	settled(t, s, "lively", 2)

	for _, args := range [][]string{
		{"consumer-groups", "--describe", "--group", "lively"},
		{"consumer-groups", "--describe", "--group", "lively", "--members"},
		{"consumer-groups", "--describe", "--group", "lively", "--members", "--verbose"},
		{"consumer-groups", "--describe", "--group", "lively", "--state"},
		{"consumer-groups", "--describe", "--all-groups"},
		{"consumer-groups", "--describe", "--all-groups", "--state"},
		{"consumer-groups", "--list", "--state"},
		{"consumer-groups", "--list", "--state", "Stable"},
		{"consumer-groups", "--list", "--type"},
		{"consumer-groups", "--delete-offsets", "--group", "lively", "--topic", "watched"},
	} {
		p.compare(t, step{kind: "sort", args: args})
	}
	for _, args := range [][]string{
		{"consumer-groups", "--delete", "--group", "lively"},
		{"consumer-groups", "--reset-offsets", "--group", "lively", "--topic", "watched", "--to-earliest", "--execute"},
	} {
		p.compare(t, step{kind: "error", args: args})
	}
}

// member joins a group and stays in it until the test ends.
func member(t *testing.T, s *server.Server, options ...kgo.Opt) {
	t.Helper()
	c := client.New(t, s.Addr, append(options, kgo.ConsumeTopics("watched"), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.Balancers(kgo.RangeBalancer()), kgo.AutoCommitInterval(200*time.Millisecond))...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.PollFetches(ctx)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// settled waits until a group is stable with that many members, all records are committed, and nothing moves any more.
func settled(t *testing.T, s *server.Server, group string, members int) {
	t.Helper()
	ctx := client.Context(t)
	admin := kadm.NewClient(client.New(t, s.Addr))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lags, err := admin.Lag(ctx, group)
		if err == nil {
			l := lags[group]
			if l.State == "Stable" && len(l.Members) == members && l.Error() == nil && l.Lag.Total() == 0 {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("group %s did not settle: %+v %v", group, lags[group], err)
		case <-tick.C:
		}
	}
}
