package node

import (
	"context"
	"time"

	"gregor/internal/controller"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that has lost ZooKeeper alone still reaches the controller, so its heartbeats would keep it in the cluster. But
// it learns of nothing: not of a partition that it is to lead, nor of one that it leads no more. In a cluster of Apache Kafka
// its session with ZooKeeper ends, and with it its membership. Here it asks the controller to fence it (WantFence), until
// it has ZooKeeper again.
//
// When nobody has ZooKeeper all brokers would ask for that, and the controller would write it down as soon as it is back. So
// a controller does not listen that has no ZooKeeper itself, or has had it again for less than a session: by then the others
// have it too.

// adrift reports whether this broker has been without ZooKeeper for longer than a session.
func (n *Node) adrift() bool {
	return n.zoo != nil && n.zoo.Contact() < -n.live.Load().ZooKeeper().SessionTimeout
}

// moored is this node's controller on ZooKeeper.
type moored struct {
	*controller.Controller
	// contact is how long this node has had ZooKeeper, negative if it has not.
	contact func() time.Duration
	session time.Duration
}

func (m moored) Do(ctx context.Context, from controller.Caller, req kmsg.Request, done func(kmsg.Response)) {
	if r, ok := req.(*kmsg.BrokerHeartbeatRequest); ok && r.WantFence && !r.WantShutdown && m.contact() < m.session {
		here := *r
		here.WantFence = false
		req = &here
	}
	m.Controller.Do(ctx, from, req, done)
}

func (n *Node) moored() moored {
	return moored{n.ctrl, n.zoo.Contact, n.live.Load().ZooKeeper().SessionTimeout}
}
