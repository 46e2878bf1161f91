package cases

import (
	"context"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
)

// brokers is how many a cluster has.
const brokers = 3

// Cluster are the cases of several brokers that replicate.
func Cluster() []harness.Case {
	cluster := harness.Config{Nodes: brokers}
	return []harness.Case{
		{Name: "cluster-large", Title: "three brokers, RF 3, acks=all: 128 x 1 KB, 3 partitions", Config: cluster, Touch: 3000, // three times what one broker writes
			Workload: harness.Workload{Partitions: 3, Replicas: brokers, Conns: 2, InFlight: 5, Records: 128, RecordBytes: 1000, Acks: -1},
			Measure:  replicated, Main: harness.MBps, Show: []string{harness.CPUperGB, harness.MachineGB, harness.P50, harness.P99, harness.RSS, harness.RSSMost}},
		{Name: "cluster-small", Title: "three brokers, RF 3, acks=all: one record of 100 bytes, 18 connections, 8 in flight, 3 partitions", Config: cluster,
			Workload: harness.Workload{Partitions: 3, Replicas: brokers, Conns: 6, InFlight: 8, Records: 1, RecordBytes: 100, Acks: -1},
			Measure:  replicated, Main: harness.Requests, Show: []string{harness.CPUperM, harness.P50, harness.P99, harness.RSS, harness.RSSMost}},
		{Name: "cluster-idle", Title: "memory of three brokers that have nothing to do, after three seconds", Config: cluster, NoTopic: true, Any: true, Fresh: true,
			Measure: idleMemory, Main: harness.RSSMost, Show: []string{harness.RSS, harness.RSSAnon, harness.RSSFile}},
	}
}

// replicated writes to the leaders, which are spread over the brokers.
func replicated(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	w := t.Case.Workload
	leaders, err := load.Leaders(ctx, t.Addrs()[0], []string{t.Topic}, w.Partitions, w.Replicas)
	if err != nil {
		return nil, err
	}
	p := producer(t, t.Topic)
	p.Addrs = leaders[t.Topic]
	return measured(ctx, t, p)
}

// idleMemory is what the processes hold when they have started and nobody asks for anything.
func idleMemory(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	stop := t.Measured()
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return stop().Figures(0, 0), nil
}
