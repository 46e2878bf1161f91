package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// visible is what a reader with read_committed gets of partition 0, up to and with a value, in order.
func visible(t *testing.T, addr, topic, last string) (values []string) {
	t.Helper()
	ctx := client.Context(t)
	c := client.New(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer c.Close()
	for !slices.Contains(values, last) {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%q is not read; before it are %q", last, values)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

// transact is a transaction of one record.
func transact(ctx context.Context, p *kgo.Client, topic, value string, try kgo.TransactionEndTry) error {
	if err := p.BeginTransaction(); err != nil {
		return err
	}
	if err := p.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		return err
	}
	return p.EndTransaction(ctx, try)
}

// TestTransactionsWhenTheCoordinatorDies kills each transaction's coordinator while the transaction is open. The next
// coordinator ends it as the producer says.
//
// franz-go sometimes gives up the end of a transaction whose coordinator is gone (it takes the dead one for a sign of TLS), with which its producer
// is done for, too: then all of it is played again, five times at most.
func TestTransactionsWhenTheCoordinatorDies(t *testing.T) {
	for range 5 {
		ended := false
		if !t.Run("", func(t *testing.T) { ended = coordinatorDies(t) }) || ended {
			return
		}
	}
	t.Error("the client has given up five times")
}

func coordinatorDies(t *testing.T) (ended bool) {
	c := startCluster(t, "transaction.state.log.num.partitions=3")
	ctx := client.Context(t)
	p := clusterClient(t, c, kgo.TransactionalID("app"), dialAgain(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	adm := kadm.NewClient(clusterClient(t, c, dialAgain()))
	two := "2"
	if _, err := adm.CreateTopic(ctx, 1, 3, map[string]*string{"min.insync.replicas": &two}, "t"); err != nil {
		t.Fatal(err)
	}
	var want []string
	n := 0
	value := func(try kgo.TransactionEndTry) string {
		n++
		v := fmt.Sprint(n, map[bool]string{true: " committed", false: " aborted"}[bool(try)])
		if try {
			want = append(want, v)
		}
		return v
	}
	for _, try := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		for i := range 10 {
			how := kgo.TransactionEndTry(i%3 != 0)
			if err := transact(ctx, p, "t", value(how), how); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		client.Produce(t, p, &kgo.Record{Topic: "t", Value: []byte(value(try))})
		id := transactionCoordinator(t, adm, "app")
		c.Node(id).Kill()
		began := time.Now()
		if err := p.EndTransaction(ctx, try); err != nil {
			if gaveUp := (*kgo.ErrFirstReadEOF)(nil); errors.As(err, &gaveUp) {
				return false
			}
			t.Fatal(err)
		}
		t.Logf("node %d, the coordinator, was killed; the open transaction ended after %v", id, time.Since(began).Round(time.Millisecond))
		if err := transact(ctx, p, "t", value(kgo.TryCommit), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		c.Node(id).Restart(t)
		awaitInSync(t, adm, "t", 3)
	}
	if got := visible(t, c.Addrs()[0], "t", want[len(want)-1]); !slices.Equal(got, want) {
		t.Errorf("visible are\n%q, not\n%q", got, want)
	}
	awaitStable(t, adm, "t")
	return true
}

// dialAgain has a client go on when nobody listens where it asks for a coordinator: franz-go gives up then, if the next broker
// that it thinks of is the same that is dead, by another address. What it takes for a connection that broke, it tries again.
func dialAgain() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: io.EOF}
		}
		return conn, nil
	})
}

func transactionCoordinator(t *testing.T, adm *kadm.Client, id string) (node int32) {
	t.Helper()
	client.Retry(t, func() error {
		found := adm.FindTxnCoordinators(client.Context(t), id)[id]
		node = found.NodeID
		return found.Err
	})
	return node
}

// awaitStable returns when nothing of a topic is in an open transaction.
func awaitStable(t *testing.T, adm *kadm.Client, topic string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := client.Context(t); ; <-tick.C {
		stable, err := adm.ListCommittedOffsets(ctx, topic)
		ends, err2 := adm.ListEndOffsets(ctx, topic)
		s, _ := stable.Lookup(topic, 0)
		e, _ := ends.Lookup(topic, 0)
		if err = errors.Join(err, err2, s.Err, e.Err); err == nil && s.Offset == e.Offset {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the last stable offset is %d, the high watermark %d: %v", s.Offset, e.Offset, err)
		}
	}
}

// TestZombie has producers with the same transactional id. What an older one has not committed when a newer one begins is
// aborted, and whatever it tries then, a record or its commit, is refused.
func TestZombie(t *testing.T) {
	s := server.Start(t, server.Options{Extra: oneTransactionLog})
	ctx := client.Context(t)
	client.Create(t, s.Addr, "t", 1)
	newProducer := func() *kgo.Client { return client.New(t, s.Addr, kgo.TransactionalID("app"), kgo.ProducerLinger(0)) }
	writing, older := newProducer(), newProducer()
	if err := writing.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	client.Produce(t, writing, &kgo.Record{Topic: "t", Value: []byte("oldest, open")})
	if err := transact(ctx, older, "t", "older, committed", kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := older.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	client.Produce(t, older, &kgo.Record{Topic: "t", Value: []byte("older, open")})

	newer := newProducer()
	if err := transact(ctx, newer, "t", "newer", kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := older.EndTransaction(ctx, kgo.TryCommit); !fenced(err) {
		t.Errorf("the older producer, fenced, gets %v for its commit", err)
	}
	if err := writing.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr(); !fenced(err) {
		t.Errorf("the oldest producer, fenced, gets %v for a record", err)
	}
	if err := transact(ctx, newer, "t", "last", kgo.TryCommit); err != nil {
		t.Fatalf("the newer producer is disturbed by the older: %v", err)
	}
	want := []string{"older, committed", "newer", "last"}
	if got := visible(t, s.Addr, "t", "last"); !slices.Equal(got, want) {
		t.Errorf("visible are %q, not %q", got, want)
	}
}

// oneTransactionLog is a transaction log that one broker can have, and timeouts that are looked at often.
var oneTransactionLog = []string{"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1", "transaction.state.log.num.partitions=3",
	"transaction.abort.timed.out.transaction.cleanup.interval.ms=100"}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidTxnState)
}

// TestAbandonedTransaction leaves a transaction open. Readers stop before it, and go on when its time is over; it is
// aborted, and the producer that comes back too late is told.
func TestAbandonedTransaction(t *testing.T) {
	s := server.Start(t, server.Options{Extra: oneTransactionLog})
	ctx := client.Context(t)
	client.Create(t, s.Addr, "t", 1)
	lost := client.New(t, s.Addr, kgo.TransactionalID("lost"), kgo.TransactionTimeout(time.Second), kgo.ProducerLinger(0))
	if err := lost.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	client.Produce(t, lost, &kgo.Record{Topic: "t", Value: []byte("abandoned")})
	began := time.Now()
	if err := transact(ctx, client.New(t, s.Addr, kgo.TransactionalID("other")), "t", "behind it", kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	// Nothing is stable yet, unless this machine has slept for the second that the transaction has.
	cl := client.New(t, s.Addr)
	adm := kadm.NewClient(cl)
	stable, err := adm.ListCommittedOffsets(ctx, "t")
	if o, _ := stable.Lookup("t", 0); err != nil || o.Offset != 0 && time.Since(began) < 900*time.Millisecond {
		t.Errorf("with a transaction open, the last stable offset is %d, not 0: %v", o.Offset, err)
	}
	if got := visible(t, s.Addr, "t", "behind it"); !slices.Equal(got, []string{"behind it"}) {
		t.Errorf("visible are %q", got)
	}
	took := time.Since(began)
	if took < 500*time.Millisecond {
		t.Errorf("the abandoned transaction was aborted after %v, and had a second", took)
	}
	if err := lost.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("the producer of a transaction that was aborted has it committed")
	}
	awaitStable(t, adm, "t")
	if producers := openProducers(t, cl, "t"); producers != 0 {
		t.Errorf("%d producers have an open transaction", producers)
	}
	t.Logf("readers go on after %v", took.Round(time.Millisecond))
}

// openProducers is how many have an open transaction in partition 0.
func openProducers(t *testing.T, cl *kgo.Client, topic string) (n int) {
	t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	resp, err := req.RequestWith(client.Context(t), cl)
	if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v, %v", resp, err)
	}
	for _, p := range resp.Topics[0].Partitions[0].ActiveProducers {
		if p.CurrentTxnStartOffset >= 0 {
			n++
		}
	}
	return n
}
