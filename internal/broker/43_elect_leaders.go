package broker

import "context"

// ElectLeaders: versions 0-2 (KIP-183, KIP-460): the controller elects.
func (b *Broker) electLeaders(ctx context.Context, r *Request) { b.forward(ctx, r) }
