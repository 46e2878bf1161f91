package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gregor/internal/broker"
	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/forward"
	"gregor/internal/journal"
	"gregor/internal/journal/raft"
	"gregor/internal/journal/zk"
	"gregor/internal/metadata"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// openController opens this node's end of the metadata log, the controller over it, and the way to the active one. It
// serves the quorum when it returns; who leads is found out afterwards, except in a quorum of this node alone.
func (n *Node) openController(ctx context.Context, values *config.Values, joining bool) error {
	j, err := n.openJournal(values, joining)
	if err != nil {
		return err
	}
	n.journal = j
	n.opened.Store(true)
	var bootstrap []metadata.Versioned
	if n.zoo != nil {
		bootstrap = bootstrapOnZooKeeper()
	}
	if n.ctrl, err = controller.Open(ctx, controller.Options{
		NodeID:    n.id.nodeID,
		ClusterID: n.id.clusterID,
		Journal:   j,
		Bootstrap: bootstrap,
		Config:    n.live,
		Logger:    n.logs.Part("controller"),
		OnFail:    n.fail,
		OnActive: func(image *metadata.Image) {
			if srv := n.ctlSrv.Load(); srv != nil {
				srv.BrokersUnknown(image)
			}
		},
		// A new active controller notices at once that this process has ended, but only by a connection that breaks: the
		// first heartbeat to it does not wait for its time.
		OnLeader: n.beatNow,
	}); err != nil {
		_ = j.Close()
		return err
	}
	o := forward.Options{
		NodeID:   n.id.nodeID,
		Leader:   func() int32 { return j.Status().Leader },
		Endpoint: n.controllerAddr,
		Applied:  func() int64 { return n.ctrl.Image().Offset() },
		Dial:     n.dial,
		Logger:   n.logs.Part("forward"),
	}
	if e, ok := j.(peerless); ok {
		o.Endpoint, o.Gone = e.Endpoint, e.PeerGone
	}
	switch {
	case n.zoo != nil:
		o.Local = n.moored()
	case n.roles.Controller:
		o.Local = n.ctrl
	}
	n.fwd = forward.New(o)
	n.serveControllers()
	if n.alone {
		if err := n.ctrl.WaitActive(ctx); err != nil {
			return err
		}
	}
	if err := n.ctrl.AddPublisher(ctx, &configPublisher{node: n.id.nodeID, live: n.live, log: n.logs.Part("config")}); err != nil {
		return err
	}
	if e, ok := j.(*zk.Engine); ok {
		n.mirror = zk.NewMirror(e)
		return n.ctrl.AddPublisher(ctx, n.mirror)
	}
	return nil
}

// member is a controller's end of the metadata log.
type member interface {
	journal.Journal
	journal.Quorum
	Handle(*raft.MessageRequest) *raft.MessageResponse
}

// peerless is a member of a metadata log whose members do not talk to each other: where the active controller answers is
// for the log to say, and that its process has ended is for the log to be told.
type peerless interface {
	Endpoint(id int32) (addr string, ok bool)
	PeerGone(id int32)
}

// openJournal opens this node's end of the metadata log: in ZooKeeper, as a voter, or as one who follows.
func (n *Node) openJournal(v *config.Values, joining bool) (journal.Journal, error) {
	if n.zoo != nil {
		return n.openZooKeeper()
	}
	o := raft.ObserverOptions{
		Options: raft.Options{
			Dir:             v.MetadataDir(),
			NodeID:          n.id.nodeID,
			SegmentBytes:    v.Int64("metadata.log.segment.bytes"),
			RetentionBytes:  v.Int64("metadata.max.retention.bytes"),
			RetentionMs:     v.Int64("metadata.max.retention.ms"),
			Logger:          n.logs.Part("journal"),
			ClusterID:       n.id.clusterID,
			DirectoryID:     directoryID(v),
			Dial:            n.dial,
			ClientID:        fmt.Sprintf("raft-client-%d", n.id.nodeID),
			ElectionTimeout: v.Millis("controller.quorum.election.timeout.ms"),
			Joining:         joining,
		},
		FetchLimit: v.Millis("controller.quorum.fetch.timeout.ms"),
	}
	if !n.alone {
		o.Bootstrap = n.quorum.Bootstrap
	}
	for _, voter := range n.quorum.Voters {
		o.Voters = append(o.Voters, journal.Voter{ID: voter.ID, Endpoints: []journal.Endpoint{{Name: n.controllerListener(v), Host: voter.Host, Port: uint16(voter.Port)}}})
	}
	if n.roles.Controller {
		return raft.OpenMember(o)
	}
	return raft.OpenObserver(o)
}

// controllerListener is the name of the listener by which controllers are reached.
func (n *Node) controllerListener(v *config.Values) string {
	if names := v.List("controller.listener.names"); len(names) > 0 {
		return strings.ToUpper(names[0])
	}
	return "CONTROLLER"
}

// serveControllers serves the quorum's listeners in place of the greeter.
func (n *Node) serveControllers() {
	if !n.roles.Controller || len(n.control) == 0 {
		return
	}
	quorum := n.journal.(member)
	srv := broker.NewController(broker.ControllerOptions{
		NodeID:     n.id.nodeID,
		ClusterID:  n.id.clusterID,
		Config:     n.live,
		Image:      n.ctrl.Image,
		Controller: n.ctrl,
		Quorum:     quorum,
		Private: []broker.PrivateAPI{n.helloAPI(), {
			New: func() kmsg.Request { return &raft.MessageRequest{} },
			Serve: func(_ context.Context, req kmsg.Request, reply func(kmsg.Response)) {
				reply(quorum.Handle(req.(*raft.MessageRequest)))
			},
		}},
		Loggers: n.logs,
		Dial:    n.dial,
		Logger:  n.logs.Part("broker"),
	})
	n.ctlSrv.Store(srv)
	if n.ctrl.Active() {
		srv.BrokersUnknown(n.ctrl.Image())
	}
	n.greeter.stop()
	for _, b := range n.control {
		n.serving.Go(func() {
			if err := srv.Serve(b.Name, b.net); err != nil && !errors.Is(err, net.ErrClosed) {
				n.fail(fmt.Errorf("listener %s: %w", b.Listener, err))
			}
		})
	}
}

// helloAPI says who this node is.
func (n *Node) helloAPI() broker.PrivateAPI {
	return broker.PrivateAPI{
		New: func() kmsg.Request { return &peer.HelloRequest{} },
		Serve: func(_ context.Context, req kmsg.Request, reply func(kmsg.Response)) {
			reply(&peer.HelloResponse{Version: req.GetVersion(), Identity: n.hello()})
		},
	}
}

// controllerAddr is where a controller listens for other nodes.
func (n *Node) controllerAddr(id int32) (addr string, ok bool) {
	for _, v := range n.quorum.Voters {
		if v.ID == id {
			return v.Addr(), true
		}
	}
	if q, is := n.journal.(interface{ Voters() []journal.Voter }); is {
		for _, v := range q.Voters() {
			if v.ID == id && len(v.Endpoints) > 0 {
				return net.JoinHostPort(v.Endpoints[0].Host, strconv.Itoa(int(v.Endpoints[0].Port))), true
			}
		}
	}
	return "", false
}

// resign hands the leadership of the metadata log to another node, so that nobody waits for an election.
func (n *Node) resign(ctx context.Context) {
	if n.ctrl == nil || n.alone || n.zoo != nil && !n.hasSuccessor() {
		return
	}
	resigning, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r, ok := n.journal.(interface{ Resign(context.Context) error }); ok {
		if err := r.Resign(resigning); err != nil {
			n.log.Info("the quorum's leadership was not handed over", "error", err.Error())
		}
	}
}

// hasSuccessor reports whether another broker goes on, which may lead the metadata log next. When all end together nobody
// does, and there is nobody to wait for.
func (n *Node) hasSuccessor() bool {
	for b := range n.ctrl.Image().Brokers() {
		if b.ID != n.id.nodeID && !b.Fenced && !b.ShuttingDown {
			return true
		}
	}
	return false
}

// registerController tells the active controller, whoever that becomes, where this one listens and which features it
// knows (KIP-919). Nothing waits for it.
func (n *Node) registerController(ctx context.Context) {
	if !n.roles.Controller || len(n.ctlAddrs) == 0 {
		return
	}
	n.background.Go(func() {
		for {
			req := kmsg.NewPtrControllerRegistrationRequest()
			req.ControllerID, req.IncarnationID = n.id.nodeID, n.who.Load().Process
			for _, a := range n.ctlAddrs {
				l := kmsg.NewControllerRegistrationRequestListener()
				l.Name, l.Host, l.Port, l.SecurityProtocol = a.Name, a.Host, uint16(a.Port), int16(securityProtocols[a.Protocol])
				req.Listeners = append(req.Listeners, l)
			}
			for name, r := range controller.SupportedFeatures() {
				f := kmsg.NewControllerRegistrationRequestFeature()
				f.Name, f.MinSupportedVersion, f.MaxSupportedVersion = name, r.Min, r.Max
				req.Features = append(req.Features, f)
			}
			resp, err := ask[*kmsg.ControllerRegistrationResponse](ctx, n.fwd, req)
			if err == nil {
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			if err == nil || ctx.Err() != nil {
				return
			}
			n.log.Debug("this controller is not registered yet", "error", err.Error())
			if !pause(ctx, registerRetry) {
				return
			}
		}
	})
}
