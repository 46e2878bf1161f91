package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// registration keeps this broker in the cluster: it registers, and sends a heartbeat every
// broker.heartbeat.interval.ms. Both go to the controller by the requests of Kafka's protocol (KIP-631).
type registration struct {
	ctrl  *controller.Controller
	id    int32
	live  *config.Live
	log   *slog.Logger
	epoch int64
	dirs  func() (offline [][16]byte)

	cancel context.CancelFunc
	done   sync.WaitGroup
}

var securityProtocols = map[string]metadata.SecurityProtocol{
	"PLAINTEXT": metadata.Plaintext, "SSL": metadata.SSL, "SASL_PLAINTEXT": metadata.SASLPlaintext, "SASL_SSL": metadata.SASLSSL,
}

// register makes this broker part of the cluster, fenced: it leads nothing until registration.start.
func (n *Node) register(ctx context.Context, values *config.Values) error {
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

	n.reg = &registration{ctrl: n.ctrl, id: n.id.nodeID, live: n.live, log: n.logs.Part("node"), dirs: n.offlineDirs}
	resp, err := ask[*kmsg.BrokerRegistrationResponse](ctx, n.ctrl, req)
	if err != nil {
		return fmt.Errorf("registering with the controller: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("the controller does not register broker %d: %w", n.id.nodeID, err)
	}
	n.reg.epoch = resp.BrokerEpoch
	n.dirs.SetBrokerEpoch(resp.BrokerEpoch)
	return nil
}

// unfence sends heartbeats until the controller lets the broker lead.
func (g *registration) unfence(ctx context.Context) error {
	for {
		resp, err := g.heartbeat(ctx, false)
		if err != nil {
			return fmt.Errorf("heartbeat to the controller: %w", err)
		}
		if !resp.IsFenced {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("broker %d is still fenced: %w", g.id, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (g *registration) heartbeat(ctx context.Context, shutdown bool) (*kmsg.BrokerHeartbeatResponse, error) {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.SetVersion(1)
	req.BrokerID, req.BrokerEpoch, req.WantShutdown = g.id, g.epoch, shutdown
	req.CurrentMetadataOffset = g.ctrl.Image().Offset()
	req.OfflineLogDirs = g.dirs()
	resp, err := ask[*kmsg.BrokerHeartbeatResponse](ctx, g.ctrl, req)
	if err != nil {
		return nil, err
	}
	return resp, kerr.ErrorForCode(resp.ErrorCode)
}

// start returns when the broker is unfenced, and sends heartbeats until close.
func (g *registration) start(ctx context.Context) error {
	if err := g.unfence(ctx); err != nil {
		return err
	}
	g.beat()
	return nil
}

// beat sends heartbeats until close.
func (g *registration) beat() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.done.Go(func() {
		for {
			t := time.NewTimer(g.live.Load().Millis("broker.heartbeat.interval.ms"))
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			if _, err := g.heartbeat(ctx, false); err != nil && !errors.Is(err, context.Canceled) {
				g.log.Warn("heartbeat failed", "error", err.Error())
			}
		}
	})
}

// close ends the heartbeats and asks the controller to move this broker's leaderships away, as long as ctx allows.
func (g *registration) close(ctx context.Context) {
	if g.cancel == nil {
		return
	}
	g.cancel()
	g.done.Wait()
	for {
		resp, err := g.heartbeat(ctx, true)
		if err != nil || resp.ShouldShutdown {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ask sends a request to the controller and waits for the answer.
func ask[R kmsg.Response](ctx context.Context, c *controller.Controller, req kmsg.Request) (R, error) {
	answer := make(chan kmsg.Response, 1)
	c.Do(ctx, controller.Caller{Principal: "User:ANONYMOUS", ClientID: "broker"}, req, func(resp kmsg.Response) { answer <- resp })
	select {
	case resp := <-answer:
		r, ok := resp.(R)
		if !ok {
			return r, fmt.Errorf("the controller answered %T", resp)
		}
		return r, nil
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}
