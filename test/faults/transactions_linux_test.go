package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
)

// The topics and the group of the transactions.
const (
	inputTopic    = "input"
	outputTopic   = "output"
	accountsTopic = "accounts"
	copyGroup     = "copiers"

	copiersCount  = 3
	tellersCount  = 2
	copiedAtOnce  = 40
	transactTime  = 10 * time.Second // after it the coordinator aborts
	outcomeWithin = time.Minute
)

// transactions is a workload of two parts.
//
// Copiers consume a topic that an idempotent producer writes, and produce each record again, to the same partition of another,
// with the group's offsets in the transaction. Every copy is marked with the attempt it belongs to.
//
// Tellers move money: a transaction takes from one account and gives to another, in different partitions.
//
// Both abort now and then on purpose, or die, that is, leave a transaction open to the next client with their transactional id. What came of each attempt is kept: committed, aborted, or unknown, if the client could
// not tell. A reader with read_committed watches all the time.
type transactions struct {
	t      testing.TB
	c      *cluster
	ctx    context.Context // of the copiers, the tellers and the reader
	cancel context.CancelFunc
	work   sync.WaitGroup

	writer     *kgo.Client
	written    [partitions]atomic.Int64 // of the input, acknowledged
	stopWriter context.CancelFunc
	writing    sync.WaitGroup

	copied, moved atomic.Int64 // records of transactions that are known to be committed
	sessions      atomic.Int64
	pending       atomic.Int64 // offsets in transactions that nobody ended

	mu       sync.Mutex
	outcomes map[string]outcome
	view     view // of the reader that watches
}

// errDied ends a client that leaves a transaction open.
var errDied = errors.New("died")

func dies(attempt int) bool { return attempt%37 == 0 }

type outcome int

const (
	unknown outcome = iota
	committed
	aborted
)

func startTransactions(t testing.TB, c *cluster) *transactions {
	t.Helper()
	x := &transactions{t: t, c: c, outcomes: map[string]outcome{}, view: newView()}
	within(t, time.Minute, "the topics are created", func() bool {
		made, err := c.admin.CreateTopics(client.Context(t), partitions, 3, nil, inputTopic, outputTopic, accountsTopic)
		if err == nil {
			err = made.Error()
		}
		return err == nil || errors.Is(err, kerr.TopicAlreadyExists)
	})
	x.ctx, x.cancel = context.WithCancel(context.Background())
	var ctx context.Context
	ctx, x.stopWriter = context.WithCancel(x.ctx)
	t.Cleanup(x.stop)
	x.writer = client.New(t, "", x.options(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(inFlight), kgo.ProducerLinger(0))...)
	x.writing.Go(func() { x.write(ctx) })
	for id := range copiersCount {
		x.work.Go(func() { x.copier(fmt.Sprint("copier", id)) })
	}
	for id := range tellersCount {
		x.work.Go(func() { x.teller(fmt.Sprint("teller", id), uint64(id)) })
	}
	x.work.Go(x.watch)
	return x
}

func (x *transactions) options(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(x.c.seeds()...), kgo.RetryTimeout(10 * time.Minute), kgo.RequestTimeoutOverhead(3 * time.Second),
		kgo.ConnIdleTimeout(time.Minute), kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF(), kgo.TransactionTimeout(transactTime)}, more...)
}

// write writes 0, 1, 2, ... to every partition of the input.
func (x *transactions) write(ctx context.Context) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; n++ {
		r := &kgo.Record{Topic: inputTopic, Partition: int32(n % partitions), Value: fmt.Append(nil, n/partitions)}
		x.writer.Produce(x.ctx, r, func(r *kgo.Record, err error) {
			if err == nil {
				x.written[r.Partition].Add(1)
			} else if x.ctx.Err() == nil {
				x.t.Errorf("the input's record %s of partition %d: %v", r.Value, r.Partition, err)
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// copier copies in sessions: one that has failed is closed, and the next has the same transactional id, so that it ends what
// was left of the one before.
func (x *transactions) copier(id string) {
	for attempt := 0; x.ctx.Err() == nil; {
		x.sessions.Add(1)
		s, err := kgo.NewGroupTransactSession(x.options(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
			kgo.ConsumerGroup(copyGroup), kgo.ConsumeTopics(inputTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), kgo.FetchMaxWait(500*time.Millisecond))...)
		if err != nil {
			x.t.Errorf("%s: %v", id, err)
			return
		}
		for err == nil && x.ctx.Err() == nil {
			fetches := s.PollRecords(x.ctx, copiedAtOnce)
			if fetches.NumRecords() == 0 {
				continue
			}
			attempt++
			err = x.copy(s, fetches.Records(), fmt.Sprintf("%s/%d", id, attempt), attempt)
		}
		s.Close()
	}
}

// copy is one transaction. An error says that the session is of no more use.
func (x *transactions) copy(s *kgo.GroupTransactSession, records []*kgo.Record, name string, attempt int) error {
	if err := s.Begin(); err != nil {
		return err
	}
	x.outcome(name, unknown)
	var failed atomic.Bool
	for _, r := range records {
		s.Produce(x.ctx, &kgo.Record{Topic: outputTopic, Partition: r.Partition, Key: []byte(name), Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
	}
	ctx, cancel := context.WithTimeout(x.ctx, outcomeWithin)
	defer cancel()
	if err := s.Client().Flush(ctx); err != nil {
		return err
	}
	if dies(attempt) {
		x.commitPending(ctx, s.Client(), strings.Split(name, "/")[0], records)
		return errDied
	}
	ok, err := s.End(ctx, kgo.TransactionEndTry(attempt%10 != 0 && !failed.Load()))
	switch {
	case err != nil:
		return err
	case ok:
		x.outcome(name, committed)
		x.copied.Add(int64(len(records)))
	default:
		x.outcome(name, aborted)
	}
	return nil
}

// commitPending commits offsets in a transaction that nobody will end: whoever takes the group's offsets must not see them.
func (x *transactions) commitPending(ctx context.Context, cl *kgo.Client, id string, records []*kgo.Record) {
	producer, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = id, copyGroup, producer, epoch
	req.MemberID, req.Generation = cl.GroupMetadata()
	next := map[int32]int64{}
	for _, r := range records {
		next[r.Partition] = r.Offset + 1
	}
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = inputTopic
	for partition, offset := range next {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return
	}
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode == 0 {
			x.pending.Add(1)
		}
	}
}

// teller makes transfers. Each has two records: who, and how much.
func (x *transactions) teller(id string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for attempt := 0; x.ctx.Err() == nil; {
		x.sessions.Add(1)
		p, err := kgo.NewClient(x.options(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
		if err != nil {
			x.t.Errorf("%s: %v", id, err)
			return
		}
		for err == nil && x.ctx.Err() == nil {
			attempt++
			err = x.transfer(p, random, fmt.Sprintf("%s/%d", id, attempt), attempt)
		}
		p.Close()
	}
}

func (x *transactions) transfer(p *kgo.Client, random *rand.Rand, name string, attempt int) error {
	if err := p.BeginTransaction(); err != nil {
		return err
	}
	x.outcome(name, unknown)
	from := random.Int32N(partitions)
	to := (from + 1 + random.Int32N(partitions-1)) % partitions
	amount := 1 + random.IntN(1000)
	ctx, cancel := context.WithTimeout(x.ctx, outcomeWithin)
	defer cancel()
	err := p.ProduceSync(ctx, &kgo.Record{Topic: accountsTopic, Partition: from, Key: []byte(name), Value: fmt.Append(nil, -amount)},
		&kgo.Record{Topic: accountsTopic, Partition: to, Key: []byte(name), Value: fmt.Append(nil, amount)}).FirstErr()
	if dies(attempt) {
		return errDied
	}
	commit := err == nil && attempt%5 != 0
	if err := p.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		return err
	}
	if !commit {
		x.outcome(name, aborted)
		return nil
	}
	x.outcome(name, committed)
	x.moved.Add(2)
	return nil
}

func (x *transactions) outcome(name string, o outcome) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcomes[name] = o
}

// watch reads the output and the accounts as they become visible.
func (x *transactions) watch() {
	reader, err := kgo.NewClient(x.options(kgo.ConsumeTopics(outputTopic, accountsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		x.t.Error(err)
		return
	}
	defer reader.Close()
	for x.ctx.Err() == nil {
		fetches := reader.PollFetches(x.ctx)
		x.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if err := x.view.add(r); err != nil {
				x.t.Errorf("the reader that watches: %v", err)
			}
		})
		x.mu.Unlock()
	}
}

func (x *transactions) done() int64 { return x.copied.Load() + x.moved.Load() }

// progress waits until both parts have gone on, the copiers by n records.
func (x *transactions) progress(n int64, d time.Duration) time.Duration {
	x.t.Helper()
	began, copied, moved := time.Now(), x.copied.Load()+n, x.moved.Load()+n/10
	within(x.t, d, "transactions", func() bool { return x.copied.Load() >= copied && x.moved.Load() >= moved })
	return time.Since(began)
}

func (x *transactions) groupMoves(d time.Duration) { groupMoves(x.t, x.c, copyGroup, d) }

func (x *transactions) stop() {
	x.stopWriter()
	x.cancel()
	x.writing.Wait()
	x.work.Wait()
}

// check waits until the reader has seen whatever is committed by now, and looks at what it has seen.
func (x *transactions) check() {
	t := x.t
	t.Helper()
	x.mu.Lock()
	var names []string
	for name, o := range x.outcomes {
		if o == committed {
			names = append(names, name)
		}
	}
	x.mu.Unlock()
	within(t, time.Minute, "the reader has seen what is committed", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.view.missing(names) == ""
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.view.holdAgainst(t, x.outcomes)
	if t.Failed() {
		t.FailNow()
	}
}

// finish ends the workload and checks the whole history.
func (x *transactions) finish() {
	t := x.t
	t.Helper()
	x.stopWriter()
	x.writing.Wait()
	ctx, cancel := context.WithTimeout(x.ctx, time.Minute)
	defer cancel()
	if err := x.writer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var behind error
	within(t, time.Minute, "the group has copied everything", func() bool { behind = x.lag(); return behind == nil })
	x.check()
	x.stop()
	x.endAll()
	within(t, time.Minute, "no transaction is open", func() bool { behind = x.open(); return behind == nil })

	end := newView()
	visible, data := 0, 0
	for _, topic := range []string{outputTopic, accountsTopic} {
		for p := range int32(partitions) {
			for _, r := range client.ReadPartition(t, "", topic, p, -1, kgo.SeedBrokers(x.c.seeds()...), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
				if r.Attrs.IsControl() {
					continue
				}
				visible++
				if err := end.add(r); err != nil {
					t.Errorf("at the end: %v", err)
				}
			}
			for _, r := range client.ReadPartition(t, "", topic, p, -1, kgo.SeedBrokers(x.c.seeds()...), kgo.KeepControlRecords()) {
				if !r.Attrs.IsControl() {
					data++
				}
			}
		}
	}
	end.holdAgainst(t, x.outcomes)
	end.holdWhole(t)
	for p := range int32(partitions) {
		if got, want := end.next[p], x.written[p].Load(); got != want {
			t.Errorf("partition %d of the input has %d records, and %d are copied", p, want, got)
		}
	}
	counts := map[outcome]int{}
	for _, o := range x.outcomes {
		counts[o]++
	}
	if data == visible || counts[aborted] == 0 {
		t.Errorf("%d records, all of them visible, and %d transactions aborted: the test shows nothing", data, counts[aborted])
	}
	t.Logf("%d records copied, %d transactions committed, %d aborted, %d of unknown outcome, in %d sessions, %d offsets left pending; %d of %d records in the log are visible",
		x.copied.Load(), counts[committed], counts[aborted], counts[unknown], x.sessions.Load(), x.pending.Load(), visible, data)
}

// endAll ends what the clients left open when they were stopped, as their next ones would, rather than wait for the timeout.
func (x *transactions) endAll() {
	end := func(id string) {
		cl := client.New(x.t, "", x.options(kgo.TransactionalID(id))...)
		if _, _, err := cl.ProducerID(client.Context(x.t)); err != nil {
			x.t.Errorf("the end of what %s left open: %v", id, err)
		}
	}
	for id := range copiersCount {
		end(fmt.Sprint("copier", id))
	}
	for id := range tellersCount {
		end(fmt.Sprint("teller", id))
	}
}

// lag says where the group's offsets are not the end of the input.
func (x *transactions) lag() error {
	offsets, err := x.c.admin.FetchOffsets(client.Context(x.t), copyGroup)
	if err != nil {
		return err
	}
	for p := range int32(partitions) {
		if o, _ := offsets.Lookup(inputTopic, p); o.At != x.written[p].Load() {
			return fmt.Errorf("partition %d is copied up to %d of %d", p, o.At, x.written[p].Load())
		}
	}
	return nil
}

// open says where a transaction is still open: by the coordinators, or by a last stable offset below the high watermark.
func (x *transactions) open() error {
	ctx := client.Context(x.t)
	listed, err := x.c.admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	if ids := listed.TransactionalIDs(); len(ids) > 0 {
		return fmt.Errorf("open: %v", ids)
	}
	topics := []string{inputTopic, outputTopic, accountsTopic, "__consumer_offsets"}
	stable, err := x.c.admin.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return err
	}
	ends, err := x.c.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	ends.Each(func(e kadm.ListedOffset) {
		if s, _ := stable.Lookup(e.Topic, e.Partition); s.Offset != e.Offset {
			err = errors.Join(err, fmt.Errorf("%s-%d: the last stable offset is %d, the high watermark %d", e.Topic, e.Partition, s.Offset, e.Offset))
		}
	})
	return err
}
