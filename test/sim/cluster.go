package sim

import (
	"io"
	"math"
	"strconv"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"
)

// Options says what kind of world a seed makes. RandomOptions draws one.
type Options struct {
	Nodes     int
	Loss      float64       // of messages
	Slow      float64       // of messages: those that take long
	SlowBy    time.Duration // how long those take at most
	Duplicate float64       // of messages between voters
	SlowSteps float64       // of the steps of a process: those that take up to 20 ms
	SlowAwait float64       // of the produce requests: those that stand still between the append and the wait for its commit
	Skew      bool          // clocks differ, and run at different speeds
	Late      float64       // of messages: those that come when nobody waits for them any more
	Power     power
	MinISR    int           // min.insync.replicas
	Replicas  int           // of a partition
	Faults    time.Duration // how long there are faults
	Every     time.Duration // between two of them, on average
	Kinds     []fault
	Trace     io.Writer
}

// power says what is lost when a process ends.
type power int

const (
	powerStays   power = iota // nothing: what was written stays
	powerFlushed              // machines lose power; topics are flushed before acknowledging
	powerLost                 // machines lose power or their disks, one at a time, until all replicas are in sync again
)

// cluster is all that is simulated.
type cluster struct {
	w       *World
	o       Options
	net     *network
	nodes   []*node
	check   *checker
	clients []*producer
	readers []*consumer
	lost    bool // records that others still have to bring back
}

func newCluster(seed uint64, o Options) *cluster {
	w := newWorld(seed, o.Trace)
	c := &cluster{w: w, o: o}
	c.net = &network{w: w, nodes: map[int32]*node{}, cut: map[[2]int32]bool{}, loss: o.Loss, delay: 2 * time.Millisecond, slow: o.Slow, slowBy: o.SlowBy, late: o.Late}
	c.check = newChecker(c)
	for i := range o.Nodes {
		n := &node{c: c, id: int32(i + 1), rate: 1}
		if o.Skew {
			n.ahead = w.between(-time.Minute, time.Minute)
			n.rate = 0.98 + 0.04*w.rnd.Float64()
		}
		n.newDisk()
		c.nodes = append(c.nodes, n)
		c.net.nodes[n.id] = n
	}
	return c
}

// properties is the configuration of a node.
func (c *cluster) properties(id int32) map[string]string {
	return map[string]string{
		"node.id":                                         strconv.Itoa(int(id)),
		"broker.session.timeout.ms":                       strconv.FormatInt(sessionTimeout.Milliseconds(), 10),
		"broker.heartbeat.interval.ms":                    strconv.FormatInt(heartbeatEvery.Milliseconds(), 10),
		"min.insync.replicas":                             strconv.Itoa(c.o.MinISR),
		"replica.lag.time.max.ms":                         "2000",
		"metadata.log.max.record.bytes.between.snapshots": "2000",
		"unclean.leader.election.enable":                  "false",
	}
}

func (c *cluster) bootstrap() []metadata.Versioned { return controller.BootstrapRecords() }

func (c *cluster) topicConfig(broker *config.Values, overrides map[string]string) (replica.TopicConfig, error) {
	v, err := config.Topic(broker, overrides)
	if err != nil {
		return replica.TopicConfig{}, err
	}
	l := log.DefaultConfig()
	l.SegmentBytes, l.SegmentIndexBytes, l.IndexIntervalBytes = 4<<10, 1<<10, 256
	l.RetentionMs = -1
	l.FileDeleteDelayMs = 1000
	l.FlushMessages = math.MaxInt64
	l.TimestampAfterMaxMs = math.MaxInt64
	if c.o.Power == powerFlushed {
		l.FlushMessages = 1
	}
	return replica.TopicConfig{Log: l, MinInSyncReplicas: v.Int("min.insync.replicas")}, nil
}
