package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
	"gregor/test/zookeeper"
)

// brokers is how many nodes a cluster has; each is broker and controller.
const brokers = 3

// topic is the one under load.
const (
	topic      = "written"
	partitions = 6
	groupName  = "readers"
)

// zooKeeperHost is where ZooKeeper runs, if it does.
const zooKeeperHost = brokers + 1

// cluster is brokers on hosts 1 to 3 of a network, with the ids of their hosts.
type cluster struct {
	t         testing.TB
	net       *network
	nodes     [brokers + 1]*node // by id; 0 is unused
	zooKeeper *node              // nil: the brokers are controllers, and keep the metadata

	client *kgo.Client
	admin  *kadm.Client
}

// node is one process.
type node struct {
	id      int
	host    *host
	command string
	config  string
	log     *lockedBuffer
	cmd     *exec.Cmd
	done    chan struct{}
}

// startCluster starts brokers that are controllers, too.
func startCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(t, brokers)}
	var voters []string
	for id := 1; id <= brokers; id++ {
		voters = append(voters, fmt.Sprintf("%d@%s:9093", id, address(id)))
	}
	c.configure(func(id int) []string {
		return []string{
			"process.roles=broker,controller",
			fmt.Sprintf("node.id=%d", id),
			fmt.Sprintf("listeners=PLAINTEXT://%s:9092,CONTROLLER://%s:9093", address(id), address(id)),
			"controller.listener.names=CONTROLLER",
			"controller.quorum.voters=" + strings.Join(voters, ","),
		}
	})
	c.start()
	return c
}

// startClusterOnZooKeeper starts a ZooKeeper server of ours and brokers on it.
func startClusterOnZooKeeper(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(t, zooKeeperHost)}
	dir := t.TempDir()
	z := &node{id: zooKeeperHost, host: c.net.hosts[zooKeeperHost], command: "zookeeper-server-start", config: filepath.Join(dir, "zookeeper.properties"), log: &lockedBuffer{}}
	if err := os.WriteFile(z.config, []byte("tickTime=500\nclientPort=2181\nmaxClientCnxns=0\ndataDir="+filepath.Join(dir, "data")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.zooKeeper = z
	t.Cleanup(func() {
		if z.kill(); t.Failed() {
			t.Logf("log of ZooKeeper:\n%s", z.log.tail(80))
		}
	})
	c.configure(func(id int) []string {
		return []string{
			fmt.Sprintf("broker.id=%d", id),
			fmt.Sprintf("listeners=PLAINTEXT://%s:9092", address(id)),
			"zookeeper.connect=" + address(zooKeeperHost).String() + ":2181",
			"zookeeper.session.timeout.ms=3000",
		}
	})
	z.start(t)
	c.start()
	return c
}

// configure makes the nodes; lines are what tells them from each other.
func (c *cluster) configure(lines func(id int) []string) {
	t := c.t
	t.Helper()
	dir := t.TempDir()
	for id := 1; id <= brokers; id++ {
		n := &node{id: id, host: c.net.hosts[id], command: "server-start", config: filepath.Join(dir, fmt.Sprintf("server%d.properties", id)), log: &lockedBuffer{}}
		all := append(lines(id),
			"log.dirs="+filepath.Join(dir, fmt.Sprintf("data%d", id)),
			// Short, so that a round is: what is paused or cut off must be found out by its silence.
			"broker.session.timeout.ms=3000",
			"broker.heartbeat.interval.ms=500",
			"replica.lag.time.max.ms=3000",
			"group.initial.rebalance.delay.ms=0",
			"offsets.topic.num.partitions=3",
			"transaction.state.log.num.partitions=3",
			"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
			"default.replication.factor=3",
			"min.insync.replicas=2",
			"log.segment.bytes=1048576", // segments roll while faults happen
		)
		if err := os.WriteFile(n.config, []byte(strings.Join(all, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c.nodes[id] = n
	}
}

// start starts the nodes, and makes the topic.
func (c *cluster) start() {
	t := c.t
	t.Helper()
	t.Cleanup(func() {
		for _, n := range c.nodes[1:] {
			n.kill()
			if t.Failed() {
				t.Logf("log of node %d:\n%s", n.id, n.log.tail(80))
			}
		}
	})
	for _, n := range c.nodes[1:] {
		n.start(t)
	}
	c.client = client.New(t, "", kgo.SeedBrokers(c.seeds()...))
	c.admin = kadm.NewClient(c.client)
	within(t, time.Minute, "the topic is created", func() bool {
		_, err := c.admin.CreateTopic(client.Context(t), partitions, 3, nil, topic)
		return err == nil || errors.Is(err, kerr.TopicAlreadyExists)
	})
	c.awaitWhole(time.Minute)
}

func (c *cluster) seeds() []string {
	var all []string
	for _, n := range c.nodes[1:] {
		all = append(all, n.host.addr.String()+":9092")
	}
	return all
}

// leader is who leads a partition, controller the active controller; 0 when nobody does.
func (c *cluster) leader(partition int32) int {
	m, err := c.admin.Metadata(client.Context(c.t), topic)
	if err != nil {
		return 0
	}
	return max(0, int(m.Topics[topic].Partitions[partition].Leader))
}

func (c *cluster) controller() int {
	if c.zooKeeper != nil {
		return c.controllerByZooKeeper()
	}
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic, t.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(client.Context(c.t), c.client)
	if err != nil || len(resp.Topics) == 0 || len(resp.Topics[0].Partitions) == 0 {
		return 0
	}
	return max(0, int(resp.Topics[0].Partitions[0].LeaderID))
}

// controllerByZooKeeper is who the node /controller names.
func (c *cluster) controllerByZooKeeper() int {
	conn, err := zookeeper.Dial(address(zooKeeperHost).String()+":2181", zookeeper.Hello{TimeoutMs: 2000})
	if err != nil {
		return 0
	}
	defer conn.Close()
	m, err := conn.Do(zookeeper.Read(zookeeper.OpGetData, "/controller", false))
	if err != nil || m.Err != 0 {
		return 0
	}
	_, rest, _ := strings.Cut(string(m.Body), `"brokerid":`)
	id := 0
	_, _ = fmt.Sscanf(rest, "%d", &id)
	_, _ = conn.Do(zookeeper.Bare(zookeeper.OpCloseSession))
	return id
}

func (c *cluster) awaitWhole(d time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	var err error
	defer func() {
		if c.t.Failed() {
			c.t.Logf("the cluster is not whole: %v", err)
		}
	}()
	within(c.t, d, "all replicas in sync", func() bool { err = client.Whole(client.Context(c.t), c.admin, brokers); return err == nil })
	return time.Since(began)
}

func (n *node) start(t testing.TB) {
	t.Helper()
	n.cmd = command(n.host, server.Binary(t), n.command, n.config)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.done = make(chan struct{})
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.done)
	}()
}

func (n *node) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) }

func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.signal(syscall.SIGKILL)
	<-n.done
}

// stop ends the process as a service manager does.
func (n *node) stop(t testing.TB) {
	t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(time.Minute):
		t.Fatalf("node %d does not end within a minute of SIGTERM", n.id)
	}
}

// lockedBuffer is what a process wrote.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(b.b.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
