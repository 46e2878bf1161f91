package broker

import "context"

// Operations that a client may do, as the bit field of KIP-430. Without an authorizer every one that fits the resource.
const (
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12       // create, alter, describe, cluster action, describe and alter configs, idempotent write
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11 // read, write, create, delete, alter, describe, describe and alter configs
	notAsked          = -1 << 31                                                // the field's value when the request did not ask for it
)

// caller is on whose behalf a request is forwarded to the controller.
func (r *Request) caller() Caller {
	return Caller{Principal: r.Conn.Principal(), ClientID: r.ClientID, ClientHost: r.Conn.ClientHost(), Listener: r.Conn.Listener()}
}

// forward has the controller answer. The work goes on when the client leaves, as it does in Kafka.
func (b *Broker) forward(ctx context.Context, r *Request) {
	b.controller.Do(context.WithoutCancel(ctx), r.caller(), r.Body, r.Reply)
}
