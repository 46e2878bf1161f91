package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gregor/internal/metadata"
	"gregor/internal/peer"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// testCluster is brokers that follow each other over loopback connections, and a controller that does what it is asked.
type testCluster struct {
	t       testing.TB
	brokers []*testBroker // by id, from 1

	mu    sync.Mutex
	truth *metadata.Image
}

func startCluster(t testing.TB, n int, lag time.Duration) *testCluster {
	t.Helper()
	c := &testCluster{t: t, truth: metadata.NewImage("cluster")}
	var all []metadata.Record
	for i := range n {
		tb := startNode(t, int32(i+1), nil, func(o *replica.Options) {
			o.Alter = c.alter
			o.BrokerEpoch = func() int64 { return 5 }
			o.LagTime = func() time.Duration { return lag }
			o.Connect = c.connect
		})
		c.brokers = append(c.brokers, tb)
		all = append(all, tb.registration)
	}
	all = append(all, &metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 25})
	c.publish(all...)
	return c
}

func (c *testCluster) connect(ctx context.Context, broker int32) (replica.Remote, error) {
	conn, err := peer.Dial(ctx, peer.Options{Addr: c.brokers[broker-1].addr, ClientID: "follower"})
	if err != nil {
		return nil, err
	}
	return replica.OverPeer(conn), nil
}

// publish tells all brokers.
func (c *testCluster) publish(records ...metadata.Record) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(records...)
}

func (c *testCluster) apply(records ...metadata.Record) {
	d := metadata.NewDelta(c.truth)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			c.t.Error(err)
		}
	}
	c.truth = d.Image(c.truth.Offset()+int64(len(records)), 1)
	for _, tb := range c.brokers {
		tb.publish(records...)
	}
}

func (c *testCluster) alter(_ context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewAlterPartitionResponseTopic()
			rt.TopidID = t.TopicID
			for _, in := range t.Partitions {
				out := kmsg.NewAlterPartitionResponseTopicPartition()
				out.Partition = in.Partition
				p := c.truth.TopicByID(t.TopicID).Partitions[in.Partition]
				if in.PartitionEpoch != p.PartitionEpoch || p.Leader != req.BrokerID {
					out.ErrorCode = kerr.InvalidUpdateVersion.Code
				} else {
					r := metadata.NewPartitionChangeRecord()
					r.TopicID, r.PartitionID = t.TopicID, in.Partition
					for _, m := range in.NewEpochISR {
						r.ISR = append(r.ISR, m.BrokerID)
					}
					c.apply(r)
					p = p.Merge(r)
					out.LeaderID, out.LeaderEpoch, out.PartitionEpoch, out.ISR = p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR
				}
				rt.Partitions = append(rt.Partitions, out)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		done(resp, nil)
	}()
}

func (c *testCluster) createTopic(name string, partitions int, replicas ...int32) {
	c.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: topicID(name)}}
	for i := range partitions {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID(name), PartitionID: int32(i), Replicas: replicas, ISR: replicas, Leader: replicas[0], LeaderEpoch: 3})
	}
	c.publish(records...)
}

func (c *testCluster) lead(topic string, leader int32, isr ...int32) {
	c.t.Helper()
	r := metadata.NewPartitionChangeRecord()
	r.TopicID, r.PartitionID, r.Leader, r.ISR = topicID(topic), 0, leader, isr
	c.publish(r)
}

// Records reach every replica, acknowledgements wait for them, and another leader goes on with what the first had.
func TestReplicationOverConnections(t *testing.T) {
	c := startCluster(t, 3, 30*time.Second)
	c.createTopic("t", 1, 1, 2, 3)
	client := c.brokers[0].dial()
	for i := range 50 {
		if got := client.produce(13, "t", 0, -1, batch(fmt.Sprint(i))); got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("%+v", got)
		}
	}
	c.lead("t", 2)
	began := time.Now()
	client = c.brokers[1].dial()
	if got := client.produce(13, "t", 0, -1, batch("50")); got.ErrorCode != 0 || got.BaseOffset != 50 {
		t.Fatalf("%+v", got)
	}
	t.Logf("from the new leader to its first acknowledgement: %s", time.Since(began))
	for _, tb := range c.brokers {
		p, err := tb.manager.Partition("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica has the high watermark", func() bool { return p.Log().HighWatermark() == 51 })
	}
}

// A follower that stops fetching leaves the ISR, what waits for it goes on, and it comes back.
func TestISRShrinksAndGrows(t *testing.T) {
	c := startCluster(t, 3, 300*time.Millisecond)
	c.createTopic("t", 1, 1, 2, 3)
	client := c.brokers[0].dial()
	if got := client.produce(13, "t", 0, -1, batch("a")); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	isr := func() []int32 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Sorted(slices.Values(c.truth.Topic("t").Partitions[0].ISR))
	}
	c.brokers[2].manager.Close() // its fetchers end
	if got := client.produce(13, "t", 0, -1, batch("b")); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	if got := isr(); !slices.Equal(got, []int32{1, 2}) {
		t.Fatalf("ISR %v", got)
	}
}
