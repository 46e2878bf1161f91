package broker

import "context"

// RemoveRaftVoter: version 0 (KIP-853). The active controller answers, when the change is committed.
func (b *Broker) removeRaftVoter(ctx context.Context, r *Request) { b.forward(ctx, r) }
