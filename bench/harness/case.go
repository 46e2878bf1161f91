package harness

import (
	"context"
	"errors"
	"time"
)

// Workload is what is asked of a server, in words that fit any messaging system. What is zero does not matter to the case.
type Workload struct {
	Topics      int           // 0: one
	Partitions  int           // of each topic
	Replicas    int           // 0: one
	Conns       int           // of producers
	InFlight    int           // requests that a connection has under way
	Records     int           // of a batch
	RecordBytes int           //
	Codec       string        // "": none
	Acks        int           // -1: all
	PerSecond   int           // requests a second of all connections, sent when they are due; 0: as many as the replies allow
	Spin        bool          // the client waits without sleeping, so that its waking up is not measured: see load.Produce
	Flush       bool          // acknowledged is on disk
	Keep        int64         // bytes of each partition that are kept for readers; 0: 200 MB
	Readers     int           // of each partition
	MaxWait     time.Duration // of a reader's request for more
}

// Case is one thing that is measured.
type Case struct {
	Name     string // short, for -cases
	Title    string // a line of the report
	Workload Workload
	Config   Config // how servers are started for it
	// Measure does the work on a server that runs, whose topic Target.Topic is there and empty.
	Measure func(ctx context.Context, t *Target) (Figures, error)
	Fresh   bool     // each run has a server of its own, for what would show what a server has done before; no run is discarded
	NoTopic bool     // Measure makes the topics that it needs
	Any     bool     // Measure speaks no protocol of the server's: a Driver is not asked
	Main    string   // the figure that the case is about
	Show    []string // the others that the table shows
	Only    []string // names of servers; none: all
	Touch   int      // MB of memory that are touched before a run; 0: as the options say
}

// ErrNotThisOne is returned by a server, or a case, that has no such thing.
var ErrNotThisOne = errors.New("not on this server")

// Driver is a server that does not speak Kafka's protocol, and makes the workload by itself. It calls t.Measured around
// what counts.
type Driver interface {
	Drive(ctx context.Context, t *Target) (Figures, error)
}

// Chooser is a server that knows which cases it has without being started.
type Chooser interface {
	Has(c *Case) bool
}

// Target is what a case measures: a running server, a topic of its own, and the time that it may take.
type Target struct {
	Case   *Case
	Server string // its name
	Instance
	Topic   string // t.Topic-0, -1, ... if the workload has several
	Round   int    // 0: a run that does not count, so that everything is warm
	Warmup  time.Duration
	Time    time.Duration
	Options *Options

	meter *meter
}

// Measured starts counting what the processes use, and returns what ends it and gives the figures: server CPU, client CPU,
// resident memory.
func (t *Target) Measured() (stop func() Usage) {
	m := newMeter(t.Pids())
	t.meter = m
	return m.stop
}
