package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
)

// load is producers that never stop and a group that reads what they write.
type load struct {
	t       testing.TB
	c       *cluster
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	writers []*writer
	members []*member

	total atomic.Int64 // acknowledged records
}

// writer is an idempotent producer with acks=all that writes numbers, each once, in order, to every partition in turn.
type writer struct {
	id     int
	client *kgo.Client

	mu     sync.Mutex
	acked  [partitions][]int64 // numbers by partition, as their acknowledgements came
	failed int
}

// member reads as one of the group and commits what it has read.
type member struct {
	client *kgo.Client
	mu     sync.Mutex
	seen   map[string]int // value -> how often: a group sees some again after a rebalance
}

const (
	writersCount = 3
	membersCount = 2
	inFlight     = 200 // records of a writer that wait for their acknowledgement
	pause        = 3 * time.Millisecond
)

func startLoad(t testing.TB, c *cluster) *load {
	t.Helper()
	l := &load{t: t, c: c}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.Cleanup(l.stop)
	for id := range writersCount {
		w := &writer{id: id, client: client.New(t, "", kgo.SeedBrokers(c.seeds()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.MaxBufferedRecords(inFlight), kgo.ProducerLinger(0), kgo.RetryTimeout(10*time.Minute), kgo.RequestTimeoutOverhead(3*time.Second),
			kgo.ConnIdleTimeout(time.Minute), kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF())}
		l.writers = append(l.writers, w)
		l.work.Go(func() { l.write(w) })
	}
	for range membersCount {
		m := &member{seen: map[string]int{}, client: client.New(t, "", kgo.SeedBrokers(c.seeds()...), kgo.ConsumerGroup(groupName), kgo.ConsumeTopics(topic),
			kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second),
			kgo.FetchMaxWait(500*time.Millisecond), kgo.RequestTimeoutOverhead(3*time.Second))}
		l.members = append(l.members, m)
		l.work.Go(func() { l.read(m) })
	}
	return l
}

func (l *load) write(w *writer) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := int64(0); ; n++ {
		p := int32(n % partitions)
		r := &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%d-%d", w.id, n)}
		w.client.Produce(l.ctx, r, func(r *kgo.Record, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				w.failed++
				if l.ctx.Err() == nil && w.failed < 10 {
					l.t.Logf("a record was not acknowledged: %s: %v", r.Value, err)
				}
				return
			}
			w.acked[r.Partition] = append(w.acked[r.Partition], n)
			l.total.Add(1)
		})
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *load) read(m *member) {
	for l.ctx.Err() == nil {
		fetches := m.client.PollFetches(l.ctx)
		m.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) { m.seen[string(r.Value)]++ })
		m.mu.Unlock()
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		_ = m.client.CommitUncommittedOffsets(ctx) // what is not committed is read again by the next owner
		cancel()
	}
}

func (l *load) done() int64 { return l.total.Load() }

// progress waits until n more records are acknowledged.
func (l *load) progress(n int64, d time.Duration) time.Duration {
	l.t.Helper()
	began, goal := time.Now(), l.total.Load()+n
	within(l.t, d, "acknowledgements", func() bool { return l.total.Load() >= goal })
	return time.Since(began)
}

func (l *load) stop() {
	l.cancel()
	l.work.Wait()
}

// finish ends the load and checks the whole history.
func (l *load) finish() {
	t := l.t
	t.Helper()
	// The writers stop first, then what is under way is acknowledged, then the group catches up.
	for _, w := range l.writers {
		ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
		_ = w.client.Flush(ctx)
		cancel()
	}
	written := l.readBack()
	within(t, time.Minute, "the group has read everything", func() bool { return l.unread(written) == "" })
	l.stop()
}

func (l *load) check() { l.readBack() }

// readBack reads every partition and holds it against what was acknowledged. It returns every acknowledged value.
func (l *load) readBack() (acknowledged []string) {
	t := l.t
	t.Helper()
	type ack struct {
		writer int
		n      int64
	}
	for p := range int32(partitions) {
		var want []ack
		for _, w := range l.writers {
			w.mu.Lock()
			for _, n := range w.acked[p] {
				want = append(want, ack{w.id, n})
			}
			w.mu.Unlock()
		}
		there, last := map[ack]int64{}, map[int]int64{}
		for _, r := range client.ReadPartition(t, "", topic, p, -1, kgo.SeedBrokers(l.c.seeds()...)) {
			id, n := parse(t, r.Value)
			if before, twice := there[ack{id, n}]; twice {
				t.Errorf("partition %d has %s twice, at offsets %d and %d", p, r.Value, before, r.Offset)
			}
			there[ack{id, n}] = r.Offset
			if before, ok := last[id]; ok && n < before {
				t.Errorf("partition %d has %s at offset %d behind %d of the same writer", p, r.Value, r.Offset, before)
			}
			last[id] = n
		}
		for _, a := range want {
			value := fmt.Sprintf("%d-%d", a.writer, a.n)
			acknowledged = append(acknowledged, value)
			if _, ok := there[a]; !ok {
				t.Errorf("partition %d has lost %s, which was acknowledged", p, value)
			}
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return acknowledged
}

func parse(t testing.TB, value []byte) (writer int, n int64) {
	a, b, ok := strings.Cut(string(value), "-")
	writer, err := strconv.Atoi(a)
	n, err2 := strconv.ParseInt(b, 10, 64)
	if err = errors.Join(err, err2); err != nil || !ok {
		t.Fatalf("a record that nobody wrote: %q", value)
	}
	return writer, n
}

// unread is a value that no member has seen, or empty.
func (l *load) unread(values []string) string {
	for _, m := range l.members {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	i := slices.IndexFunc(values, func(v string) bool {
		return !slices.ContainsFunc(l.members, func(m *member) bool { return m.seen[v] > 0 })
	})
	if i < 0 {
		return ""
	}
	return values[i]
}

func (l *load) groupMoves(d time.Duration) { groupMoves(l.t, l.c, groupName, d) }

// groupMoves waits until the group's committed offsets have moved.
func groupMoves(t testing.TB, c *cluster, group string, d time.Duration) {
	t.Helper()
	sum := func() (n int64) {
		offsets, err := c.admin.FetchOffsets(client.Context(t), group)
		if err != nil {
			return -1
		}
		offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
		return n
	}
	before := int64(-1)
	within(t, d, "an answer about the group", func() bool { before = sum(); return before >= 0 })
	within(t, d, "commits of the group", func() bool { return sum() > before })
}
