package broker

import (
	"context"
	"fmt"

	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ControlPlane is what a broker whose metadata is in ZooKeeper needs to answer for the active controller. There every node
// is a broker that may become it, and none has a listener of controllers: registration, heartbeats, AlterPartition,
// Envelope and the like come in by the listener between brokers, or by that of control.plane.listener.name. All fields but
// Dial are required.
type ControlPlane struct {
	Listener string // the name of that listener
	// Controller is this node's, active or not: a request that reaches another than the active one is refused.
	Controller interface {
		Controller
		Active() bool
		Lost(broker int32, epoch int64)
	}
	Leader func() int32 // the active controller, -1 while there is none
	Dial   peer.Dialer  // looks whether a broker is still there; nil: TCP
}

// plane is the controller's side of a broker on ZooKeeper.
type plane struct {
	leader func() int32
	side   *Broker // whose controller is this node's own; it has no server of its own
}

// addControlPlane puts the controllers' APIs into the table, and takes out what is about a quorum.
func (b *Broker) addControlPlane(o ControlPlane) {
	side := &Broker{
		nodeID: b.nodeID, clusterID: b.clusterID, config: b.config, image: b.image, controller: o.Controller, loggers: b.loggers,
		kraftVersion: b.kraftVersion, log: b.log, now: b.now, server: b.server, table: newTable(handlers(), onController),
	}
	side.watch = &brokerWatch{
		self: b.nodeID, server: b.server, image: b.image, active: o.Controller.Active, lost: o.Controller.Lost, dial: o.Dial,
		interBroker: interBrokerListener(b.config.Load()), log: b.log, carriers: make(map[int32]*Conn),
	}
	b.plane = &plane{leader: o.Leader, side: side}
	b.table = newTable(onZooKeeper(side, o.Listener), onBroker, b.table.private()...)
}

// onZooKeeper are the rows of a broker whose metadata is in ZooKeeper.
func onZooKeeper(side *Broker, listener string) (rows []handler) {
	for _, h := range handlers() {
		switch {
		case h.plane:
			serve := h.serve
			h.on, h.early = onBroker, true
			h.serve = func(b *Broker, ctx context.Context, r *Request) {
				if r.Conn.Listener() != listener {
					r.Conn.refuse(fmt.Errorf("%s is for the active controller, which serves it at listener %s", kmsg.NameForKey(r.Key), listener))
					return
				}
				serve(side, ctx, r)
			}
			rows = append(rows, h)
		case h.on != onController && !h.quorum:
			rows = append(rows, h)
		}
	}
	return rows
}

// private are the rows of [PrivateAPI].
func (t *table) private() (rows []handler) {
	for _, h := range t.other {
		rows = append(rows, *h)
	}
	return rows
}
