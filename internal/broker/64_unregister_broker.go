package broker

import "context"

// UnregisterBroker: version 0 (KIP-631): the controller forgets a broker that is not to come back.
func (b *Broker) unregisterBroker(ctx context.Context, r *Request) { b.forward(ctx, r) }
