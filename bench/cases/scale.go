package cases

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
)

// Figures of cases about many partitions and many connections.
const (
	Create     = "create s"       // until every partition's leader serves
	Answers    = "answers s"      // after a restart, the first request
	Serves     = "serves all s"   // after a restart, every partition
	PerConn    = "KB/connection"  // resident memory
	RSSBefore  = "RSS before MB"  //
	RSSWritten = "RSS written MB" // when every partition has been written to
)

// many are 10,000 partitions; Apache Kafka takes no more than about so many in one request.
var many = load.Topics{Name: "many", Count: 10, Partitions: 1000, Replicas: 1, Config: []string{"file.delete.delay.ms", "0"}}

// Scale are the cases with much of something.
func Scale() []harness.Case {
	turns := harness.Workload{Partitions: many.Partitions, Conns: 1, InFlight: 4, Records: 1, RecordBytes: 100, Acks: -1}
	return []harness.Case{
		{Name: "partitions", Title: "10,000 partitions: made, then written in turn, one record of 100 bytes each, 10 connections, 4 in flight", Fresh: true, NoTopic: true,
			Workload: turns, Measure: partitions, Main: Create, Show: []string{harness.Requests, harness.P99, harness.CPUperM, RSSBefore, harness.RSS, harness.RSSAnon, harness.RSSFile}},
		{Name: "partitions-restart", Title: "10,000 partitions that have been written to: start after kill -9", Fresh: true, NoTopic: true,
			Workload: turns, Measure: partitionsRestart, Main: Serves, Show: []string{Answers, harness.RSS, harness.RSSAnon, harness.RSSFile}},
		{Name: "idle", Title: "5,000 idle connections", Fresh: true, NoTopic: true,
			Workload: harness.Workload{Conns: 5000}, Measure: idleConns, Main: PerConn, Show: []string{RSSBefore, harness.RSS}},
		{Name: "active", Title: "1,000 active connections: one record of 100 bytes, one in flight",
			Workload: harness.Workload{Partitions: 3, Conns: 1000, InFlight: 1, Records: 1, RecordBytes: 100, Acks: -1},
			Measure:  produce, Main: harness.Requests, Show: []string{harness.CPUperM, harness.ClientM, harness.P50, harness.P99, harness.RSS}},
	}
}

// manyTopics makes them, and returns the time until all serve.
func manyTopics(ctx context.Context, t *harness.Target) (time.Duration, error) {
	began := time.Now()
	if err := many.Create(ctx, t.Addrs()[0]); err != nil {
		return 0, err
	}
	_, err := many.Leaders(ctx, t.Addrs()[0])
	return time.Since(began), err
}

// writeInTurn has a connection for each topic, which writes to one partition after the other.
func writeInTurn(ctx context.Context, t *harness.Target) (total load.Result, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, topic := range many.Names() {
		p := producer(t, topic)
		wg.Go(func() {
			r, errRun := p.Run(ctx)
			mu.Lock()
			defer mu.Unlock()
			if errRun != nil {
				err = errRun
				return
			}
			total.Add(r)
		})
	}
	wg.Wait()
	return total, err
}

// writeEach writes to every partition once, at least.
func writeEach(ctx context.Context, t *harness.Target) error {
	var done int64
	for done < int64(many.Count*many.Partitions) {
		r, err := writeInTurn(ctx, t)
		if err != nil {
			return err
		}
		done += r.Requests
	}
	return nil
}

func partitions(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	made, err := manyTopics(ctx, t)
	if err != nil {
		return nil, err
	}
	f := harness.Figures{Create: made.Seconds()}
	stop := t.Measured()
	f[RSSBefore] = stop().Figures(0, 0)[harness.RSS]
	if err := writeEach(ctx, t); err != nil { // the first record of a partition opens files
		return nil, err
	}
	stop = t.Measured()
	r, err := writeInTurn(ctx, t)
	if err != nil {
		return nil, err
	}
	return f.Add(harness.OfLoad(r)).Add(stop().Figures(r.Requests, r.Bytes)), nil
}

func partitionsRestart(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	server, ok := t.Instance.(harness.Restarter)
	if !ok {
		return nil, harness.ErrNotThisOne
	}
	if _, err := manyTopics(ctx, t); err != nil {
		return nil, err
	}
	if err := writeEach(ctx, t); err != nil {
		return nil, err
	}
	server.Kill()
	began := time.Now()
	if err := server.Restart(ctx); err != nil {
		return nil, err
	}
	answers := time.Since(began)
	if _, err := many.Leaders(ctx, t.Addrs()[0]); err != nil {
		return nil, err
	}
	f := harness.Figures{Answers: answers.Seconds(), Serves: time.Since(began).Seconds()}
	return f.Add(t.Measured()().Figures(0, 0)), nil
}

func idleConns(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	if t.Server == harness.LimitName {
		return nil, harness.ErrNotThisOne
	}
	rss := func() float64 { return t.Measured()().Figures(0, 0)[harness.RSS] }
	// What the first connections make the server load is not theirs.
	warm, err := load.Idle(ctx, t.Addrs()[0], 20)
	if err != nil {
		return nil, err
	}
	defer warm.Close()
	before, count := rss(), t.Case.Workload.Conns
	conns, err := load.Idle(ctx, t.Addrs()[0], count)
	if err != nil {
		return nil, fmt.Errorf("%d connections: %w", count, err)
	}
	defer conns.Close()
	f := t.Measured()().Figures(0, 0)
	f[RSSBefore], f[PerConn] = before, (f[harness.RSS]-before)*1e3/float64(count)
	return f, nil
}
