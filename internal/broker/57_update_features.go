package broker

import "context"

// UpdateFeatures: versions 0-2 (KIP-584, KIP-778): the controller changes all levels of a request, or none.
func (b *Broker) updateFeatures(ctx context.Context, r *Request) { b.forward(ctx, r) }
