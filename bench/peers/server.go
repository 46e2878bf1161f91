package peers

import (
	"context"
	"path/filepath"

	"gregor/bench/harness"
	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Programs are the servers' programs; those that are empty are not measured.
type Programs struct {
	NATS     string // nats-server
	RabbitMQ string // rabbitmq-server as RabbitMQ has it: /usr/lib/rabbitmq/bin/rabbitmq-server with Debian's package
}

// Servers are the peers that there are programs for.
func (p Programs) Servers() (all []harness.Server) {
	if p.NATS != "" {
		all = append(all, natsKind{binary: p.NATS}, natsKind{binary: p.NATS, fast: true})
	}
	if p.RabbitMQ != "" {
		all = append(all, rabbitKind{binary: p.RabbitMQ, what: quorum}, rabbitKind{binary: p.RabbitMQ, what: stream}, rabbitKind{binary: p.RabbitMQ, what: batched})
	}
	return all
}

// retainBytes and segmentBytes are what the harness gives to the topics of other servers.
const (
	retainBytes  = 200_000_000
	segmentBytes = 64 << 20
)

// system is what a messaging system does for the workloads of this package.
type system interface {
	produce(ctx context.Context, t *harness.Target, l drive.Load, record []byte) (load.Result, error)
	// consume reads so many records of each partition; their bytes are those of the records alone.
	consume(ctx context.Context, t *harness.Target, records int64, h drive.Hooks) (load.Result, error)
	takes() bool // what is read is gone
}

// clean is a path that does not depend on where the process works.
func clean(binary string) (string, error) {
	if filepath.Base(binary) == binary {
		return binary, nil // it is looked for in PATH
	}
	return filepath.Abs(binary)
}
