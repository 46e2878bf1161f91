package broker

import "context"

// ControllerRegistration: version 0, on the controllers' listeners (KIP-919).
func (b *Broker) controllerRegistration(ctx context.Context, r *Request) { b.forward(ctx, r) }
