package broker

import "context"

// AlterPartition: versions 2-3, on the controllers' listeners (KIP-497, KIP-841, KIP-903): a leader proposes an ISR.
func (b *Broker) alterPartition(ctx context.Context, r *Request) { b.forward(ctx, r) }
