package broker

import "context"

// AddRaftVoter: versions 0-1 (KIP-853, KIP-1186). The active controller answers, when the change is committed.
func (b *Broker) addRaftVoter(ctx context.Context, r *Request) { b.forward(ctx, r) }
