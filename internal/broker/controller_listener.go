package broker

import (
	"context"
	"log/slog"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ControllerOptions is what serves the controllers' listeners. All fields but Private, Loggers, Dial, Logger and Now are
// required.
type ControllerOptions struct {
	NodeID    int32
	ClusterID string
	Config    *config.Live
	// Image returns the newest metadata image.
	Image func() *metadata.Image
	// Controller is this node's, active or not: a request that reaches another than the active one is refused.
	Controller interface {
		Controller
		Active() bool
		Lost(broker int32, epoch int64)
		KRaftVersion() int16
	}
	Quorum  Quorum
	Private []PrivateAPI
	Loggers Loggers
	Dial    peer.Dialer // looks whether a broker is still there; nil: TCP
	Logger  *slog.Logger
	Now     func() time.Time
}

// Quorum is the metadata log, as those who do not vote see it.
type Quorum interface {
	journal.Quorum
	Status() journal.Status
}

// PrivateAPI is a request that only nodes of gregor send to each other. It is served and never advertised.
type PrivateAPI struct {
	// New is an empty request. Its decoder must not allocate more than in proportion to the bytes that it is given.
	New func() kmsg.Request
	// Serve answers, once, on any goroutine. It must not block. ctx ends with the connection.
	Serve func(ctx context.Context, req kmsg.Request, reply func(kmsg.Response))
}

// NewController returns what serves the controllers' listeners. It is a Broker whose table is another one.
func NewController(o ControllerOptions) *Broker {
	b := &Broker{
		nodeID: o.NodeID, clusterID: o.ClusterID, config: o.Config, image: o.Image, controller: o.Controller,
		loggers: o.Loggers, quorum: o.Quorum, kraftVersion: o.Controller.KRaftVersion, log: o.Logger, now: o.Now,
	}
	b.fillIn()
	b.table = newTable(handlers(), onController, privateRows(o.Private)...)
	b.server = newServer(b)
	b.watch = &brokerWatch{
		self: o.NodeID, server: b.server, image: o.Image, active: o.Controller.Active, lost: o.Controller.Lost, dial: o.Dial,
		interBroker: interBrokerListener(o.Config.Load()), log: b.log, carriers: make(map[int32]*Conn),
	}
	return b
}

// BrokersUnknown looks which of the unfenced brokers are still there: for a controller that has become active, and has
// heard of none of them yet.
func (b *Broker) BrokersUnknown(image *metadata.Image) {
	if b.plane != nil {
		b.plane.side.watch.all(image)
		return
	}
	b.watch.all(image)
}

func privateRows(apis []PrivateAPI) []handler {
	var rows []handler
	for _, api := range apis {
		rows = append(rows, handler{
			key: kmsg.Key(api.New().Key()), private: api.New, early: true,
			serve: func(_ *Broker, ctx context.Context, r *Request) { api.Serve(ctx, r.Body, r.Reply) },
		})
	}
	return rows
}

// interBrokerListener is the name of the listener by which brokers reach each other; a controller that is no broker may
// not know.
func interBrokerListener(v *config.Values) string {
	if l, err := v.Listeners(); err == nil {
		return l.InterBroker
	}
	return ""
}
