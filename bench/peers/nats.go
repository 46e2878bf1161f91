package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/bench/peers/drive"
	"gregor/bench/peers/nats"
)

// natsKind is NATS JetStream. Fast is the same server with another way to publish, for batches alone.
type natsKind struct {
	binary string
	fast   bool
}

func (k natsKind) Name() string {
	if k.fast {
		return "nats-fast"
	}
	return "nats"
}

// Has says no where fast batches are the same server, or would have to acknowledge single records.
func (k natsKind) Has(c *harness.Case) bool {
	if k.fast {
		return c.Name == "large"
	}
	return c.Any || work[c.Name] != nil
}

// natsInstance is one server, or a cluster.
type natsInstance struct {
	natsKind
	config  harness.Config
	servers []*nats.Server
}

func (k natsKind) Start(ctx context.Context, c harness.Config) (harness.Instance, error) {
	binary, err := clean(k.binary)
	if err != nil {
		return nil, err
	}
	k.binary = binary
	n := &natsInstance{natsKind: k, config: c}
	if err := n.Restart(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Restart starts the processes on what is in the directory.
func (n *natsInstance) Restart(ctx context.Context) error {
	nodes := max(n.config.Nodes, 1)
	var routes []int
	for i := range nodes {
		routes = append(routes, n.config.Port+nodes+i)
	}
	n.servers = nil
	for i := range nodes {
		o := nats.Options{Binary: n.binary, Dir: filepath.Join(n.config.Dir, fmt.Sprint("node-", i)), Port: n.config.Port + i, Always: n.config.Flush}
		if nodes > 1 {
			o.Name = fmt.Sprint("node-", i)
			o.Routes = slices.Concat(routes[i:i+1], routes[:i], routes[i+1:])
		}
		s, err := nats.Start(ctx, o)
		if err != nil {
			return err
		}
		n.servers = append(n.servers, s)
	}
	for _, s := range n.servers {
		if err := s.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *natsInstance) Addrs() (all []string) {
	for _, s := range n.servers {
		all = append(all, s.Addr)
	}
	return all
}

func (n *natsInstance) Pids() (all []int) {
	for _, s := range n.servers {
		all = append(all, s.Pid())
	}
	return all
}

func (n *natsInstance) streams(t harness.Topic) nats.Streams {
	return nats.Streams{Addr: n.servers[0].Addr, Topic: t.Name, Partitions: t.Partitions, Replicas: t.Replicas, MaxBytes: retainBytes, Batches: n.fast}
}

func (n *natsInstance) of(t *harness.Target) nats.Streams {
	return n.streams(harness.Topic{Name: t.Topic, Partitions: max(t.Case.Workload.Partitions, 1), Replicas: t.Case.Workload.Replicas})
}

func (n *natsInstance) Create(ctx context.Context, t harness.Topic) error {
	return n.streams(t).Create(ctx)
}

func (n *natsInstance) Drop(ctx context.Context, t harness.Topic) error {
	return n.streams(t).Delete(ctx)
}

func (n *natsInstance) Log() string {
	var b strings.Builder
	for _, s := range n.servers {
		b.WriteString(s.Log())
	}
	return b.String()
}

func (n *natsInstance) Kill() {
	for _, s := range n.servers {
		s.Kill()
	}
}

func (n *natsInstance) Stop() {
	for _, s := range n.servers {
		s.Stop()
	}
}

func (n *natsInstance) Close() error {
	n.Kill()
	return nil
}

func (n *natsInstance) produce(ctx context.Context, t *harness.Target, l drive.Load, record []byte) (load.Result, error) {
	mode := nats.Each
	if n.fast {
		mode = nats.Fast
	}
	p := nats.Produce{Load: l, Streams: n.of(t), Mode: mode, Record: record}
	if len(n.servers) > 1 {
		names, err := p.Streams.Leaders(ctx)
		if err != nil {
			return load.Result{}, err
		}
		for _, name := range names {
			i := slices.IndexFunc(n.servers, func(s *nats.Server) bool { return s.Name == name })
			if i < 0 {
				return load.Result{}, fmt.Errorf("a stream is led by %q", name)
			}
			p.Leaders = append(p.Leaders, n.servers[i].Addr)
		}
	}
	return p.Run(ctx)
}

func (n *natsInstance) consume(ctx context.Context, t *harness.Target, records int64, h drive.Hooks) (load.Result, error) {
	return nats.Fetch{Streams: n.of(t), Readers: max(t.Case.Workload.Readers, 1), Records: records, Hooks: h}.Run(ctx)
}

func (n *natsInstance) takes() bool { return false }

// Drive does the case's workload.
func (n *natsInstance) Drive(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	return measure(ctx, t, n)
}
