package broker

import "context"

// AlterPartitionReassignments: versions 0-1 (KIP-455, KIP-860): the controller adds replicas, and takes the others away
// when those that stay are in sync.
func (b *Broker) alterPartitionReassignments(ctx context.Context, r *Request) { b.forward(ctx, r) }
