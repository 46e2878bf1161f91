package sim

import (
	"context"
	"maps"
	"slices"
	"time"

	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	heartbeatEvery = 400 * time.Millisecond
	sessionTimeout = 3 * time.Second
	requestTimeout = 2 * time.Second
)

// registration keeps a broker in the cluster, as that of package node does: register, wait until the metadata here has
// it, follow the metadata, and send heartbeats.
type registration struct {
	p           *process
	incarnation metadata.UUID
	epoch       int64
	following   bool
	fenced      bool
	registering bool
	beating     bool
}

func newRegistration(p *process) *registration {
	r := &registration{p: p, incarnation: metadata.NewUUID(), epoch: -1, fenced: true}
	p.after(0, "register", r.register)
	return r
}

func (r *registration) register() {
	p := r.p
	r.registering = true
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.SetVersion(4)
	req.BrokerID, req.ClusterID, req.IncarnationID = p.n.id, clusterID, r.incarnation
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "localhost", uint16(19000+p.n.id)
	req.Listeners = append(req.Listeners, l)
	supported := controller.SupportedFeatures()
	for _, name := range slices.Sorted(maps.Keys(supported)) {
		levels := supported[name]
		f := kmsg.NewBrokerRegistrationRequestFeature()
		f.Name, f.MinSupportedVersion, f.MaxSupportedVersion = name, levels.Min, levels.Max
		req.Features = append(req.Features, f)
	}
	for _, d := range p.dirs.Dirs() {
		req.LogDirs = append(req.LogDirs, d.ID)
	}
	req.PreviousBrokerEpoch = p.dirs.PreviousBrokerEpoch()
	p.ask(req, func(resp kmsg.Response, err error) {
		if err == nil {
			answer := resp.(*kmsg.BrokerRegistrationResponse)
			if err = kerr.ErrorForCode(answer.ErrorCode); err == nil {
				r.epoch = answer.BrokerEpoch
				p.dirs.SetBrokerEpoch(r.epoch)
				p.n.c.w.note(p.n.id, "registered", r.epoch)
				r.registering = false
				if !r.beating {
					r.beating = true
					r.beat()
				}
				return
			}
		}
		p.after(200*time.Millisecond, "register", r.register)
	})
}

// known reports whether this process is the one that the metadata has.
func (r *registration) known(image *metadata.Image) bool {
	b := image.Broker(r.p.n.id)
	return b != nil && b.Epoch == r.epoch
}

func (r *registration) beat() {
	p := r.p
	if !r.following && p.ctrl.Image().Offset() >= r.epoch {
		r.following = true
		p.follow()
	}
	if r.following {
		req := kmsg.NewPtrBrokerHeartbeatRequest()
		req.SetVersion(1)
		req.BrokerID, req.BrokerEpoch = p.n.id, r.epoch
		req.CurrentMetadataOffset = p.ctrl.Image().Offset()
		p.ask(req, func(resp kmsg.Response, err error) {
			if err != nil {
				return
			}
			answer := resp.(*kmsg.BrokerHeartbeatResponse)
			switch kerr.ErrorForCode(answer.ErrorCode) {
			case nil:
				r.fenced = answer.IsFenced
			case kerr.StaleBrokerEpoch, kerr.BrokerIDNotRegistered:
				// A registration of the process before this one came late.
				if !r.registering {
					r.register()
				}
			}
		})
	}
	wait := heartbeatEvery
	if r.fenced {
		wait = 100 * time.Millisecond
	}
	p.after(wait, "heartbeat", r.beat)
}

// ask asks the active controller, as this node knows it.
func (p *process) ask(req kmsg.Request, done func(kmsg.Response, error)) {
	leader := p.ctrl.Leader()
	if leader < 0 {
		p.after(50*time.Millisecond, "no controller", func() { done(nil, kerr.NotController) })
		return
	}
	p.n.c.askNode(p.n.id, leader, req, done)
}

// askNode sends a request to the controller of one node. What arrives was encoded and decoded on the way.
func (c *cluster) askNode(from, to int32, req kmsg.Request, done func(kmsg.Response, error)) {
	req = transcode(req)
	call(c.net, from, to, kmsg.NameForKey(req.Key()), requestTimeout, func(p *process, reply func(kmsg.Response)) {
		p.ctrl.Do(context.Background(), controller.Caller{Principal: "User:ANONYMOUS", ClientID: "sim"}, req, func(resp kmsg.Response) {
			b := resp.AppendTo(nil)
			fresh := req.ResponseKind()
			if err := fresh.ReadFrom(b); err != nil {
				panic(err)
			}
			reply(fresh)
		})
	}, done)
}

func transcode(req kmsg.Request) kmsg.Request {
	fresh := kmsg.RequestForKey(req.Key())
	fresh.SetVersion(req.GetVersion())
	if err := fresh.ReadFrom(req.AppendTo(nil)); err != nil {
		panic(err)
	}
	return fresh
}
