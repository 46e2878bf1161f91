// Package gregor runs a Kafka broker inside a Go program: for tests that want a real broker, and for programs that want
// a log.
//
//	b, err := gregor.Start(ctx, gregor.Config{Dir: "data"})
//	if err != nil {
//		return err
//	}
//	defer b.Close()
//	// any Kafka client: b.Addr()
//
// The broker is its own controller and keeps everything under one directory, in Apache Kafka's format. It holds no
// process-wide state: several run in one program, each with a directory of its own.
package gregor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"time"

	"gregor/internal/config"
	"gregor/internal/node"
)

// Config says how a broker runs. The zero Config is a broker at a free port of the loopback interface whose data goes
// when it is closed.
type Config struct {
	// Dir is where the data is kept; it is made if it is missing. Without one the data is in a temporary directory that
	// Close removes.
	Dir string

	// Addr is the host:port to listen at; port 0 takes a free one. The default is 127.0.0.1:0.
	Addr string

	// Properties are settings of Kafka's server.properties, over what the other fields say.
	Properties map[string]string

	// Log gets the broker's log, one line a message; nil drops it.
	Log io.Writer

	// LogLevel is the least level that is logged: TRACE, DEBUG, INFO, WARN or ERROR. The default is INFO.
	LogLevel string
}

// Broker is a running broker.
type Broker struct {
	node *node.Node
	temp string // removed by Close; "" if the directory is the caller's
}

// Start starts a broker and returns when it serves. The context bounds the start only. A setting that is not valid is
// refused, with its valid range, before anything is written.
func Start(ctx context.Context, c Config) (b *Broker, err error) {
	b = &Broker{}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(b.temp)
			b = nil
		}
	}()
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "gregor-"); err != nil {
			return b, err
		}
		b.temp = c.Dir
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	props := map[string]string{
		"listeners":                        "PLAINTEXT://" + c.Addr,
		"log.dirs":                         c.Dir,
		"group.initial.rebalance.delay.ms": "0", // a program's consumers start together, or do not mind
	}
	maps.Copy(props, c.Properties)
	values, warnings, err := config.ParseBroker(props)
	if err != nil {
		return b, fmt.Errorf("gregor: %w", err)
	}
	var logs *node.Logs
	if c.Log != nil {
		level := slog.LevelInfo
		if c.LogLevel != "" {
			if level, err = node.ParseLevel(c.LogLevel); err != nil {
				return b, fmt.Errorf("gregor: %w", err)
			}
		}
		logs = node.NewLogs(c.Log, level)
		for _, w := range warnings {
			logs.Part("config").Warn(w.Message, "key", w.Key)
		}
	}
	if b.node, err = node.Start(ctx, node.Options{Config: values, Logs: logs}); err != nil {
		return b, fmt.Errorf("gregor: %w", err)
	}
	return b, nil
}

// Addr is the address that clients use as bootstrap server, host:port.
func (b *Broker) Addr() string { return b.node.Addr("") }

// ClusterID is the id of the cluster, which was made when the directory was first used.
func (b *Broker) ClusterID() string { return b.node.ClusterID() }

// NodeID is the id of the broker.
func (b *Broker) NodeID() int32 { return b.node.NodeID() }

// Failed is closed when the broker cannot go on, because its disk failed, say. Err tells why; Close it.
func (b *Broker) Failed() <-chan struct{} { return b.node.Failed() }

// Err is why the broker cannot go on, or nil.
func (b *Broker) Err() error { return b.node.Err() }

// closeTimeout is how long Close lets replies leave.
const closeTimeout = 5 * time.Second

// Close ends the broker: requests that were read are answered, files are flushed and closed. It may be called twice.
func (b *Broker) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := b.node.Close(ctx)
	if b.temp != "" {
		_ = os.RemoveAll(b.temp)
	}
	return err
}
