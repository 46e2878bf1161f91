package harness

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says how a server is started.
type Config struct {
	Dir   string   // its data, empty and its own
	Port  int      // the first of twenty that are free
	Nodes int      // 0: one
	Extra []string // key=value lines for every server that reads Kafka's server.properties
	Flush bool     // for a server that has no such thing for each topic
}

// Topic is a topic to be made.
type Topic struct {
	Name       string
	Partitions int
	Replicas   int
	Flush      bool
	Keep       int64 // bytes of each partition; 0: 200 MB
}

func (t Topic) retain() int64 { return cmp.Or(t.Keep, retainBytes) }

// Server is a kind of server.
type Server interface {
	Name() string
	// Start starts one, and returns when it serves. It ends with Close, or when ctx does.
	Start(ctx context.Context, c Config) (Instance, error)
}

// Settler is a server that gets faster while it works, because what is hot is compiled again and again.
type Settler interface{ Settles() }

// Instance is a server that runs.
type Instance interface {
	Addrs() []string // host:port of its brokers
	Pids() []int     // of all of its processes
	// Create makes a topic, and returns when it can be written to.
	Create(ctx context.Context, t Topic) error
	// Drop deletes a topic, and returns when its files are gone.
	Drop(ctx context.Context, t Topic) error
	Log() string // what the processes wrote
	Close() error
}

// Restarter is an instance that can be ended and started again on its data.
type Restarter interface {
	Kill()                             // at once, as kill -9 does
	Stop()                             // as a service manager does
	Restart(ctx context.Context) error // returns when it answers
}

// Toolbox is an instance that comes with command-line tools.
type Toolbox interface {
	// Tool is a command that runs one: "topics", "producer-perf-test".
	Tool(ctx context.Context, name string, args ...string) (*exec.Cmd, error)
	// Script is the same by the script that users have, or ErrNotThisOne.
	Script(ctx context.Context, name string, args ...string) (*exec.Cmd, error)
}

// segmentBytes and retainBytes keep what a run has written in memory small: pages that a deleted segment gives back are
// used again, without the host.
const (
	segmentBytes = 64 << 20
	retainBytes  = 200_000_000
)

// topicConfig is the configuration of topics on servers that have Kafka's.
func topicConfig(t Topic) map[string]*string {
	c := map[string]*string{}
	set := func(k, v string) { c[k] = &v }
	set("retention.bytes", fmt.Sprint(t.retain()))
	set("segment.bytes", fmt.Sprint(segmentBytes))
	set("file.delete.delay.ms", "0")
	if t.Flush {
		set("flush.messages", "1")
	}
	return c
}

// admin makes and deletes topics over Kafka's protocol.
type admin struct {
	client *kgo.Client
	adm    *kadm.Client
}

func newAdmin(addrs []string) (*admin, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &admin{client: c, adm: kadm.NewClient(c)}, nil
}

func (a *admin) create(ctx context.Context, t Topic) error {
	if _, err := a.adm.CreateTopic(ctx, int32(t.Partitions), int16(max(t.Replicas, 1)), topicConfig(t), t.Name); err != nil {
		return fmt.Errorf("create topic %s: %w", t.Name, err)
	}
	_, err := a.leaders(ctx, t)
	return err
}

// leaders waits until every partition has a leader that answers for it, and returns them.
func (a *admin) leaders(ctx context.Context, t Topic) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		offsets, err := a.adm.ListEndOffsets(ctx, t.Name)
		ready := 0
		var leaders []int32
		if err == nil {
			offsets.Each(func(o kadm.ListedOffset) {
				if o.Err == nil && o.Offset >= 0 {
					ready++
				}
			})
			if ready == t.Partitions {
				return leaders, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("topic %s: %d of %d partitions answer: %w", t.Name, ready, t.Partitions, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (a *admin) drop(ctx context.Context, t Topic) error {
	_, err := a.adm.DeleteTopic(ctx, t.Name)
	return err
}

func (a *admin) close() { a.client.Close() }

// freePort returns the first of n ports that nobody listens on.
func freePort(from, n int) (int, error) {
next:
	for port := from; port < from+2000; port += n {
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port+i))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return port, nil
	}
	return 0, fmt.Errorf("no %d free ports in a row from %d on", n, from)
}
