package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// transactionVersions are clients of transactions version 2 and of 1.
var transactionVersions = map[string][]kgo.Opt{
	"v2": nil,
	"v1": {kgo.MaxVersions(kversion.V3_9_0())},
}

func makeTopic(t *testing.T, cl *kgo.Client, partitions int32, replicas int16, topics ...string) {
	t.Helper()
	made, err := kadm.NewClient(cl).CreateTopics(within(t), partitions, replicas, nil, topics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// endWith writes values in one transaction.
func endWith(t *testing.T, cl *kgo.Client, topic string, commit bool, values ...string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(within(t), kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

// committed reads n records as read_committed.
func committed(t *testing.T, cl *kgo.Client, n int) (values []string) {
	t.Helper()
	ctx := within(t)
	for len(values) < n {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("%v; read %d of %d: %s", err, len(values), n, values)
		}
		fs.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	slices.Sort(values)
	return values
}

func TestTransactions(t *testing.T) {
	for name, opts := range transactionVersions {
		t.Run(name, func(t *testing.T) {
			n := run(t, t.TempDir())
			makeTopic(t, client(t, n), 2, 1, "t")
			p := client(t, n, append([]kgo.Opt{kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
			endWith(t, p, "t", true, "a", "b", "c")
			endWith(t, p, "t", false, "not", "to", "be", "seen")
			endWith(t, p, "t", true, "d", "e")
			c := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			if got := committed(t, c, 5); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
				t.Errorf("read %q", got)
			}
		})
	}
}

// A second producer with the id of a first one shuts it out, and its open transaction is aborted.
func TestFencing(t *testing.T) {
	for name, opts := range transactionVersions {
		t.Run(name, func(t *testing.T) {
			n := run(t, t.TempDir())
			makeTopic(t, client(t, n), 2, 1, "t")
			opts = append([]kgo.Opt{kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)
			zombie := client(t, n, opts...)
			if err := zombie.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := zombie.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			endWith(t, client(t, n, opts...), "t", true, "a")
			err := zombie.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr()
			if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
				t.Errorf("the first producer got %v", err)
			}
			c := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			if got := committed(t, c, 1); got[0] != "a" {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestTransactionThatTakesTooLong(t *testing.T) {
	n := run(t, t.TempDir(), "transaction.abort.timed.out.transaction.cleanup.interval.ms=50")
	makeTopic(t, client(t, n), 2, 1, "t")
	p := client(t, n, kgo.TransactionalID("app"), kgo.TransactionTimeout(100*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("slow")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(client(t, n))
	until(t, "the transaction is aborted", func() bool {
		d, err := adm.DescribeTransactions(within(t), "app")
		return err == nil && d["app"].State == "CompleteAbort"
	})
	if err := p.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr(); err == nil {
		t.Error("a record was taken after the transaction was aborted")
	}
	if err := p.EndTransaction(within(t), kgo.TryCommit); err == nil {
		t.Error("a transaction that was aborted was committed")
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Offsets that are sent in a transaction count with its commit, and not with its abort.
func TestOffsetsInTransactions(t *testing.T) {
	for name, opts := range transactionVersions {
		t.Run(name, func(t *testing.T) {
			n := run(t, t.TempDir())
			makeTopic(t, client(t, n), 1, 1, "in", "out")
			in := client(t, n)
			for i := range 100 {
				in.Produce(t.Context(), &kgo.Record{Topic: "in", Value: fmt.Append(nil, i)}, nil)
			}
			if err := in.Flush(within(t)); err != nil {
				t.Fatal(err)
			}
			opts = append([]kgo.Opt{
				kgo.TransactionalID("app"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(400), kgo.DefaultProduceTopic("out"),
			}, opts...)
			done := 0
			for round := 0; done < 100; round++ {
				done += transformOnce(t, n, opts, round%2 == 1)
			}
			c := client(t, n, kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			got := committed(t, c, 100)
			if len(slices.Compact(got)) != 100 {
				t.Errorf("not exactly once: %q", got)
			}
		})
	}
}

// transformOnce copies what one poll gives, with a client of its own, and ends the transaction. It returns how many records
// were committed.
func transformOnce(t *testing.T, n *Node, opts []kgo.Opt, abort bool) int {
	t.Helper()
	s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{kgo.SeedBrokers(n.Addr(""))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fs := s.PollFetches(within(t))
	if err := fs.Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	count := 0
	fs.EachRecord(func(r *kgo.Record) {
		count++
		s.Produce(t.Context(), &kgo.Record{Value: r.Value}, nil)
	})
	ok, err := s.End(within(t), kgo.TransactionEndTry(!abort))
	if err != nil {
		t.Fatal(err)
	}
	if abort || !ok {
		return 0
	}
	return count
}

// TestTransactionsSurviveMoves has a producer and consumers go on while one broker after the other is stopped and started.
func TestTransactionsSurviveMoves(t *testing.T) {
	c := newCluster(t, 3, "offsets.topic.replication.factor=3", "transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2",
		"transaction.state.log.num.partitions=3", "min.insync.replicas=2", "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000")
	c.run()
	makeTopic(t, c.client(), 2, 3, "t")
	p := c.client(kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(20*time.Second))
	var want []string
	for round := range 3 {
		for i := range 10 {
			v := fmt.Sprintf("%d-%02d", round, i)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			if err := p.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for part := range int32(2) {
				if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: part, Value: fmt.Append(nil, v, "-", part)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if i == 5 && part == 0 {
					c.stop(round + 1)
				}
			}
			commit := i%3 != 2
			if err := p.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if commit {
				want = append(want, v+"-0", v+"-1")
			}
		}
		c.run()
	}
	slices.Sort(want)
	r := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if got := committed(t, r, len(want)); !slices.Equal(got, want) {
		t.Errorf("read %q\nwant %q", got, want)
	}
}

func TestListAndDescribeTransactions(t *testing.T) {
	n := run(t, t.TempDir())
	makeTopic(t, client(t, n), 2, 1, "t")
	p := client(t, n, kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.ProduceSync(within(t), &kgo.Record{Topic: "t", Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cl := client(t, n)
	adm := kadm.NewClient(cl)
	d, err := adm.DescribeTransactions(within(t), "app")
	if got := d["app"]; err != nil || got.State != "Ongoing" || fmt.Sprint(got.Topics) != "map[t:map[1:{}]]" || got.TimeoutMillis != 40_000 {
		t.Errorf("%+v, %v", d, err)
	}
	active, err := adm.DescribeProducers(within(t), kadm.TopicsSet{"t": {1: {}}})
	if err != nil || len(active["t"].Partitions[1].ActiveProducers) != 1 {
		t.Errorf("%+v, %v", active, err)
	}
	for _, c := range []struct {
		req  func(*kmsg.ListTransactionsRequest)
		want int
	}{
		{func(r *kmsg.ListTransactionsRequest) {}, 1},
		{func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "NoSuch"} }, 1},
		{func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Empty"} }, 0},
		{func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"NoSuch"} }, 0},
		{func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{d["app"].ProducerID + 1} }, 0},
		{func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 1 << 40 }, 0},
		{func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("a.*") }, 1},
		{func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("p.*") }, 0},
	} {
		req := kmsg.NewPtrListTransactionsRequest()
		c.req(req)
		resp, err := req.RequestWith(within(t), cl.Broker(int(n.NodeID())))
		if err != nil || resp.ErrorCode != 0 || len(resp.TransactionStates) != c.want {
			t.Errorf("%+v: %+v, %v", req, resp, err)
		}
	}
	if err := p.EndTransaction(within(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}
