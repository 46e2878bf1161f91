package interop

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/reference"
	"gregor/test/server"
)

// TestClusterOnEnsemble runs three of our brokers on an ensemble of three Apache ZooKeeper servers, which loses one and then
// two of the three. With two of three everything works; with one the brokers go on with what they lead, and nothing about
// topics can be changed until a second is back. Nothing acknowledged is lost.
func TestClusterOnEnsemble(t *testing.T) {
	k, err := reference.Fetch(t.Context(), reference.VersionZooKeeper)
	if err != nil {
		t.Fatal(err)
	}
	e, err := k.StartEnsemble(t.Context(), 3, reference.ZooKeeperOptions{Dir: t.TempDir(), Port: server.FreePorts(t, 9), Heap: "128m"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	c := server.StartCluster(t, server.ClusterOptions{ZooKeeper: strings.Join(e.Addrs(), ",") + "/gregor", Extra: []string{"min.insync.replicas=2", "zookeeper.session.timeout.ms=6000"}})
	cl := client.New(t, "", kgo.SeedBrokers(c.Addrs()...))
	admin := kadm.NewClient(cl)
	create := func(ctx context.Context, topic string) error {
		resp, err := admin.CreateTopic(ctx, 6, 3, nil, topic)
		if err == nil {
			err = resp.Err
		}
		if err != nil && strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
			err = nil // by an attempt whose answer was lost
		}
		return err
	}
	changes := func(topic string) {
		t.Helper()
		took := await(t, "create "+topic, func(ctx context.Context) error { return create(ctx, topic) })
		t.Logf("%s was created within %v", topic, took.Round(time.Millisecond))
	}
	changes("load")
	l := startNumbers(t, c.Addrs(), "load")
	l.goesOn("start")

	e.Nodes[0].Kill()
	changes("one-lost")
	l.goesOn("one of three was lost")

	e.Nodes[1].Kill()
	l.goesOn("two of three were lost")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	if err := create(ctx, "nobody-decides"); err == nil {
		t.Error("a topic was created without a majority")
	}
	cancel()
	l.goesOn("two of three were lost for seconds")

	if err := e.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	changes("two-again")
	l.goesOn("two of three are there again")
	c.Node(2).Kill()
	l.goesOn("a broker was killed")
	c.Node(2).Restart(t)
	await(t, "all replicas in sync", func(ctx context.Context) error { return client.Whole(ctx, admin, 3) })
	l.finish()
}
