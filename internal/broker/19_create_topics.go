package broker

import "context"

// CreateTopics: versions 2-7 (KIP-464 broker defaults for partitions and replicas, KIP-525 configurations in the
// answer, KIP-516 topic ids). The controller answers.
func (b *Broker) createTopics(ctx context.Context, r *Request) { b.forward(ctx, r) }
