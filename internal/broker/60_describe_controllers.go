package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpointTypes are those of KIP-919.
const (
	endpointBroker     = 1
	endpointController = 2
)

// DescribeCluster on the controllers' listeners: versions 0-2 (KIP-919): the nodes are the voters, for clients that were
// started with bootstrap.controllers.
func (b *Broker) describeControllers(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.EndpointType = endpointController
	if req.EndpointType != endpointController {
		resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		message := "Unsupported endpoint type " + itoa(int(req.EndpointType))
		if req.EndpointType == endpointBroker {
			resp.ErrorCode = kerr.MismatchedEndpointType.Code
			message = "The request was sent to an endpoint of type CONTROLLER, but we wanted an endpoint of type BROKER"
		}
		resp.ErrorMessage = &message
		r.Reply(resp)
		return
	}
	resp.ClusterID, resp.ControllerID = b.clusterID, b.quorum.Status().Leader
	for _, v := range b.quorum.Voters() {
		if len(v.Endpoints) == 0 {
			continue
		}
		e := v.Endpoints[0]
		for _, other := range v.Endpoints {
			if other.Name == r.Conn.Listener() {
				e = other
			}
		}
		m := kmsg.NewDescribeClusterResponseBroker()
		m.NodeID, m.Host, m.Port = v.ID, e.Host, int32(e.Port)
		resp.Brokers = append(resp.Brokers, m)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	r.Reply(resp)
}
