package server

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// ClusterOptions says how a cluster runs.
type ClusterOptions struct {
	Nodes int      // 0: three
	Dirs  int      // log directories of each node: DIR/0, DIR/1, ...; 0: one, DIR itself
	Extra []string // key=value lines of every node's configuration
	// ZooKeeper is zookeeper.connect: the metadata is there, and no node has a listener of controllers.
	ZooKeeper string
	Apache    bool // Apache Kafka's nodes, with Options.Fast
}

// Cluster is nodes 1 to n, of ours or of Apache Kafka's, each broker and controller, as processes.
type Cluster struct {
	Nodes       []*Server // Nodes[0] is node 1
	Controllers []string  // the addresses of the controllers' listeners; none on ZooKeeper
}

// StartCluster starts a cluster that ends with the test, and returns when every node serves. Suites that may run against
// Apache Kafka skip where they use it.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	var voters []string
	options := make([]Options, o.Nodes)
	root := t.TempDir()
	for i := range options {
		if o.ZooKeeper != "" {
			options[i] = o.onZooKeeper(filepath.Join(root, fmt.Sprint(i+1)), FreePort(t), i+1)
			continue
		}
		client, quorum := FreePort(t), FreePort(t)
		voters = append(voters, fmt.Sprintf("%d@localhost:%d", i+1, quorum))
		options[i] = Options{Ours: !o.Apache, Apache: o.Apache, Fast: o.Apache, Dir: filepath.Join(root, fmt.Sprint(i+1)), Port: client, Extra: []string{
			fmt.Sprintf("node.id=%d", i+1),
			"process.roles=broker,controller",
			"controller.listener.names=CONTROLLER",
			fmt.Sprintf("listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", client, quorum),
			fmt.Sprintf("offsets.topic.replication.factor=%d", o.Nodes),
			"default.replication.factor=" + fmt.Sprint(o.Nodes),
			"offsets.topic.num.partitions=6",
		}}
	}
	c := &Cluster{Nodes: make([]*Server, o.Nodes)}
	for _, v := range voters {
		_, addr, _ := strings.Cut(v, "@")
		c.Controllers = append(c.Controllers, addr)
	}
	if !o.Apache {
		Binary(t)
	}
	var wg sync.WaitGroup
	errs := make([]error, o.Nodes)
	for i := range options {
		if voters != nil {
			options[i].Extra = append(options[i].Extra, "controller.quorum.voters="+strings.Join(voters, ","))
		}
		var dirs []string
		for d := range o.Dirs {
			dirs = append(dirs, filepath.Join(options[i].Dir, fmt.Sprint(d)))
		}
		if dirs != nil {
			options[i].Extra = append(options[i].Extra, "log.dirs="+strings.Join(dirs, ","))
		}
		options[i].Extra = append(options[i].Extra, o.Extra...)
		wg.Go(func() { c.Nodes[i], errs[i] = start(t, options[i]) })
	}
	wg.Wait()
	t.Cleanup(func() {
		for i, s := range c.Nodes {
			if t.Failed() && s.Log != nil {
				t.Logf("log of node %d:\n%s", i+1, tail(s.Log(), 60))
			}
			s.Kill()
		}
	})
	for i, err := range errs {
		if err != nil {
			t.Fatalf("node %d: %v", i+1, err)
		}
	}
	return c
}

// onZooKeeper is how node id runs on ZooKeeper.
func (o ClusterOptions) onZooKeeper(dir string, port, id int) Options {
	return Options{Ours: true, Dir: dir, Port: port, Extra: []string{
		fmt.Sprintf("node.id=%d", id),
		"zookeeper.connect=" + o.ZooKeeper,
		fmt.Sprintf("offsets.topic.replication.factor=%d", o.Nodes),
		"default.replication.factor=" + fmt.Sprint(o.Nodes),
		"offsets.topic.num.partitions=6",
	}}
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() (addrs []string) {
	for _, s := range c.Nodes {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// Node returns a node by its id.
func (c *Cluster) Node(id int32) *Server { return c.Nodes[id-1] }
