package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// failoverBound is how long it may take from kill -9 of a leader to the first new acknowledgement. What is aimed at is
// below one second; a busy machine gets more.
const failoverBound = 5 * time.Second

func startCluster(t *testing.T, extra ...string) *server.Cluster {
	t.Helper()
	if server.Apache() {
		t.Skip("a cluster of ours")
	}
	return server.StartCluster(t, server.ClusterOptions{Extra: extra})
}

func clusterClient(t *testing.T, c *server.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	return client.New(t, c.Nodes[0].Addr, append([]kgo.Opt{kgo.SeedBrokers(c.Addrs()...), kgo.ConsiderMissingTopicDeletedAfter(time.Hour)}, options...)...)
}

// TestClusterFromEmptyDirectories: a topic can be made through any node, and is on all of them.
func TestClusterFromEmptyDirectories(t *testing.T) {
	c := startCluster(t)
	for i, s := range c.Nodes {
		topic := fmt.Sprintf("by-%d", i+1)
		result := server.Tool(client.Context(t), t, "", "topics", "--bootstrap-server", s.Addr, "--create", "--topic", topic, "--partitions", "3")
		if result.Code != 0 {
			t.Fatalf("create through node %d: %s%s", i+1, result.Stdout, result.Stderr)
		}
		p := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()))
		client.Produce(t, p, &kgo.Record{Topic: topic, Value: []byte("v")})
		p.Close()
	}
	for i, s := range c.Nodes {
		var topics kadm.TopicDetails
		client.Retry(t, func() (err error) { // a node hears of a topic a little after the one that it was made through
			topics, err = kadm.NewClient(client.New(t, s.Addr)).ListTopics(client.Context(t))
			if err == nil && len(topics.Names()) != 3 {
				err = fmt.Errorf("node %d lists %v: %w", i+1, topics.Names(), kerr.UnknownTopicOrPartition)
			}
			return err
		})
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) != 3 {
					t.Errorf("node %d: %s-%d has ISR %v", i+1, topic.Topic, p.Partition, p.ISR)
				}
			}
		}
	}
}

// TestFailover kills the leader of a partition and measures how long nothing is acknowledged: a node that is only a
// leader, then the active controller, then every node in turn. What was acknowledged is there afterwards, once.
func TestFailover(t *testing.T) {
	const partitions = 1000
	c := startCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	p := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond))
	adm := kadm.NewClient(p)
	if _, err := adm.CreateTopic(ctx, partitions, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, "t"); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, "t", 3)
	acked := map[int32]int{} // by partition
	produce := func(partition int32) {
		if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: partition, Value: fmt.Append(nil, acked[partition])}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		acked[partition]++
	}
	for _, round := range []string{"a leader", "the controller", "node 1", "node 2", "node 3", "the controller"} {
		var node int32
		switch controller := activeController(t, p); round {
		case "a leader":
			node = controller%3 + 1
		case "the controller":
			node = controller
		default:
			fmt.Sscanf(round, "node %d", &node)
		}
		partition := ledBy(t, adm, "t", node)
		for range 20 {
			produce(partition)
		}
		c.Node(node).Kill()
		began := time.Now()
		produce(partition)
		took := time.Since(began)
		t.Logf("%s, node %d, was killed; acknowledged again after %v", round, node, took.Round(time.Millisecond))
		if took > failoverBound {
			t.Errorf("nothing was acknowledged for %v", took)
		}
		for range 20 {
			produce(partition)
		}
		c.Node(node).Restart(t)
		awaitInSync(t, adm, "t", 3)
		if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
			t.Error(err)
		}
	}
	for partition, n := range acked {
		seen := map[string]int{}
		for _, r := range client.ReadPartition(t, c.Nodes[0].Addr, "t", partition, int64(n)) {
			seen[string(r.Value)]++
		}
		for i := range n {
			if times := seen[fmt.Sprint(i)]; times != 1 {
				t.Errorf("record %d of partition %d, which was acknowledged, is there %d times", i, partition, times)
			}
		}
	}
}

// activeController is the node that leads the metadata log.
func activeController(t *testing.T, cl *kgo.Client) int32 {
	t.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, topic)
	for ctx := client.Context(t); ; {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil && len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1 && resp.Topics[0].Partitions[0].LeaderID > 0 {
			return resp.Topics[0].Partitions[0].LeaderID
		}
		if ctx.Err() != nil {
			t.Fatalf("nobody leads the quorum: %v", err)
		}
	}
}

// ledBy returns a partition that a node leads.
func ledBy(t *testing.T, adm *kadm.Client, topic string, node int32) int32 {
	t.Helper()
	for ctx := client.Context(t); ; {
		topics, err := adm.ListTopics(ctx, topic)
		for _, p := range topics[topic].Partitions.Sorted() {
			if p.Leader == node {
				return p.Partition
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("node %d leads nothing: %v", node, err)
		}
	}
}

// awaitInSync returns when every partition has so many replicas in sync.
func awaitInSync(t *testing.T, adm *kadm.Client, topic string, replicas int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := client.Context(t); ; <-tick.C {
		topics, err := adm.ListTopics(ctx, topic)
		behind := 0
		for _, p := range topics[topic].Partitions {
			if len(p.ISR) < replicas {
				behind++
			}
		}
		if err == nil && behind == 0 && len(topics[topic].Partitions) > 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d partitions of %s are behind, %v", behind, topic, err)
		}
	}
}
