package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gregor/bench/load"
)

// cluster is several brokers that are also the controllers.
type cluster struct {
	nodes []*broker
	*admin
}

// startCluster starts c.Nodes processes at once; command is how one starts on its configuration.
func startCluster(ctx context.Context, c Config, command func(node Config, file string) (*exec.Cmd, error)) (Instance, error) {
	var voters []string
	for i := range c.Nodes {
		voters = append(voters, fmt.Sprintf("%d@localhost:%d", i+1, c.Port+2*i+1))
	}
	cl := &cluster{nodes: make([]*broker, c.Nodes)}
	errs := make([]error, c.Nodes)
	var wg sync.WaitGroup
	for i := range c.Nodes {
		node := Config{Dir: filepath.Join(c.Dir, fmt.Sprint(i+1)), Port: c.Port + 2*i}
		wg.Go(func() {
			extra := append(clusterLines(i+1, voters), c.Extra...)
			file, err := writeProperties(node.Dir, common(node.Port, node.Dir, extra))
			if err != nil {
				errs[i] = err
				return
			}
			cmd, err := command(node, file)
			if err != nil {
				errs[i] = err
				return
			}
			b := &broker{}
			if _, errs[i] = b.start(ctx, cmd, node); errs[i] == nil {
				cl.nodes[i] = b
			}
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		cl.admin, err = newAdmin(cl.Addrs())
	}
	if err != nil {
		return nil, errors.Join(err, cl.Close())
	}
	return cl, nil
}

// clusterLines are the configuration of a node beside that of every broker. Nothing that happens while the processes stand
// still because another server is measured may count as a failure.
func clusterLines(id int, voters []string) []string {
	return []string{
		fmt.Sprintf("node.id=%d", id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("offsets.topic.replication.factor=%d", len(voters)),
		"replica.lag.time.max.ms=3600000",
		"controller.quorum.fetch.timeout.ms=60000",
	}
}

func (c *cluster) Addrs() (addrs []string) {
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

func (c *cluster) Pids() (pids []int) {
	for _, n := range c.nodes {
		pids = append(pids, n.Pid())
	}
	return pids
}

// Create makes a topic, and returns when all replicas of every partition are in sync.
func (c *cluster) Create(ctx context.Context, t Topic) error {
	if err := c.create(ctx, t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("a minute has passed"))
	defer cancel()
	_, err := load.Leaders(ctx, c.nodes[0].addr, []string{t.Name}, t.Partitions, max(t.Replicas, 1))
	return err
}

// Drop deletes a topic, and returns when no broker has files of it.
func (c *cluster) Drop(ctx context.Context, t Topic) error {
	if err := c.drop(ctx, t); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := Gone(ctx, n.dirs, t.Name); err != nil {
			return err
		}
	}
	return nil
}

// Log is what the processes wrote, one after the other.
func (c *cluster) Log() string {
	var all strings.Builder
	for i, n := range c.nodes {
		fmt.Fprintf(&all, "node %d:\n%s", i+1, n.Log())
	}
	return all.String()
}

func (c *cluster) Close() (err error) {
	if c.admin != nil {
		c.close()
	}
	for _, n := range c.nodes {
		if n != nil {
			err = errors.Join(err, n.Close())
		}
	}
	return err
}
