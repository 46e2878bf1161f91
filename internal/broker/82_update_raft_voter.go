package broker

import "context"

// UpdateRaftVoter: version 0, on the controllers' listeners (KIP-853): a voter tells its new endpoints.
func (b *Broker) updateRaftVoter(ctx context.Context, r *Request) { b.forward(ctx, r) }
