package broker

import "context"

// CreatePartitions: versions 0-3 (KIP-195). The controller answers.
func (b *Broker) createPartitions(ctx context.Context, r *Request) { b.forward(ctx, r) }
