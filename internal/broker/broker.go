package broker

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/coordinator/group"
	"gregor/internal/coordinator/txn"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options is what a Broker is put together from. All fields but Groups, Txns, Private, KRaftVersion, ControlPlane, Ready,
// Logger and Now are required.
type Options struct {
	NodeID    int32
	ClusterID string
	Config    *config.Live
	// Image returns the newest metadata image that Replicas has been told of.
	Image      func() *metadata.Image
	Controller Controller
	Replicas   *replica.Manager
	Dirs       *log.Dirs
	Loggers    Loggers // nil: log levels cannot be changed while the broker runs
	Groups     *group.Service
	Txns       *txn.Service
	Private    []PrivateAPI
	// KRaftVersion is the level of kraft.version; nil: 0.
	KRaftVersion func() int16
	// ControlPlane has a broker whose metadata is in ZooKeeper serve the active controller's requests too.
	ControlPlane *ControlPlane
	// Ready is closed when the broker may serve its clients. Until then it says who it is and which versions it speaks, and
	// answers for the controller; all else waits. nil: it is ready.
	Ready  <-chan struct{}
	Logger *slog.Logger
	Now    func() time.Time
}

// Caller is on whose behalf the controller is asked.
type Caller = controller.Caller

// Controller is the active controller as the broker sees it. Do calls done exactly once, on any goroutine.
type Controller interface {
	Do(ctx context.Context, from Caller, req kmsg.Request, done func(kmsg.Response))
}

// Broker serves Kafka's protocol.
type Broker struct {
	nodeID     int32
	clusterID  string
	config     *config.Live
	image      func() *metadata.Image
	controller Controller
	replicas   *replica.Manager
	dirs       *log.Dirs
	loggers    Loggers
	groups     *group.Service
	txns       *txn.Service

	kraftVersion func() int16

	log *slog.Logger
	now func() time.Time

	table       table
	server      *server
	sessions    *sessionCache
	producerIDs producerIDs
	quorum      Quorum       // on the controllers' listeners; nil on the brokers'
	watch       *brokerWatch // likewise
	plane       *plane       // nil unless the metadata is in ZooKeeper
	ready       <-chan struct{}
	// fetchMaxBytes is fetch.max.bytes, kept here because every Fetch asks.
	fetchMaxBytes atomic.Int32
}

// New returns a broker that serves nothing yet.
func New(o Options) *Broker {
	b := &Broker{
		nodeID: o.NodeID, clusterID: o.ClusterID, config: o.Config, image: o.Image, controller: o.Controller,
		replicas: o.Replicas, dirs: o.Dirs, loggers: o.Loggers, groups: o.Groups, txns: o.Txns, kraftVersion: o.KRaftVersion, log: o.Logger, now: o.Now,
		ready: o.Ready,
	}
	b.fillIn()
	b.table = newTable(handlers(), onBroker, privateRows(o.Private)...)
	b.sessions = newSessionCache(b.config.Load().Int("max.incremental.fetch.session.cache.slots"), b.now)
	b.producerIDs.allocate = b.allocateProducerIDs
	b.server = newServer(b)
	if o.ControlPlane != nil {
		b.addControlPlane(*o.ControlPlane)
	}
	return b
}

func (b *Broker) fillIn() {
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	if b.kraftVersion == nil {
		b.kraftVersion = func() int16 { return 0 }
	}
}

// Serve accepts connections until the listener or the broker is closed. name is the listener's name in `listeners`.
func (b *Broker) Serve(name string, l net.Listener) error { return b.server.serve(name, l) }

// Close stops accepting, answers what was read within the context's time, closes every connection and waits for the
// goroutines.
func (b *Broker) Close(ctx context.Context) error {
	if !b.isReady() { // and will not be, so nothing that waits gets an answer
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	return b.server.close(ctx)
}

func (b *Broker) isReady() bool {
	if b.ready == nil {
		return true
	}
	select {
	case <-b.ready:
		return true
	default:
		return false
	}
}
