package broker

import "context"

// AlterClientQuotas: versions 0-1 (KIP-546): the controller stores them.
func (b *Broker) alterClientQuotas(ctx context.Context, r *Request) { b.forward(ctx, r) }
