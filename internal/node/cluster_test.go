package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/test/server"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is nodes of one quorum in this process. Nothing but the network joins them.
type cluster struct {
	t       *testing.T
	dir     string
	ports   []int // of the controllers' listeners, by node
	clients []int
	extra   []string
	own     map[int][]string // of single nodes
	nodes   []*Node
}

// newCluster makes a cluster of combined nodes 1 to n that are not started yet.
func newCluster(t *testing.T, n int, extra ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), extra: extra, nodes: make([]*Node, n)}
	for range n {
		c.ports = append(c.ports, freePort(t))
		c.clients = append(c.clients, freePort(t))
	}
	return c
}

// freePort returns a port that nobody listens on, and that is given to nobody else: one that the system chooses may be
// chosen again, or go to a client, before it is used.
func freePort(t *testing.T) int {
	t.Helper()
	return server.FreePort(t)
}

func (c *cluster) props(id int) []string {
	var voters []string
	for i, port := range c.ports {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, port))
	}
	return append([]string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", id), "controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", c.clients[id-1], c.ports[id-1]),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"log.dirs=" + filepath.Join(c.dir, fmt.Sprint(id)),
		"controller.quorum.election.timeout.ms=300",
	}, append(slices.Clone(c.extra), c.own[id]...)...)
}

// start starts one node.
func (c *cluster) start(id int, extra ...string) (*Node, error) {
	m := map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "3"}
	if err := config.Override(m, append(c.props(id), extra...)); err != nil {
		return nil, err
	}
	v, _, err := config.ParseBroker(m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	return Start(ctx, Options{Config: v, Logs: NewLogs(prefixed{fmt.Sprintf("%d ", id), c.t}, slog.LevelInfo)})
}

// run starts all nodes that do not run.
func (c *cluster) run() {
	c.t.Helper()
	var wg sync.WaitGroup
	for i := range c.nodes {
		if c.nodes[i] != nil {
			continue
		}
		wg.Go(func() {
			n, err := c.start(i + 1)
			if err != nil {
				c.t.Errorf("node %d: %v", i+1, err)
				return
			}
			c.nodes[i] = n
			c.t.Cleanup(func() { c.stopNode(n) })
		})
	}
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *cluster) stopNode(n *Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		c.t.Error(err)
	}
}

func (c *cluster) stop(id int) {
	c.stopNode(c.nodes[id-1])
	c.nodes[id-1] = nil
}

func (c *cluster) seeds() (addrs []string) {
	for _, port := range c.clients {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return addrs
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.seeds()...), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// prefixed writes a node's log into the test's.
type prefixed struct {
	prefix string
	t      *testing.T
}

func (p prefixed) Write(b []byte) (int, error) {
	_, err := fmt.Fprint(p.t.Output(), p.prefix, string(b))
	return len(b), err
}

// TestThreeNodes is a cluster from empty directories: the nodes agree on a cluster, replicate what is produced, and go on
// without one of them.
func TestThreeNodes(t *testing.T) {
	ctx := within(t)
	c := newCluster(t, 3)
	c.run()
	for _, n := range c.nodes {
		if n.ClusterID() != c.nodes[0].ClusterID() {
			t.Errorf("node %d is in cluster %s, node 1 in %s", n.NodeID(), n.ClusterID(), c.nodes[0].ClusterID())
		}
	}
	cl := c.client(kgo.RequiredAcks(kgo.AllISRAcks()))
	adm := kadm.NewClient(cl)
	created, err := adm.CreateTopic(ctx, 3, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, "t")
	if err != nil {
		t.Fatal(err, created.ErrMessage)
	}
	for i := range 100 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.stop(1)
	for i := range 100 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, 100+i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.run()
	reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]bool{}
	for len(seen) < 200 {
		f := reader.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		f.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
}

// TestDedicatedRoles is three controllers and three brokers, which find the controllers by some addresses.
func TestDedicatedRoles(t *testing.T) {
	ctx := within(t)
	c := newCluster(t, 6)
	var voters, servers []string
	for i := range 3 {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, c.ports[i]))
		servers = append(servers, fmt.Sprintf("127.0.0.1:%d", c.ports[i]))
	}
	c.own = map[int][]string{}
	for id := 1; id <= 6; id++ {
		if id <= 3 {
			c.own[id] = []string{"process.roles=controller", fmt.Sprintf("listeners=CONTROLLER://127.0.0.1:%d", c.ports[id-1]), "controller.quorum.voters=" + strings.Join(voters, ",")}
		} else {
			c.own[id] = []string{"process.roles=broker", fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d", c.clients[id-1]), "controller.quorum.bootstrap.servers=" + strings.Join(servers, ","), "controller.quorum.voters="}
		}
	}
	c.run()
	cl := c.client(kgo.SeedBrokers(c.seeds()[3:]...), kgo.RequiredAcks(kgo.AllISRAcks()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil || !slices.Equal(brokers.NodeIDs(), []int32{4, 5, 6}) {
		t.Errorf("brokers %v, %v", brokers.NodeIDs(), err)
	}
	produce := func(n int) {
		for i := range n {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce(20)
	for id := 1; id <= 3; id++ { // each controller in turn, so the active one too
		c.stop(id)
		if _, err := adm.CreateTopic(ctx, 1, 3, nil, fmt.Sprintf("without-%d", id)); err != nil {
			t.Error(err)
		}
		produce(5)
		c.run()
	}
	for id := 4; id <= 6; id++ {
		c.stop(id)
		produce(5)
		c.run()
	}
}
