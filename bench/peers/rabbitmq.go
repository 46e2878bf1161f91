package peers

import (
	"context"

	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/bench/peers/drive"
	"gregor/bench/peers/rabbitmq"
)

// rabbitKind is RabbitMQ with one of the things that it has for a partition.
type rabbitKind struct {
	binary string
	what   string
}

// Names of what stands for a partition.
const (
	quorum  = "rabbitmq-quorum"         // a quorum queue, over AMQP
	stream  = "rabbitmq-stream"         // a stream, over its own protocol
	batched = "rabbitmq-stream-batched" // a stream, with the records of a batch in one entry
)

func (k rabbitKind) Name() string { return k.what }

// Has says which cases there are; what is asked of the server alone is the same for all three.
func (k rabbitKind) Has(c *harness.Case) bool {
	w := c.Workload
	switch {
	case c.Config.Nodes > 1:
		return false
	case c.Any:
		return k.what == quorum
	case work[c.Name] == nil:
		return false
	case k.what == quorum:
		return w.Readers <= 1 // consumers of a queue share it
	case k.what == batched:
		return w.Records > 1
	}
	return !w.Flush // a stream has no such thing
}

type rabbitInstance struct {
	rabbitKind
	config harness.Config
	*rabbitmq.Server
}

func (k rabbitKind) Start(ctx context.Context, c harness.Config) (_ harness.Instance, err error) {
	if c.Nodes > 1 {
		return nil, harness.ErrNotThisOne
	}
	if k.binary, err = clean(k.binary); err != nil {
		return nil, err
	}
	r := &rabbitInstance{rabbitKind: k, config: c}
	if err := r.Restart(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Restart starts the process on what is in the directory.
func (r *rabbitInstance) Restart(ctx context.Context) error {
	if r.Server != nil {
		if err := r.Close(); err != nil {
			return err
		}
	}
	s, err := rabbitmq.Start(ctx, rabbitmq.Options{Binary: r.binary, Dir: r.config.Dir, Port: r.config.Port})
	if err == nil {
		r.Server = s
	}
	return err
}

func (r *rabbitInstance) Addrs() []string {
	if r.what == quorum {
		return []string{r.AMQP}
	}
	return []string{r.Server.Streams}
}

func (r *rabbitInstance) Pids() []int { return []int{r.Pid()} }

func (r *rabbitInstance) queues(t harness.Topic) rabbitmq.Queues {
	return rabbitmq.Queues{Addr: r.AMQP, Topic: t.Name, Partitions: t.Partitions, MaxBytes: retainBytes}
}

func (r *rabbitInstance) streams(t harness.Topic) rabbitmq.Streams {
	return rabbitmq.Streams{Addr: r.Server.Streams, Topic: t.Name, Partitions: t.Partitions, MaxBytes: retainBytes, SegmentBytes: segmentBytes}
}

func topicOf(t *harness.Target) harness.Topic {
	return harness.Topic{Name: t.Topic, Partitions: max(t.Case.Workload.Partitions, 1)}
}

func (r *rabbitInstance) Create(ctx context.Context, t harness.Topic) error {
	if r.what == quorum {
		return r.queues(t).Create(ctx)
	}
	return r.streams(t).Create(ctx)
}

func (r *rabbitInstance) Drop(ctx context.Context, t harness.Topic) error {
	if r.what == quorum {
		return r.queues(t).Delete(ctx)
	}
	return r.streams(t).Delete(ctx)
}

func (r *rabbitInstance) produce(ctx context.Context, t *harness.Target, l drive.Load, record []byte) (load.Result, error) {
	if r.what == quorum {
		return rabbitmq.Publish{Load: l, Queues: r.queues(topicOf(t)), Record: record}.Run(ctx)
	}
	return rabbitmq.Write{Load: l, Streams: r.streams(topicOf(t)), Batched: r.what == batched, Record: record}.Run(ctx)
}

func (r *rabbitInstance) consume(ctx context.Context, t *harness.Target, records int64, h drive.Hooks) (load.Result, error) {
	if r.what == quorum {
		return rabbitmq.Consume{Queues: r.queues(topicOf(t)), Records: records, Prefetch: prefetch, Hooks: h}.Run(ctx)
	}
	return rabbitmq.Read{Streams: r.streams(topicOf(t)), Readers: max(t.Case.Workload.Readers, 1), Records: records, Hooks: h}.Run(ctx)
}

// prefetch is enough for a consumer of this machine never to wait for the server to see its acknowledgement.
const prefetch = 2000

func (r *rabbitInstance) takes() bool { return r.what == quorum }

// Drive does the case's workload.
func (r *rabbitInstance) Drive(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	return measure(ctx, t, r)
}
