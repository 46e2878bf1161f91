package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deciding is the active controller, wherever it is: the forwarder. done is called exactly once.
type deciding interface {
	Do(ctx context.Context, from controller.Caller, req kmsg.Request, done func(kmsg.Response))
}

// registration keeps this broker in the cluster: it registers, and sends a heartbeat every
// broker.heartbeat.interval.ms. Both go to the controller by the requests of Kafka's protocol (KIP-631).
type registration struct {
	to      deciding
	id      int32
	live    *config.Live
	log     *slog.Logger
	request func() *kmsg.BrokerRegistrationRequest // a new one, with a new incarnation
	image   func() *metadata.Image
	dirs    func() (offline [][16]byte)
	taken   func(epoch int64)               // told of each epoch that this broker is given
	inUse   func(ctx context.Context) error // says who else has this broker's id
	fail    func(error)                     // the broker cannot stay in the cluster
	adrift  func() bool                     // it learns of no metadata any more, and is to be fenced

	epoch  atomic.Int64  // -1 before the first registration
	known  atomic.Int64  // metadata offset that the controller waits for
	hurry  chan struct{} // the next heartbeat is not to wait; has room for one signal
	cancel context.CancelFunc
	done   sync.WaitGroup
}

const (
	registerRetry = 100 * time.Millisecond // after a refusal that may pass
	fencedRetry   = 10 * time.Millisecond  // between heartbeats while the broker is to be unfenced
	shutdownRetry = 20 * time.Millisecond  // between heartbeats of a controlled shutdown
	// lostAfter is how long a controlled shutdown goes on without a controller that answers. Without one nobody moves the
	// leaderships; whoever ends a whole cluster does not want to wait for it.
	lostAfter = time.Second
)

// register makes this broker part of the cluster, fenced: it leads nothing until it is unfenced. It tries again while
// that may help, and ends with ctx.
func (g *registration) register(ctx context.Context) error {
	began, told := time.Now(), time.Time{}
	duplicateUntil := g.live.Load().Millis("initial.broker.registration.timeout.ms")
	req := g.request()
	for {
		resp, err := ask[*kmsg.BrokerRegistrationResponse](ctx, g.to, req)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case err == nil:
			g.epoch.Store(resp.BrokerEpoch)
			g.taken(resp.BrokerEpoch)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("registering with the controller: %w", ctx.Err())
		case errors.Is(err, kerr.InconsistentClusterID):
			return fmt.Errorf("%w: the controllers do not belong to cluster %s, to which this node's directories belong; correct controller.quorum.voters or "+
				"controller.quorum.bootstrap.servers, or use other directories in log.dirs", ErrIdentity, req.ClusterID)
		case errors.Is(err, kerr.DuplicateBrokerRegistration):
			// Somebody with this id has been heard of within broker.session.timeout.ms: another process, or the one before
			// this one with another disk.
			if err := g.inUse(ctx); err != nil {
				return err
			}
			if waited := time.Since(began); waited > duplicateUntil {
				return fmt.Errorf("%w: the controller has heard of another process with node.id=%d for %v; stop that process, or give this one a node.id of its own",
					errNodeInUse, g.id, waited.Round(time.Second))
			}
		case !kerr.IsRetriable(err) && resp != nil:
			return fmt.Errorf("the controller does not register broker %d: %w", g.id, err)
		}
		if time.Since(told) > helloRepeat && time.Since(began) > helloPatience {
			g.log.Warn("the controller has not registered this broker yet", "error", err.Error())
			told = time.Now()
		}
		if !pause(ctx, registerRetry) {
			return fmt.Errorf("registering with the controller: %w", ctx.Err())
		}
	}
}

// pause waits, and reports false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// caughtUp returns when this broker knows of its own registration, and so of all that was decided before it.
func (g *registration) caughtUp(ctx context.Context) error {
	for g.image().Offset() < g.epoch.Load() {
		if !pause(ctx, time.Millisecond) {
			return fmt.Errorf("broker %d is registered at offset %d of the metadata log, and has it up to %d: %w", g.id, g.epoch.Load(), g.image().Offset(), ctx.Err())
		}
	}
	return nil
}

// unfence sends heartbeats until the controller lets the broker lead.
func (g *registration) unfence(ctx context.Context) error {
	for {
		if g.adrift() {
			return errAdrift
		}
		resp, err := g.heartbeat(ctx, false)
		switch {
		case err == nil && !resp.IsFenced:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("broker %d is still fenced: %w", g.id, ctx.Err())
		case isUnknown(err):
			if err := g.register(ctx); err != nil {
				return err
			}
			if err := g.caughtUp(ctx); err != nil {
				return err
			}
		case err != nil && !kerr.IsRetriable(err):
			return fmt.Errorf("heartbeat to the controller: %w", err)
		}
		if !pause(ctx, fencedRetry) {
			return fmt.Errorf("broker %d is still fenced: %w", g.id, ctx.Err())
		}
	}
}

// errAdrift is why a broker does not ask to be unfenced.
var errAdrift = errors.New("it has no connection to ZooKeeper")

// isUnknown reports that the controller does not know this broker's epoch: it was unregistered, or somebody else has
// registered with its id.
func isUnknown(err error) bool {
	return errors.Is(err, kerr.StaleBrokerEpoch) || errors.Is(err, kerr.BrokerIDNotRegistered)
}

func (g *registration) heartbeat(ctx context.Context, shutdown bool) (*kmsg.BrokerHeartbeatResponse, error) {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.SetVersion(1)
	req.BrokerID, req.BrokerEpoch, req.WantShutdown = g.id, g.epoch.Load(), shutdown
	req.CurrentMetadataOffset = g.image().Offset()
	req.OfflineLogDirs = g.dirs()
	if req.WantFence = g.adrift() && !shutdown; req.WantFence {
		// It must not arrive when this is not so any more.
		soon, cancel := context.WithTimeout(ctx, g.live.Load().Millis("broker.heartbeat.interval.ms"))
		defer cancel()
		ctx = soon
	}
	resp, err := ask[*kmsg.BrokerHeartbeatResponse](ctx, g.to, req)
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

// beat sends heartbeats until close. A controller that has forgotten this broker is told of it anew.
func (g *registration) beat() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.done.Go(func() {
		for adrift := false; g.rest(ctx); {
			fenced := false
			resp, err := g.heartbeat(ctx, false)
			switch {
			case err == nil:
				fenced = resp.IsFenced
				if was := adrift; fenced && g.adrift() {
					// It goes on asking at the usual pace.
					if adrift, fenced = true, false; !was {
						g.log.Warn("this broker has no connection to ZooKeeper, while the controller has one: it is fenced until it has one again")
					}
				} else {
					adrift = false
				}
			case ctx.Err() != nil:
				return
			case isUnknown(err):
				fenced = true
				g.log.Warn("the controller does not know this broker any more; it registers again", "epoch", g.epoch.Load(), "error", err.Error())
				// Whoever has the id now may be another process. If it answers, this one has lost.
				err := g.inUse(ctx)
				if err == nil {
					err = g.register(ctx)
				}
				if err != nil && ctx.Err() == nil {
					g.fail(err)
					return
				}
			case errors.Is(err, context.DeadlineExceeded): // nobody hears that it wants to be fenced
			default:
				g.log.Warn("heartbeat failed", "error", err.Error())
			}
			if fenced { // after a pause, or a registration: the next heartbeats are not to wait
				if err := g.caughtUp(ctx); err == nil {
					err = g.unfence(ctx)
					if err != nil && ctx.Err() == nil {
						g.log.Warn("this broker stays fenced", "error", err.Error())
					}
				}
			}
		}
	})
}

// rest waits for the time of the next heartbeat, and reports false when ctx ended before.
func (g *registration) rest(ctx context.Context) bool {
	t := time.NewTimer(g.live.Load().Millis("broker.heartbeat.interval.ms"))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-g.hurry:
	}
	for g.image().Offset() < g.known.Load() { // the publishers are still being told
		if !pause(ctx, time.Millisecond) {
			return false
		}
	}
	return true
}

// hasten leaves the signal in a channel that has room for one.
func hasten(hurry chan<- struct{}) {
	select {
	case hurry <- struct{}{}:
	default:
	}
}

// Publish implements metadata.Publisher. A broker that ends waits until all others have told the controller that they know
// of its successors, which they do by a heartbeat: that one is sent at once.
func (g *registration) Publish(delta *metadata.Delta, image *metadata.Image) {
	for id, change := range delta.Brokers() {
		if id == g.id || change.New == nil || !change.New.ShuttingDown || change.Old != nil && change.Old.ShuttingDown {
			continue
		}
		g.known.Store(image.Offset())
		hasten(g.hurry)
		return
	}
}

// close ends the heartbeats and asks the controller to move this broker's leaderships away, as long as ctx allows and a
// controller answers.
func (g *registration) close(ctx context.Context) {
	if g.cancel == nil {
		return
	}
	g.cancel()
	g.done.Wait()
	for {
		asking, cancel := context.WithTimeout(ctx, lostAfter)
		resp, err := g.heartbeat(asking, true)
		cancel()
		if err != nil || resp.ShouldShutdown {
			if err != nil {
				g.log.Warn("ending without a controlled shutdown", "error", err.Error())
			}
			return
		}
		if !pause(ctx, shutdownRetry) {
			g.log.Warn("ending before all leaderships were moved away")
			return
		}
	}
}

// ask sends a request to the controller and waits for the answer.
func ask[R kmsg.Response](ctx context.Context, c deciding, req kmsg.Request) (R, error) {
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
