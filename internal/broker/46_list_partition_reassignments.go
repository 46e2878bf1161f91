package broker

import "context"

// ListPartitionReassignments: version 0 (KIP-455): the controller knows.
func (b *Broker) listPartitionReassignments(ctx context.Context, r *Request) { b.forward(ctx, r) }
