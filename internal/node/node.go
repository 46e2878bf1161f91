package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/broker"
	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/coordinator/group"
	"gregor/internal/coordinator/txn"
	"gregor/internal/forward"
	"gregor/internal/journal"
	"gregor/internal/journal/zk"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/peer"
	"gregor/internal/replica"
)

// Options is what a Node is started with.
type Options struct {
	Config *config.Values // of ParseBroker
	Logs   *Logs          // nil: nothing is logged
	Dial   peer.Dialer    // how other nodes are reached; nil: TCP
	Now    func() time.Time
}

// Node is a running process of a cluster: a broker, a controller, or both. One that is alone is both.
type Node struct {
	id     identity
	roles  config.Roles
	quorum config.Quorum
	alone  bool
	live   *config.Live
	logs   *Logs
	log    *slog.Logger
	dial   peer.Dialer
	now    func() time.Time
	who    atomic.Pointer[peer.Identity] // what it says of itself, see hello

	ls       *config.Listeners
	bound    []*bound          // for clients and brokers
	control  []*bound          // for the quorum
	addrs    []config.Listener // as advertised
	ctlAddrs []config.Listener // as advertised to other nodes
	greeter  *greeter

	dirs    *log.Dirs    // read after dirsOpened is closed; nil if they could not be opened, or if this node is no broker
	lock    *metadataDir // nil unless metadata.log.dir is a directory of its own
	zoo     *zk.Client   // nil unless the cluster's metadata is in ZooKeeper
	mirror  *zk.Mirror   // likewise
	journal journal.Journal
	opened  atomic.Bool // journal is set
	ctrl    *controller.Controller
	ctlSrv  atomic.Pointer[broker.Broker] // answers for the controller: on control, or brk on ZooKeeper
	fwd     *forward.Forwarder
	repl    *replica.Manager
	group   *group.Service
	txns    *transactions
	brk     *broker.Broker
	ready   chan struct{} // closed when brk may serve clients
	reg     *registration
	hurry   chan struct{} // see beatNow

	dirsOpened chan struct{}
	dirsFailed atomic.Pointer[func()] // see watchDirs
	serving    sync.WaitGroup
	background sync.WaitGroup
	end        context.CancelFunc // of what goes on in the background
	closed     sync.Once
	failed     chan struct{} // closed when a part cannot go on
	failure    error
	fail1      sync.Once
	err        error // of Close
}

// Start returns when the node serves its listeners. In a quorum of several that may take until enough others are there;
// ctx bounds the start only. What cannot work is refused before anything is written; on an error everything that was
// started has ended.
func Start(ctx context.Context, o Options) (*Node, error) {
	began := time.Now()
	n := &Node{logs: o.Logs, dial: o.Dial, now: o.Now, dirsOpened: make(chan struct{}), failed: make(chan struct{}), hurry: make(chan struct{}, 1),
		ready: make(chan struct{})}
	if n.logs == nil {
		n.logs = NewLogs(discard{}, levelFatal)
	}
	if n.now == nil {
		n.now = time.Now
	}
	n.log = n.logs.Part("node")
	values, err := n.configure(o.Config)
	if err != nil {
		return nil, err
	}
	// The ports come first: the second start of a node ends here, before it touches the first one's directories.
	if err := n.listen(ctx, Directories(values)); err != nil {
		return nil, err
	}
	// A start that waits for others ends when a part fails, too.
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-n.failed:
			cancel(n.failure)
		case <-starting.Done():
		}
	}()
	if err := n.start(starting, values); err != nil {
		if failure := n.Err(); failure != nil && ctx.Err() == nil {
			err = failure
		}
		_ = n.Close(context.Background())
		return nil, err
	}
	n.log.Info("started", "node_id", n.id.nodeID, "roles", n.roles.String(), "cluster_id", n.id.clusterID, "listening", fmt.Sprint(listening(append(slices.Clone(n.bound), n.control...))),
		"advertised", fmt.Sprint(n.addrs), "took", time.Since(began).Round(time.Millisecond))
	return n, nil
}

// configure reads what the configuration and the directories say of this node.
func (n *Node) configure(v *config.Values) (*config.Values, error) {
	values, err := singleNode(v)
	if err != nil {
		return nil, err
	}
	n.roles, n.alone = values.Roles(), values.IsAlone()
	if n.quorum, err = values.Quorum(); err != nil {
		return nil, err
	}
	if n.ls, err = values.Listeners(); err != nil {
		return nil, err
	}
	if n.id, err = identify(values); err != nil {
		return nil, err
	}
	if values, err = n.id.into(values); err != nil {
		return nil, err
	}
	n.live = config.NewLive(values)
	n.who.Store(&peer.Identity{ClusterID: n.id.clusterID, NodeID: n.id.nodeID, Process: newProcess(), Controller: n.roles.Controller})
	return values, nil
}

// listen opens all listeners. Those of controllers say at once who this node is.
func (n *Node) listen(ctx context.Context, dirs []string) (err error) {
	if n.bound, err = listen(ctx, n.ls.Broker, dirs); err != nil {
		return err
	}
	if n.roles.Controller {
		if n.control, err = listen(ctx, n.ls.Controller, dirs); err != nil {
			closeAll(n.bound)
			return err
		}
		n.greeter = greet(n.control, n.hello)
	}
	n.addrs = advertised(n.ls.Advertised, n.bound)
	n.ctlAddrs = advertised(n.ls.AdvertisedController, n.control)
	return nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// start opens the parts from the disk up to the network.
func (n *Node) start(ctx context.Context, values *config.Values) error {
	background, end := context.WithCancel(context.Background())
	n.end = end
	values, joining, err := n.joinCluster(ctx, values)
	if err != nil {
		return err
	}
	if err := n.openDirs(values); err != nil {
		return err
	}
	n.introduce(func(who *peer.Identity) { who.ClusterID, who.DirectoryID = n.id.clusterID, directoryID(values) })
	if err := n.openController(ctx, values, joining); err != nil {
		return err
	}
	n.registerController(background)
	if !n.alone {
		n.verifyQuorum(background)
	}
	if !n.roles.Broker {
		return nil
	}
	if err := n.startBroker(ctx, values); err != nil {
		return err
	}
	n.checkReach(background)
	return nil
}

// startBroker opens what serves clients. It is registered before it follows the metadata, as a broker of Kafka is: a
// broker that was killed still leads in the metadata, and would begin those epochs only to end them at once.
func (n *Node) startBroker(ctx context.Context, values *config.Values) error {
	n.newRegistration(values)
	n.openGroups()
	n.openTransactions()
	n.newReplicas()
	n.newBroker()
	if n.zoo != nil {
		// The other brokers may need this one as the active controller before it is ready itself.
		n.serveClients()
		if err := n.registerInZooKeeper(ctx, values); err != nil {
			return err
		}
	}
	if err := n.reg.register(ctx); err != nil {
		return err
	}
	n.log.Debug("registered", "epoch", n.reg.epoch.Load())
	if err := n.reg.caughtUp(ctx); err != nil {
		return err
	}
	n.log.Debug("has the metadata up to its registration")
	if err := n.openReplicas(ctx); err != nil {
		return err
	}
	n.log.Debug("has its replicas")
	if err := n.reg.start(ctx); err != nil {
		return err
	}
	close(n.ready)
	if n.zoo == nil {
		n.serveClients()
	} else {
		n.brk.PrepareProducerIDs(context.WithoutCancel(ctx)) // for the time when ZooKeeper is away
	}
	return nil
}

// newBroker makes what serves clients.
func (n *Node) newBroker() {
	o := broker.Options{
		NodeID:     n.id.nodeID,
		ClusterID:  n.id.clusterID,
		Config:     n.live,
		Image:      n.ctrl.Image,
		Controller: n.fwd,
		Replicas:   n.repl,
		Dirs:       n.dirs,
		Groups:     n.group,
		Txns:       n.txns.Service,
		Private:    []broker.PrivateAPI{n.helloAPI()},

		KRaftVersion: n.ctrl.KRaftVersion,
		Ready:        n.ready,
		Loggers:      n.logs,
		Logger:       n.logs.Part("broker"),
	}
	if n.zoo != nil {
		o.ControlPlane = &broker.ControlPlane{Listener: n.ls.ControlPlane, Controller: n.moored(), Leader: n.ctrl.Leader, Dial: n.dial}
	}
	n.brk = broker.New(o)
	if n.zoo != nil {
		n.ctlSrv.Store(n.brk)
		if n.ctrl.Active() {
			n.brk.BrokersUnknown(n.ctrl.Image())
		}
	}
}

// serveClients has the broker take connections.
func (n *Node) serveClients() {
	for _, b := range n.bound {
		n.serving.Go(func() {
			if err := n.brk.Serve(b.Name, b.net); err != nil && !errors.Is(err, net.ErrClosed) {
				n.fail(fmt.Errorf("listener %s: %w", b.Listener, err))
			}
		})
	}
}

// newReplicas makes what holds this broker's partitions.
func (n *Node) newReplicas() {
	n.repl = replica.NewManager(replica.Options{
		NodeID: n.id.nodeID,
		Dirs:   n.dirs,
		TopicConfig: func(_ string, overrides map[string]string) (replica.TopicConfig, error) {
			return topicConfig(n.live.Load(), overrides)
		},
		Logger: n.logs.Part("replica"),
		OnLeader: func(topic string, partition, epoch int32, p *replica.Partition) {
			switch topic {
			case group.Topic:
				n.group.Elected(partition, epoch, broker.CoordinatorLog(p))
			case txn.Topic:
				n.txns.Elected(partition, epoch, broker.CoordinatorLog(p))
			}
		},
		OnResign: func(topic string, partition, epoch int32) {
			switch topic {
			case group.Topic:
				n.group.Resigned(partition, epoch)
			case txn.Topic:
				n.txns.Resigned(partition, epoch)
			}
		},
		Alter:       n.alterPartition,
		AssignDirs:  n.assignReplicasToDirs,
		Nearest:     n.nearest(),
		Rates:       func() replica.Rates { return replicationRates(n.live.Load()) },
		BrokerEpoch: n.reg.epoch.Load,
		Connect:     n.connectBroker,
		LagTime:     func() time.Duration { return n.live.Load().Millis("replica.lag.time.max.ms") },
		Fetching:    n.fetching(),
		Verify:      n.txns.verify,
		Verified:    func() bool { return n.live.Load().Bool("transaction.partition.verification.enable") },
	})
	n.live.Subscribe(func(_, _ *config.Values) { n.repl.Reconfigure() })
}

// openReplicas has the parts follow the metadata. The order matters: a partition is made with the configuration of its
// own step, and the coordinators hear of partitions that exist.
func (n *Node) openReplicas(ctx context.Context) error {
	for _, p := range []metadata.Publisher{
		n.txns,
		n.repl,
		&groupPublisher{groups: n.group},
		markersPublisher{n.txns},
		n.reg,
	} {
		if err := n.ctrl.AddPublisher(ctx, p); err != nil {
			return err
		}
	}
	n.watchDirs()
	return nil
}

// Close ends the node: it has its leaderships moved to others, takes no more requests, answers those it has, and leaves
// its directories clean. It takes until ctx ends, or a little longer.
func (n *Node) Close(ctx context.Context) error {
	n.closed.Do(func() {
		began := time.Now()
		n.err = n.close(ctx)
		if n.err != nil {
			n.log.Error("stopped", "error", n.err.Error(), "took", time.Since(began).Round(time.Millisecond))
		} else if n.ctrl != nil {
			n.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
		}
	})
	return n.err
}

func (n *Node) close(ctx context.Context) error {
	var errs []error
	if n.end != nil {
		n.end()
	}
	// Others take over while this node still serves. One that is alone has nobody to hand over to, and answers first.
	if n.reg != nil && !n.alone {
		n.reg.close(ctx)
	}
	if n.zoo != nil { // the next controller is there before the way to this one is not
		n.resign(ctx)
	}
	if n.brk != nil {
		errs = append(errs, n.brk.Close(ctx))
	}
	closeAll(n.bound)
	if n.reg != nil && n.alone {
		n.reg.close(ctx)
	}
	if n.repl != nil {
		n.repl.Close()
	}
	if n.group != nil {
		n.group.Close()
	}
	if n.txns != nil {
		n.txns.close()
	}
	if n.zoo == nil {
		n.resign(ctx)
	}
	if n.fwd != nil {
		n.fwd.Close()
	}
	if srv := n.ctlSrv.Load(); srv != nil && srv != n.brk {
		errs = append(errs, srv.Close(ctx))
	}
	if n.greeter != nil {
		n.greeter.stop()
	}
	closeAll(n.control)
	n.serving.Wait()
	n.background.Wait()
	if n.mirror != nil {
		n.mirror.Close()
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
	if n.zoo != nil { // last: with the session this broker is gone for everybody, and another may have its directories
		n.zoo.Close()
	}
	return errors.Join(errs...)
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

// singleNode gives a configuration that names no roles, nor ZooKeeper, what a node alone needs: its internal topics cannot have the
// three replicas that are the default in a cluster.
func singleNode(v *config.Values) (*config.Values, error) {
	if v.Has("process.roles") || v.OnZooKeeper() {
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
	if _, ok := v.NodeID(); !ok && id.nodeID != noNodeID {
		set["node.id"] = fmt.Sprint(id.nodeID)
	}
	return v.Set(set)
}
