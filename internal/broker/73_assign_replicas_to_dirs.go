package broker

import "context"

// AssignReplicasToDirs: version 0, on the controllers' listeners (KIP-858).
func (b *Broker) assignReplicasToDirs(ctx context.Context, r *Request) { b.forward(ctx, r) }
