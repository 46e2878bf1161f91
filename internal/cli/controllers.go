package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// WithControllers declares --bootstrap-controller: the tool may talk to the controllers directly (KIP-919), as when
// no broker is up.
func (c *Connection) WithControllers() *Connection {
	c.Controllers = c.flags.String("bootstrap-controller", "host:port,...", "The controllers to connect to first, in place of --bootstrap-server.")
	return c
}

// direct tells whether the controllers were named.
func (c *Connection) direct() bool { return c.Controllers != nil && c.Controllers.Seen() }

// clusterClient does what an administrative tool needs of a cluster.
type clusterClient struct {
	// Requestor takes requests to the cluster as a whole: any broker has them answered, or the active controller with
	// --bootstrap-controller.
	kmsg.Requestor
	client *kgo.Client // to the addresses given
	direct bool        // --bootstrap-controller was used
	io     IO
}

// DialCluster is Dial for a tool that has --bootstrap-controller.
func (c *Connection) DialCluster(ctx context.Context, io IO) (context.Context, *clusterClient, func(), error) {
	if !c.direct() {
		ctx, client, done, err := c.Dial(ctx, io)
		if err != nil {
			return nil, nil, nil, err
		}
		return ctx, &clusterClient{Requestor: client, client: client, io: io}, done, nil
	}
	props, err := c.Properties()
	if err != nil {
		return nil, nil, nil, err
	}
	timeout, err := apiTimeout(props)
	if err != nil {
		return nil, nil, nil, err
	}
	seeds, err := newClient(io, bootstrapController, c.Controllers.Value(), props)
	if err != nil {
		return nil, nil, nil, err
	}
	active := &activeController{io: io, props: props, seeds: seeds}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	done := func() {
		cancel()
		active.forget()
		seeds.Close()
	}
	return ctx, &clusterClient{Requestor: active, client: seeds, direct: true, io: io}, done, nil
}

// describe asks who belongs to the cluster: its brokers, or its controllers with --bootstrap-controller.
func (c *clusterClient) describe(ctx context.Context, fenced bool) (*kmsg.DescribeClusterResponse, error) {
	if c.direct {
		return describeControllers(ctx, c.client)
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = endpointBroker
	req.IncludeFencedBrokers = fenced
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	return resp, answer(resp.ErrorCode, resp.ErrorMessage)
}

// What DescribeCluster asks for (KIP-919).
const (
	endpointBroker     = 1
	endpointController = 2
)

// describeControllers asks the addresses given, one after the other, for the controllers and which of them is active.
func describeControllers(ctx context.Context, seeds *kgo.Client) (*kmsg.DescribeClusterResponse, error) {
	var last error
	for _, seed := range seeds.SeedBrokers() {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = endpointController
		raw, err := seed.Request(ctx, req) // the dialer tries again as long as it is worth it
		if err != nil {
			last = err
			continue
		}
		resp := raw.(*kmsg.DescribeClusterResponse)
		if last = answer(resp.ErrorCode, resp.ErrorMessage); last == nil {
			return resp, nil
		}
		if errors.Is(last, kerr.MismatchedEndpointType) {
			return nil, fmt.Errorf("--bootstrap-controller names a broker's listener, not a controller's: %w. Use --bootstrap-server for brokers; the controllers' addresses are in controller.quorum.voters or controller.quorum.bootstrap.servers", last)
		}
	}
	return nil, last
}

// activeController sends requests to the controller that leads, and looks for the new one when it changes.
type activeController struct {
	io     IO
	props  map[string]string
	seeds  *kgo.Client
	client *kgo.Client // to the active controller, nil while it is not known
}

const controllerPause = 100 * time.Millisecond

// Request makes it a kmsg.Requestor. While no controller is active it tries again, as long as a tool tries to reach
// a broker.
func (a *activeController) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	began := time.Now()
	patience, err := durationProperty(a.props, "default.api.timeout.ms", defaultUnreachable)
	if err != nil {
		return nil, err
	}
	for warned := false; ; {
		resp, err := a.once(ctx, req)
		if err == nil && !movedController(resp) {
			return resp, nil
		}
		var unreachable *UnreachableError
		if errors.As(err, &unreachable) && a.client == nil || err != nil && permanent(err) {
			return nil, err
		}
		a.forget()
		if err == nil {
			err = errNoActiveController
		}
		if patience > 0 && time.Since(began) > patience {
			return nil, err
		}
		if !warned {
			warned = true
			fmt.Fprintf(a.io.Err, "WARN The active controller did not answer: %v. Trying again.\n", reason(err))
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(controllerPause):
		}
	}
}

var errNoActiveController = errors.New("the controllers have no leader; a majority of them must be up and reach each other")

func (a *activeController) once(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if a.client == nil {
		cluster, err := describeControllers(ctx, a.seeds)
		if err != nil {
			return nil, err
		}
		for _, node := range cluster.Brokers {
			if node.NodeID == cluster.ControllerID {
				address := net.JoinHostPort(node.Host, strconv.Itoa(int(node.Port)))
				if a.client, err = newClient(a.io, bootstrapController, address, a.props); err != nil {
					return nil, err
				}
			}
		}
		if a.client == nil {
			return nil, errNoActiveController
		}
	}
	return a.client.SeedBrokers()[0].Request(ctx, req)
}

func (a *activeController) forget() {
	if a.client != nil {
		a.client.Close()
		a.client = nil
	}
}

// permanent tells whether asking again cannot help: what is wrong is not which controller leads.
func permanent(err error) bool {
	var code *kerr.Error
	var handshake *tlsError
	return errors.As(err, &handshake) || tooOld(err) || errors.Is(err, kerr.MismatchedEndpointType) || errors.As(err, &code) && !code.Retriable
}

// movedController tells whether the answer is that another controller leads.
func movedController(resp kmsg.Response) bool {
	var code int16
	switch r := resp.(type) {
	case *kmsg.DescribeQuorumResponse:
		code = r.ErrorCode
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				code = max(code, p.ErrorCode)
			}
		}
	case *kmsg.UpdateFeaturesResponse:
		code = r.ErrorCode
	case *kmsg.AddRaftVoterResponse:
		code = r.ErrorCode
	case *kmsg.RemoveRaftVoterResponse:
		code = r.ErrorCode
	case *kmsg.UnregisterBrokerResponse:
		code = r.ErrorCode
	case *kmsg.ListPartitionReassignmentsResponse:
		code = r.ErrorCode
	case *kmsg.AlterPartitionAssignmentsResponse:
		code = r.ErrorCode
	case *kmsg.ElectLeadersResponse:
		code = r.ErrorCode
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, res := range r.Resources {
			code = max(code, res.ErrorCode)
		}
	case *kmsg.DescribeConfigsResponse:
		for _, res := range r.Resources {
			code = max(code, res.ErrorCode)
		}
	}
	return code == kerr.NotController.Code || code == kerr.NotLeaderForPartition.Code
}
