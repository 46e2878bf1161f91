package node

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/metadata"
	"gregor/internal/peer"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var securityProtocols = map[string]metadata.SecurityProtocol{
	"PLAINTEXT": metadata.Plaintext, "SSL": metadata.SSL, "SASL_PLAINTEXT": metadata.SASLPlaintext, "SASL_SSL": metadata.SASLSSL,
}

// newRegistration prepares this broker's membership.
func (n *Node) newRegistration(values *config.Values) {
	n.reg = &registration{
		to: n.fwd, id: n.id.nodeID, live: n.live, log: n.log, image: n.ctrl.Image, dirs: n.offlineDirs,
		request: func() *kmsg.BrokerRegistrationRequest { return n.registrationRequest(values) },
		taken:   n.dirs.SetBrokerEpoch,
		inUse:   n.idInUse,
		fail:    n.fail,
		adrift:  n.adrift,
		hurry:   n.hurry,
	}
	n.reg.epoch.Store(-1)
}

// beatNow has the next heartbeat of this broker, if it is one, not wait for its time.
func (n *Node) beatNow() { hasten(n.hurry) }

func (n *Node) registrationRequest(values *config.Values) *kmsg.BrokerRegistrationRequest {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.SetVersion(4)
	req.BrokerID, req.ClusterID = n.id.nodeID, n.id.clusterID
	req.IncarnationID = metadata.NewUUID()
	for _, a := range n.addrs {
		l := kmsg.NewBrokerRegistrationRequestListener()
		l.Name, l.Host, l.Port, l.SecurityProtocol = a.Name, a.Host, uint16(a.Port), int16(securityProtocols[a.Protocol])
		req.Listeners = append(req.Listeners, l)
	}
	for name, r := range controller.SupportedFeatures() {
		f := kmsg.NewBrokerRegistrationRequestFeature()
		f.Name, f.MinSupportedVersion, f.MaxSupportedVersion = name, r.Min, r.Max
		req.Features = append(req.Features, f)
	}
	if rack := values.String("broker.rack"); rack != "" {
		req.Rack = &rack
	}
	for _, d := range n.dirs.Dirs() {
		if d.Err == nil {
			req.LogDirs = append(req.LogDirs, d.ID)
		}
	}
	req.PreviousBrokerEpoch = n.dirs.PreviousBrokerEpoch()
	return req
}

// idInUse asks whoever is registered with this node's id who it is. Another process that answers is proof; silence is none.
func (n *Node) idInUse(ctx context.Context) error {
	b := n.ctrl.Image().Broker(n.id.nodeID)
	if b == nil {
		return nil
	}
	addr, ok := n.interBroker(b)
	if !ok || addr == n.ownInterBroker() {
		return nil
	}
	d := &discovery{asker: asker{dial: n.dial, self: n.hello}, log: n.log, now: n.now}
	who, err := d.hello(ctx, addr)
	if err != nil || who.NodeID != n.id.nodeID || who.Process == n.hello().Process {
		return nil
	}
	return fmt.Errorf("%w: node.id=%d belongs to another process of this cluster, which answers at %s; stop that process, or give this one a node.id of its own",
		errNodeInUse, n.id.nodeID, addr)
}

// interBroker is where a broker listens for other brokers.
func (n *Node) interBroker(b *metadata.Broker) (addr string, ok bool) {
	e, ok := b.Endpoint(n.ls.InterBroker)
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), ok
}

func (n *Node) ownInterBroker() string { return n.Addr(n.ls.InterBroker) }

// connectBroker opens a connection to another broker.
func (n *Node) connectBroker(ctx context.Context, id int32) (replica.Remote, error) {
	b := n.ctrl.Image().Broker(id)
	if b == nil {
		return nil, fmt.Errorf("broker %d is not registered", id)
	}
	addr, ok := n.interBroker(b)
	if !ok {
		return nil, fmt.Errorf("broker %d has no listener %s; inter.broker.listener.name must be the same for all brokers", id, n.ls.InterBroker)
	}
	c, err := peer.Dial(ctx, peer.Options{
		Addr: addr, Dial: n.dial, ClientID: fmt.Sprintf("broker-%d-fetcher", n.id.nodeID), Logger: n.logs.Part("replica"),
		Timeout: n.live.Load().Millis("replica.socket.timeout.ms"),
	})
	if err != nil {
		return nil, err
	}
	return replica.OverPeer(c), nil
}

// alterPartition asks the active controller for a change of ISRs.
func (n *Node) alterPartition(ctx context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	n.fwd.Do(ctx, controller.Caller{Principal: "User:ANONYMOUS", ClientID: "broker"}, req, func(resp kmsg.Response) {
		if r, ok := resp.(*kmsg.AlterPartitionResponse); ok {
			done(r, nil)
		} else {
			done(nil, fmt.Errorf("the controller answered %T", resp))
		}
	})
}

// assignReplicasToDirs tells the active controller which log directories hold this broker's replicas.
func (n *Node) assignReplicasToDirs(ctx context.Context, req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error)) {
	n.fwd.Do(ctx, controller.Caller{Principal: "User:ANONYMOUS", ClientID: "broker"}, req, func(resp kmsg.Response) {
		if r, ok := resp.(*kmsg.AssignReplicasToDirsResponse); ok {
			done(r, nil)
		} else {
			done(nil, fmt.Errorf("the controller answered %T", resp))
		}
	})
}

// Kafka's replica selectors (KIP-392). Other classes are code of Java, which this broker cannot run.
const (
	leaderSelector    = "org.apache.kafka.common.replica.LeaderSelector"
	rackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
)

// nearest tells whether clients are sent to the replica in their rack.
func (n *Node) nearest() func() bool {
	class := n.live.Load().String("replica.selector.class")
	switch class {
	case "", leaderSelector, rackAwareSelector:
	default:
		n.log.Warn("replica.selector.class is not known here, clients read from leaders; known are "+rackAwareSelector+" and "+leaderSelector, "class", class)
	}
	return func() bool { return class == rackAwareSelector }
}

// replicationRates is the limits of replication (KIP-73) and of moving replicas between log directories (KIP-113).
func replicationRates(v *config.Values) replica.Rates {
	return replica.Rates{
		Leader:         v.Int64("leader.replication.throttled.rate"),
		Follower:       v.Int64("follower.replication.throttled.rate"),
		MoveDirs:       v.Int64("replica.alter.log.dirs.io.max.bytes.per.second"),
		Samples:        v.Int("replication.quota.window.num"),
		SampleWidth:    time.Duration(v.Int("replication.quota.window.size.seconds")) * time.Second,
		DirSamples:     v.Int("alter.log.dirs.replication.quota.window.num"),
		DirSampleWidth: time.Duration(v.Int("alter.log.dirs.replication.quota.window.size.seconds")) * time.Second,
	}
}

// fetching is how followers fetch, made anew when the configuration changes and not per request.
func (n *Node) fetching() func() replica.Fetching {
	return following(n.live, func(v *config.Values) replica.Fetching {
		return replica.Fetching{
			Fetchers:      v.Int("num.replica.fetchers"),
			Wait:          v.Millis("replica.fetch.wait.max.ms"),
			MinBytes:      v.Int32("replica.fetch.min.bytes"),
			MaxBytes:      v.Int32("replica.fetch.response.max.bytes"),
			PartitionMax:  v.Int32("replica.fetch.max.bytes"),
			Backoff:       v.Millis("replica.fetch.backoff.ms"),
			SocketTimeout: v.Millis("replica.socket.timeout.ms"),
		}
	})
}
