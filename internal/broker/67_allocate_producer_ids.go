package broker

import "context"

// AllocateProducerIds: version 0, on the controllers' listeners (KIP-730).
func (b *Broker) grantProducerIDs(ctx context.Context, r *Request) { b.forward(ctx, r) }
