package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster: versions 0-2 (KIP-700, KIP-919 endpoint type, KIP-1073 fenced brokers).
func (b *Broker) describeCluster(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	if req.EndpointType != 1 {
		resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		message := "Unsupported endpoint type " + itoa(int(req.EndpointType))
		if req.EndpointType == 2 { // controllers: right, but asked of the wrong kind of listener
			resp.ErrorCode = kerr.MismatchedEndpointType.Code
			message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
		}
		resp.ErrorMessage = &message
		r.Reply(resp)
		return
	}
	image := b.image()
	resp.ClusterID, resp.ControllerID = b.clusterID, b.someBroker(image)
	for broker := range image.Brokers() {
		if broker.Fenced && !req.IncludeFencedBrokers {
			continue
		}
		if e, ok := broker.Endpoint(r.Conn.Listener()); ok {
			m := kmsg.NewDescribeClusterResponseBroker()
			m.NodeID, m.Host, m.Port, m.Rack, m.IsFenced = broker.ID, e.Host, int32(e.Port), broker.Rack, broker.Fenced
			resp.Brokers = append(resp.Brokers, m)
		}
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	r.Reply(resp)
}
