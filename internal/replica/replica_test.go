package replica

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
	"gregor/internal/record"
)

const node int32 = 1

// fixture is a manager over real logs and an image that the test makes.
type fixture struct {
	t     testing.TB
	m     *Manager
	dirs  *log.Dirs
	image *metadata.Image

	mu     sync.Mutex
	events []string // leadership, as it was told
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	return openFixture(t, t.TempDir(), metadata.NewUUID().String())
}

func openFixture(t testing.TB, dir, cluster string) *fixture {
	t.Helper()
	return openFixtureOn(t, nil, dir, cluster)
}

func openFixtureOn(t testing.TB, disk vfs.FS, dir, cluster string) *fixture {
	t.Helper()
	dirs, err := log.OpenDirs(log.DirsOptions{Paths: []string{dir}, ClusterID: cluster, NodeID: node, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dirs.Close() })
	f := &fixture{t: t, dirs: dirs, image: metadata.NewImage(cluster)}
	f.m = NewManager(Options{
		NodeID: node, Dirs: dirs,
		TopicConfig: func(_ string, overrides map[string]string) (TopicConfig, error) {
			c := TopicConfig{Log: log.DefaultConfig(), MinInSyncReplicas: 1}
			if v, ok := overrides["min.insync.replicas"]; ok {
				if _, err := fmt.Sscan(v, &c.MinInSyncReplicas); err != nil {
					return c, err
				}
			}
			if v, ok := overrides["max.message.bytes"]; ok {
				fmt.Sscan(v, &c.Log.MaxMessageBytes)
			}
			if v, ok := overrides["flush.messages"]; ok {
				fmt.Sscan(v, &c.Log.FlushMessages)
			}
			return c, nil
		},
		OnLeader: func(topic string, p, epoch int32, _ *Partition) {
			f.tell(fmt.Sprintf("lead %s-%d in %d", topic, p, epoch))
		},
		OnResign: func(topic string, p, epoch int32) {
			f.tell(fmt.Sprintf("resign %s-%d in %d", topic, p, epoch))
		},
	})
	return f
}

func (f *fixture) tell(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

func (f *fixture) publish(records ...metadata.Record) {
	f.t.Helper()
	d := metadata.NewDelta(f.image)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			f.t.Fatal(err)
		}
	}
	f.image = d.Image(f.image.Offset()+int64(len(records)), 1)
	f.m.Publish(d, f.image)
}

func id(name string) (u metadata.UUID) {
	copy(u[:], name+"................")
	return u
}

func config(topic, name, value string) *metadata.ConfigRecord {
	return &metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: topic, Name: name, Value: &value}
}

func place(topic string, index int32, leader int32, replicas ...int32) *metadata.PartitionRecord {
	return &metadata.PartitionRecord{TopicID: id(topic), PartitionID: index, Replicas: replicas, ISR: replicas, Leader: leader, LeaderEpoch: 0}
}

func (f *fixture) partition(topic string, index int32) *Partition {
	f.t.Helper()
	p, err := f.m.Partition(topic, index)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func batch(values ...string) []byte {
	b := record.NewBuilder(record.BuilderOptions{})
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
	}
	return b.Build()
}

// follow is what a follower's fetch will tell the leader.
func (ld *leader) follow(broker int32, endOffset int64) {
	ld.mu.Lock()
	r := ld.remote[broker]
	r.endOffset, r.brokerEpoch = endOffset, unknownBrokerEpoch
	r.lastCaughtUp = time.Now()
	ld.mu.Unlock()
	ld.advance()
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestPartitionsFollowTheMetadata(t *testing.T) {
	f := newFixture(t)
	_, err := f.m.Partition("t", 0)
	wantErr(t, "before the topic", err, ErrUnknownPartition)
	_, err = f.m.PartitionByID(id("t"), 0)
	wantErr(t, "before the topic, by id", err, ErrUnknownTopicID)

	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node), place("t", 1, 2, 2), place("t", 2, 2, 2, node))
	if got := f.events; !reflect.DeepEqual(got, []string{"lead t-0 in 0"}) {
		t.Fatalf("%q", got)
	}
	p := f.partition("t", 0)
	if byID, err := f.m.PartitionByID(id("t"), 0); err != nil || byID != p {
		t.Fatalf("by id: %v", err)
	}
	if _, err := p.Append(batch("a"), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	_, err = f.m.Partition("t", 1)
	wantErr(t, "no replica here", err, ErrNotLeader)
	_, err = f.m.PartitionByID(id("t"), 1)
	wantErr(t, "no replica here, by id", err, ErrNotLeader)
	_, err = f.m.Partition("t", 3)
	wantErr(t, "no such partition", err, ErrUnknownPartition)
	_, err = f.m.PartitionByID(id("t"), 3)
	wantErr(t, "no such partition, by id", err, ErrUnknownPartition)
	_, err = f.partition("t", 2).Append(batch("a"), AcksLeader, NoEpoch, log.Client)
	wantErr(t, "append as a follower", err, ErrNotLeader)
	_, err = f.partition("t", 2).Read(ReadOptions{LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch})
	wantErr(t, "read from a follower", err, ErrNotLeader)

	// Leadership comes and goes; each epoch is told once.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), PartitionID: 2, Leader: node, LeaderRecoveryState: -1})
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), PartitionID: 2, Leader: node, LeaderRecoveryState: -1})
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), PartitionID: 2, Leader: 2, LeaderRecoveryState: -1})
	f.publish(&metadata.RemoveTopicRecord{TopicID: id("t")})
	want := []string{"lead t-0 in 0", "lead t-2 in 1", "resign t-2 in 1", "lead t-2 in 2", "resign t-2 in 2", "resign t-0 in 0"}
	if !reflect.DeepEqual(f.events, want) {
		t.Errorf("%q, want %q", f.events, want)
	}
	_, err = f.m.Partition("t", 0)
	wantErr(t, "after the topic", err, ErrUnknownPartition)
	_, err = p.Append(batch("a"), AcksLeader, NoEpoch, log.Client)
	wantErr(t, "append to what is deleted", err, ErrUnknownPartition)
	if l := f.dirs.Get("t", 0); l != nil {
		t.Error("the log is still there")
	}

	// The same name again is another topic.
	again := metadata.NewUUID()
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: again}, &metadata.PartitionRecord{TopicID: again, Replicas: []int32{node}, ISR: []int32{node}, Leader: node})
	if end := f.partition("t", 0).Log().EndOffset(); end != 0 {
		t.Errorf("the new topic begins at %d", end)
	}
	_, err = f.m.PartitionByID(id("t"), 0)
	wantErr(t, "the old id", err, ErrUnknownTopicID)
}

func TestPartitionsSurviveARestart(t *testing.T) {
	dir, cluster := t.TempDir(), metadata.NewUUID().String()
	f := openFixture(t, dir, cluster)
	records := []metadata.Record{&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node), &metadata.TopicRecord{Name: "gone", TopicID: id("gone")}, place("gone", 0, node, node)}
	f.publish(records...)
	if _, err := f.partition("t", 0).Append(batch("a", "b"), AcksAll, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	if err := f.dirs.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFixture(t, dir, cluster)
	f.publish(records[:2]...)
	p := f.partition("t", 0)
	if hw, end := p.Log().HighWatermark(), p.Log().EndOffset(); hw != 2 || end != 2 {
		t.Errorf("high watermark %d, end %d, want 2", hw, end)
	}
	if f.dirs.Get("gone", 0) != nil {
		t.Error("the log of a topic that is gone is still in use")
	}
}

func TestTopicConfigurationTakesEffectAtOnce(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node), config("t", "max.message.bytes", "100"))
	p := f.partition("t", 0)
	large := strings.Repeat("x", 200)
	_, err := p.Append(batch(large), AcksLeader, NoEpoch, log.Client)
	if !errors.Is(err, record.ErrTooLarge) && !errors.Is(err, log.ErrTooLarge) {
		t.Fatalf("%v, want too large", err)
	}
	f.publish(config("t", "max.message.bytes", "1000"))
	if _, err := p.Append(batch(large), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	f.publish(config("t", "min.insync.replicas", "nonsense")) // the one before stays
	if _, err := p.Append(batch(large), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
}

// The high watermark is the least log end of the ISR, and acks=all waits for it, in the order of offsets.
func TestHighWatermarkAndAcks(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node, 2, 3), config("t", "min.insync.replicas", "2"))
	p := f.partition("t", 0)
	ld := p.role.Load().leader
	var order []string
	var cancels []func() bool
	for i := range 4 {
		info, err := p.Append(batch("a"), AcksAll, NoEpoch, log.Client)
		if err != nil {
			t.Fatal(err)
		}
		cancels = append(cancels, p.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) { order = append(order, fmt.Sprint(i, err)) }))
	}
	check := func(what string, hw int64, want ...string) {
		t.Helper()
		if got := p.Log().HighWatermark(); got != hw || !slices.Equal(order, want) {
			t.Fatalf("%s: high watermark %d, answered %q; want %d, %q", what, got, order, hw, want)
		}
	}
	check("nobody has fetched", 0)
	ld.follow(2, 3)
	check("one follower is not the whole ISR", 0)
	ld.follow(3, 1)
	check("the slower one counts", 1, "0 <nil>")
	if !cancels[2]() || cancels[2]() {
		t.Fatal("a wait can be taken back once")
	}
	// The slow one leaves the ISR.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), ISR: []int32{1, 2}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1})
	check("without the slow one", 3, "0 <nil>", "1 <nil>")
	// The other one as well: below the minimum nothing gets committed (KIP-966), and acks=all is refused.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), ISR: []int32{1}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1})
	_, err := p.Append(batch("a"), AcksAll, NoEpoch, log.Client)
	wantErr(t, "acks=all below min.insync.replicas", err, ErrNotEnoughReplicas)
	if _, err := p.Append(batch("a"), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	check("below the minimum", 3, "0 <nil>", "1 <nil>")
	// It comes back, behind the end: the high watermark stays, and moves with it.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), ISR: []int32{1, 2}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1})
	check("back, and behind", 3, "0 <nil>", "1 <nil>")
	ld.follow(2, 5)
	check("back", 5, "0 <nil>", "1 <nil>", "3 <nil>")
	// Committed, and by too few by now.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), ISR: []int32{1}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1})
	p.AwaitCommit(4, NoEpoch, func(err error) { wantErr(t, "committed by too few", err, ErrNotEnoughReplicasAfterAppend) })
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), ISR: []int32{1, 2}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1})
	var last error
	info, err := p.Append(batch("b"), AcksAll, NoEpoch, log.Client)
	if err != nil {
		t.Fatal(err)
	}
	p.AwaitCommit(info.LastOffset, info.LeaderEpoch-1, func(err error) { wantErr(t, "wait for an append of an older epoch", err, ErrNotLeader) })
	p.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) { last = err })
	// Another leader: who waits is told.
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: 2, LeaderRecoveryState: -1})
	wantErr(t, "wait across a change of leader", last, ErrNotLeader)
}

func TestAckQueueOrder(t *testing.T) {
	var q ackQueue
	for _, o := range []int64{5, 9, 7, 7, 1} {
		q.add(o, nil)
	}
	var got []int64
	for _, hw := range []int64{0, 1, 6, 7, 20} {
		for _, a := range q.upTo(hw) {
			got = append(got, a.offset)
		}
		got = append(got, -hw)
	}
	if want := []int64{0, 1, -1, 5, -6, 7, 7, -7, 9, -20}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestLeaderEpochs(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node))
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: node, LeaderRecoveryState: -1})
	p := f.partition("t", 0)
	_, err := p.Append(batch("a"), AcksLeader, 0, log.Client)
	wantErr(t, "append in an old epoch", err, ErrFencedEpoch)
	_, err = p.Append(batch("a"), AcksLeader, 2, log.Client)
	wantErr(t, "append in an epoch to come", err, ErrUnknownEpoch)
	if _, err = p.Append(batch("a"), AcksLeader, 1, log.Client); err != nil {
		t.Error(err)
	}
	_, err = p.ListOffset(LatestTimestamp, ReadUncommitted, 0)
	wantErr(t, "offset in an old epoch", err, ErrFencedEpoch)
}

// A leader that has not heard of its followers does not know yet what was committed (KIP-207).
func TestNewLeaderHoldsBackOffsets(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node, 2))
	p := f.partition("t", 0)
	if _, err := p.Append(batch("a"), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: node, LeaderRecoveryState: -1})
	_, err := p.ListOffset(LatestTimestamp, ReadUncommitted, NoEpoch)
	wantErr(t, "before the followers fetched", err, ErrOffsetNotAvailable)
	p.role.Load().leader.follow(2, 1)
	if got, err := p.ListOffset(LatestTimestamp, ReadUncommitted, NoEpoch); err != nil || got.Offset != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeleteRecordsWaitsForFollowers(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node, 2))
	p := f.partition("t", 0)
	ld := p.role.Load().leader
	if _, err := p.Append(batch("a", "b", "c"), AcksLeader, NoEpoch, log.Client); err != nil {
		t.Fatal(err)
	}
	ld.follow(2, 3)
	type answer struct {
		low int64
		err error
	}
	answers := make(chan answer, 1)
	p.DeleteRecords(2, time.Millisecond, func(low int64, err error) { answers <- answer{low, err} })
	if a := <-answers; a.low != -1 || !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("%+v", a)
	}
	if start := p.Log().StartOffset(); start != 2 {
		t.Errorf("log start %d", start)
	}
}

// wakes counts how often it was woken.
type wakes struct {
	mu sync.Mutex
	n  int
}

func (w *wakes) Wake(*Partition) { w.mu.Lock(); w.n++; w.mu.Unlock() }

func TestWaitersWakeOnCommitOnly(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node, 2))
	p := f.partition("t", 0)
	var w wakes
	var committed []int64
	p.AddWaiter(&w)
	p.CoordinatorLog().OnCommitted(func(hw int64) { committed = append(committed, hw) })
	if _, err := p.CoordinatorLog().Append(0, batch("a")); err != nil {
		t.Fatal(err)
	}
	if w.n != 0 || len(committed) != 0 {
		t.Fatalf("woken %d times before the commit", w.n)
	}
	p.role.Load().leader.follow(2, 1)
	if w.n != 1 || !slices.Equal(committed, []int64{1}) {
		t.Fatalf("woken %d times, told of %v", w.n, committed)
	}
	p.RemoveWaiter(&w)
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: 2, LeaderRecoveryState: -1})
	if w.n != 1 {
		t.Fatal("woken after it was taken off")
	}
}

// Appends, reads, waits and changes of role at the same time; meant for the race detector.
func TestConcurrentUse(t *testing.T) {
	f := newFixture(t)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node))
	p := f.partition("t", 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				info, err := p.Append(batch("a"), AcksAll, NoEpoch, log.Client)
				if err != nil {
					if !errors.Is(err, ErrNotLeader) {
						t.Error(err)
					}
					continue
				}
				answered := make(chan error, 1)
				p.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) { answered <- err })
				<-answered
			}
		})
		wg.Go(func() {
			var offset int64
			for range 100 {
				res, err := p.Read(ReadOptions{Offset: offset, MaxBytes: 1 << 20, LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch})
				if err != nil && !errors.Is(err, ErrNotLeader) {
					t.Error(err)
				}
				offset = max(offset, res.HighWatermark)
				res.Slice.Close()
			}
		})
	}
	for range 20 {
		f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: node, LeaderRecoveryState: -1})
	}
	wg.Wait()
	if p.Log().HighWatermark() != p.Log().EndOffset() {
		t.Errorf("high watermark %d, end %d", p.Log().HighWatermark(), p.Log().EndOffset())
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFixture(b)
			f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node))
			p := f.partition("t", 0)
			records := batch(strings.Repeat("x", size))
			b.SetBytes(int64(len(records)))
			b.ReportAllocs()
			for b.Loop() {
				info, err := p.Append(records, AcksAll, NoEpoch, log.Client)
				if err != nil {
					b.Fatal(err)
				}
				p.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(error) {})
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	f := newFixture(b)
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node))
	p := f.partition("t", 0)
	for range 1000 {
		if _, err := p.Append(batch(strings.Repeat("x", 1000)), AcksLeader, NoEpoch, log.Client); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		res, err := p.Read(ReadOptions{Offset: 500, MaxBytes: 1 << 20, LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch})
		if err != nil {
			b.Fatal(err)
		}
		res.Slice.Close()
	}
}
