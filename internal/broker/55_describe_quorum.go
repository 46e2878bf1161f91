package broker

import "context"

// DescribeQuorum: versions 0-2 (KIP-595, KIP-836 lag, KIP-853 directory ids and endpoints). The active controller answers.
func (b *Broker) describeQuorum(ctx context.Context, r *Request) { b.forward(ctx, r) }
