package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"gregor/internal/broker"
	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/coordinator/group"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"
)

// Options is what a Node is started with.
type Options struct {
	Config *config.Values // of ParseBroker
	Logs   *Logs          // nil: nothing is logged
}

// Node is a running broker that is its own controller.
type Node struct {
	id    identity
	live  *config.Live
	logs  *Logs
	log   *slog.Logger
	dirs  *log.Dirs    // read after opened is closed; nil if they could not be opened
	lock  *metadataDir // nil unless metadata.log.dir is a directory of its own
	ctrl  *controller.Controller
	repl  *replica.Manager
	group *group.Service
	brk   *broker.Broker
	reg   *registration
	bound []*bound
	addrs []config.Listener // as advertised

	opened  chan struct{}
	serving sync.WaitGroup
	closed  sync.Once
	failed  chan struct{} // closed when a part cannot go on
	failure error
	fail1   sync.Once
	err     error // of Close
}

// Start returns when the node serves its listeners. ctx bounds the start only. What cannot work is refused before
// anything is written; on an error everything that was started has ended.
func Start(ctx context.Context, o Options) (*Node, error) {
	began := time.Now()
	n := &Node{logs: o.Logs, opened: make(chan struct{}), failed: make(chan struct{})}
	if n.logs == nil {
		n.logs = NewLogs(discard{}, levelFatal)
	}
	n.log = n.logs.Part("node")
	values, err := singleNode(o.Config)
	if err != nil {
		return nil, err
	}
	listeners, err := values.Listeners()
	if err != nil {
		return nil, err
	}
	if n.id, err = identify(values); err != nil {
		return nil, err
	}
	if values, err = n.id.into(values); err != nil {
		return nil, err
	}
	n.live = config.NewLive(values)
	// The ports come first: the second start of a node ends here, before it touches the first one's directories.
	if n.bound, err = listen(ctx, listeners.Broker); err != nil {
		return nil, err
	}
	n.addrs = advertised(listeners, n.bound)
	for _, l := range listeners.Controller {
		n.log.Info("listener for controllers is not opened: this node is the only one of its quorum", "listener", l.String())
	}
	if err := n.start(ctx, values); err != nil {
		_ = n.Close(context.Background())
		return nil, err
	}
	n.log.Info("started", "node_id", n.id.nodeID, "cluster_id", n.id.clusterID, "listening", fmt.Sprint(listening(n.bound)), "advertised", fmt.Sprint(n.addrs), "took", time.Since(began).Round(time.Millisecond))
	return n, nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// start opens the parts from the disk up to the network.
func (n *Node) start(ctx context.Context, values *config.Values) error {
	if err := n.openDirs(values); err != nil {
		return err
	}
	if err := n.openController(ctx, values); err != nil {
		return err
	}
	// Registered before it follows the metadata, as a broker of Kafka is: a broker that was killed still leads in the
	// metadata, and would begin those epochs only to end them at once. Each costs two fsyncs a partition.
	if err := n.register(ctx, values); err != nil {
		return err
	}
	n.openGroups()
	if err := n.openReplicas(ctx); err != nil {
		return err
	}
	if err := n.reg.start(ctx); err != nil {
		return err
	}
	n.brk = broker.New(broker.Options{
		NodeID:     n.id.nodeID,
		ClusterID:  n.id.clusterID,
		Config:     n.live,
		Image:      n.ctrl.Image,
		Controller: n.ctrl,
		Replicas:   n.repl,
		Dirs:       n.dirs,
		Groups:     n.group,
		Loggers:    n.logs,
		Logger:     n.logs.Part("broker"),
	})
	for _, b := range n.bound {
		n.serving.Go(func() {
			if err := n.brk.Serve(b.Name, b.net); err != nil && !errors.Is(err, net.ErrClosed) {
				n.fail(fmt.Errorf("listener %s: %w", b.Listener, err))
			}
		})
	}
	return nil
}

func (n *Node) openController(ctx context.Context, values *config.Values) error {
	j, err := n.openJournal(values)
	if err != nil {
		return err
	}
	n.ctrl, err = controller.Open(ctx, controller.Options{
		NodeID:    n.id.nodeID,
		ClusterID: n.id.clusterID,
		Journal:   j,
		Config:    n.live,
		Logger:    n.logs.Part("controller"),
		OnFail:    n.fail,
	})
	if err != nil {
		_ = j.Close()
		return err
	}
	return n.ctrl.WaitActive(ctx)
}

// openReplicas has the parts follow the metadata. The order matters: a partition is made with the configuration of its
// own step, and the coordinators hear of partitions that exist.
func (n *Node) openReplicas(ctx context.Context) error {
	n.repl = replica.NewManager(replica.Options{
		NodeID: n.id.nodeID,
		Dirs:   n.dirs,
		TopicConfig: func(_ string, overrides map[string]string) (replica.TopicConfig, error) {
			return topicConfig(n.live.Load(), overrides)
		},
		Logger: n.logs.Part("replica"),
		OnLeader: func(topic string, partition, epoch int32, p *replica.Partition) {
			if topic == group.Topic {
				n.group.Elected(partition, epoch, p.CoordinatorLog())
			}
		},
		OnResign: func(topic string, partition, epoch int32) {
			if topic == group.Topic {
				n.group.Resigned(partition, epoch)
			}
		},
	})
	n.live.Subscribe(func(_, _ *config.Values) { n.repl.Reconfigure() })
	for _, p := range []metadata.Publisher{
		&configPublisher{node: n.id.nodeID, live: n.live, log: n.logs.Part("config")},
		n.repl,
		&groupPublisher{groups: n.group},
	} {
		if err := n.ctrl.AddPublisher(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the node: it takes no more requests, answers those it has until ctx ends, and leaves its directories clean.
func (n *Node) Close(ctx context.Context) error {
	n.closed.Do(func() {
		began := time.Now()
		var errs []error
		if n.brk != nil {
			errs = append(errs, n.brk.Close(ctx))
		}
		closeAll(n.bound)
		n.serving.Wait()
		if n.reg != nil {
			n.reg.close(ctx)
		}
		if n.group != nil {
			n.group.Close()
		}
		if n.ctrl != nil {
			errs = append(errs, n.ctrl.Close())
		}
		if n.dirs != nil {
			errs = append(errs, n.dirs.Close())
		}
		if n.lock != nil {
			errs = append(errs, n.lock.close())
		}
		n.err = errors.Join(errs...)
		if n.err != nil {
			n.log.Error("stopped", "error", n.err.Error(), "took", time.Since(began).Round(time.Millisecond))
		} else if n.reg != nil {
			n.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
		}
	})
	return n.err
}

// Failed is closed when the node cannot go on: its disk is gone, say. Err then says why, and the caller closes it.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is why the node failed; nil while it did not.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.fail1.Do(func() {
		n.log.Error("cannot go on", "error", err.Error())
		n.failure = err
		close(n.failed)
	})
}

// NodeID is the id of this node.
func (n *Node) NodeID() int32 { return n.id.nodeID }

// ClusterID is the id of the cluster.
func (n *Node) ClusterID() string { return n.id.clusterID }

// Addr is the address that clients of a listener are told, host:port; of the first listener if name is empty.
func (n *Node) Addr(name string) string {
	for _, a := range n.addrs {
		if name == "" || a.Name == name {
			return a.Addr()
		}
	}
	return ""
}

// Config is the configuration in force.
func (n *Node) Config() *config.Values { return n.live.Load() }

// singleNode gives a configuration that names no roles what a node alone needs: its internal topics cannot have the
// three replicas that are the default in a cluster.
func singleNode(v *config.Values) (*config.Values, error) {
	if v.Has("process.roles") {
		return v, nil
	}
	set := map[string]string{}
	for _, key := range []string{
		"offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr",
		"share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr",
	} {
		if v.Source(key) == config.SourceDefault {
			set[key] = "1"
		}
	}
	return v.Set(set)
}

// into sets the ids that were found on disk or made.
func (id identity) into(v *config.Values) (*config.Values, error) {
	set := map[string]string{}
	if _, ok := v.NodeID(); !ok {
		set["node.id"] = fmt.Sprint(id.nodeID)
	}
	return v.Set(set)
}
