package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is a few brokers, each with a Manager without goroutines over a disk in memory, and a controller that is one
// variable: the metadata. Steps of the metadata reach a broker when the test says so, and so do fetches.
type world struct {
	t       testing.TB
	cluster string
	clock   time.Time
	brokers map[int32]*testBroker

	truth        *metadata.Image
	lag          time.Duration
	partitionMax int32
	steps        [][]metadata.Record
	epoch        int64 // of the last broker registration

	altered   int // AlterPartition requests
	alterFail *kerr.Error
	alterLost bool // answers are lost after the change was made
	alterBy   func(broker int32) (fail, lost bool)
}

type testBroker struct {
	w     *world
	id    int32
	fs    *vfs.Mem
	up    bool
	epoch int64

	dirs  *log.Dirs
	m     *Manager
	image *metadata.Image
	seen  int // steps of the metadata
}

func newWorld(t testing.TB, ids ...int32) *world {
	w := &world{t: t, cluster: metadata.NewUUID().String(), clock: time.UnixMilli(1_700_000_000_000), lag: 30 * time.Second, partitionMax: 1 << 20, brokers: make(map[int32]*testBroker)}
	w.truth = metadata.NewImage(w.cluster)
	for _, id := range ids {
		b := &testBroker{w: w, id: id, fs: vfs.NewMem(w.now)}
		w.brokers[id] = b
		b.start()
	}
	t.Cleanup(func() {
		for _, id := range w.ids() {
			if b := w.brokers[id]; b.up {
				b.m.Close()
				_ = b.dirs.Close()
			}
		}
	})
	return w
}

func (w *world) now() time.Time { return w.clock }

func (w *world) ids() []int32 {
	var ids []int32
	for id := range w.brokers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// change appends a step to the metadata; brokers hear of it by deliver.
func (w *world) change(records ...metadata.Record) {
	w.t.Helper()
	d := metadata.NewDelta(w.truth)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			w.t.Fatal(err)
		}
	}
	w.truth = d.Image(w.truth.Offset()+int64(len(records)), 1)
	w.steps = append(w.steps, records)
}

// publish is change and deliver to all.
func (w *world) publish(records ...metadata.Record) {
	w.t.Helper()
	w.change(records...)
	w.deliver(w.ids()...)
}

// deliver brings brokers up to date.
func (w *world) deliver(ids ...int32) {
	w.t.Helper()
	for _, id := range ids {
		b := w.brokers[id]
		for b.up && b.seen < len(w.steps) {
			b.step()
		}
	}
}

// step delivers one step.
func (b *testBroker) step() {
	d := metadata.NewDelta(b.image)
	for _, r := range b.w.steps[b.seen] {
		if err := d.Apply(r); err != nil {
			b.w.t.Fatal(err)
		}
	}
	b.seen++
	b.image = d.Image(b.image.Offset()+1, 1)
	b.m.Publish(d, b.image)
}

// start runs the broker's process and registers it; it is not in any ISR by that.
func (b *testBroker) start() {
	w := b.w
	w.t.Helper()
	var err error
	b.dirs, err = log.OpenDirs(log.DirsOptions{Paths: []string{"/d"}, ClusterID: w.cluster, NodeID: b.id, FS: b.fs, Clock: w.now, Stepped: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.epoch++
	b.epoch, b.up = w.epoch, true
	epoch := b.epoch
	b.image, b.seen = metadata.NewImage(w.cluster), 0
	logger := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		logger = slog.New(slog.NewTextHandler(testWriter{w.t}, nil)).With("broker", b.id)
	}
	b.m = NewManager(Options{
		NodeID: b.id, Dirs: b.dirs, Clock: w.now, Inline: true, Logger: logger,
		TopicConfig: func(_ string, overrides map[string]string) (TopicConfig, error) {
			c := TopicConfig{Log: log.DefaultConfig(), MinInSyncReplicas: 1}
			if v, ok := overrides["min.insync.replicas"]; ok {
				fmt.Sscan(v, &c.MinInSyncReplicas)
			}
			if v, ok := overrides["flush.messages"]; ok {
				fmt.Sscan(v, &c.Log.FlushMessages)
			}
			return c, nil
		},
		BrokerEpoch: func() int64 { return epoch },
		Alter:       w.alter,
		Fetching:    func() Fetching { f := DefaultFetching(); f.PartitionMax = w.partitionMax; return f },
		LagTime:     func() time.Duration { return max(w.lag, time.Second) },
	})
	w.change(&metadata.RegisterBrokerRecord{BrokerID: b.id, IncarnationID: metadata.NewUUID(), BrokerEpoch: b.epoch})
	// A broker that starts is told of all there is at once.
	d := metadata.NewDelta(b.image)
	for ; b.seen < len(w.steps); b.seen++ {
		for _, r := range w.steps[b.seen] {
			if err := d.Apply(r); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	b.image = d.Image(w.truth.Offset(), 1)
	b.m.Publish(d, b.image)
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// kill ends the process; what it wrote stays.
func (b *testBroker) kill() {
	b.up = false
	b.m.Close()
	b.fs.Kill()
	for _, o := range b.w.brokers {
		if o.up {
			o.m.FetchBroken(b.id)
		}
	}
}

// cut ends the machine: what was not synced is lost, or a part of it.
func (b *testBroker) cut(rnd *rand.Rand) {
	b.kill()
	b.fs = b.fs.Crash(rnd)
}

// fence is what the controller does about a broker that is gone: it leaves the ISRs, and another one leads.
func (w *world) fence(id int32) {
	w.t.Helper()
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: w.truth.Broker(id).Epoch, Fenced: 1}}
	for t := range w.truth.Topics() {
		for i, p := range t.Partitions {
			if r := w.without(t, int32(i), p, id); r != nil {
				records = append(records, r)
			}
		}
	}
	w.change(records...)
}

func (w *world) without(t *metadata.Topic, index int32, p *metadata.Partition, id int32) metadata.Record {
	r := metadata.NewPartitionChangeRecord()
	r.TopicID, r.PartitionID = t.ID, index
	isr := slices.DeleteFunc(slices.Clone(p.ISR), func(o int32) bool { return o == id })
	changed := false
	if len(isr) > 0 && len(isr) < len(p.ISR) {
		r.ISR, changed = isr, true
	}
	if p.Leader == id {
		r.Leader, changed = metadata.NoLeader, true
		for _, o := range p.Replicas {
			if b := w.truth.Broker(o); slices.Contains(isr, o) && b != nil && !b.Fenced {
				r.Leader = o
				break
			}
		}
	}
	if !changed {
		return nil
	}
	return r
}

// revive has the controller elect what can be elected again.
func (w *world) revive() {
	w.t.Helper()
	for t := range w.truth.Topics() {
		for i, p := range t.Partitions {
			if p.Leader != metadata.NoLeader {
				continue
			}
			for _, id := range p.ISR {
				if b := w.truth.Broker(id); b != nil && !b.Fenced {
					r := metadata.NewPartitionChangeRecord()
					r.TopicID, r.PartitionID, r.Leader = t.ID, int32(i), id
					w.change(r)
					break
				}
			}
		}
	}
}

// alter is the controller's AlterPartition.
func (w *world) alter(_ context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	w.altered++
	lost := w.alterLost
	if w.alterBy != nil {
		var fail bool
		if fail, lost = w.alterBy(req.BrokerID); fail {
			done(nil, errors.New("the controller cannot be reached"))
			return
		}
	}
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	if w.alterFail != nil {
		done(nil, w.alterFail)
		return
	}
	if b := w.truth.Broker(req.BrokerID); b == nil || b.Epoch != req.BrokerEpoch {
		resp.ErrorCode = kerr.StaleBrokerEpoch.Code
		done(resp, nil)
		return
	}
	for _, t := range req.Topics {
		rt := kmsg.NewAlterPartitionResponseTopic()
		rt.TopidID = t.TopicID
		for _, in := range t.Partitions {
			out := kmsg.NewAlterPartitionResponseTopicPartition()
			out.Partition = in.Partition
			p := w.truth.TopicByID(t.TopicID).Partitions[in.Partition]
			var isr []int32
			for _, member := range in.NewEpochISR {
				isr = append(isr, member.BrokerID)
				if b := w.truth.Broker(member.BrokerID); b == nil || b.Fenced || member.BrokerEpoch >= 0 && member.BrokerEpoch != b.Epoch {
					out.ErrorCode = kerr.IneligibleReplica.Code
				}
			}
			switch {
			case in.LeaderEpoch < p.LeaderEpoch:
				out.ErrorCode = kerr.FencedLeaderEpoch.Code
			case p.Leader != req.BrokerID:
				out.ErrorCode = kerr.InvalidRequest.Code
			case in.PartitionEpoch != p.PartitionEpoch:
				out.ErrorCode = kerr.InvalidUpdateVersion.Code
			}
			if out.ErrorCode == 0 {
				r := metadata.NewPartitionChangeRecord()
				r.TopicID, r.PartitionID, r.ISR = t.TopicID, in.Partition, isr
				w.change(r)
				p = p.Merge(r)
				out.LeaderID, out.LeaderEpoch, out.PartitionEpoch, out.ISR = p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR
			}
			rt.Partitions = append(rt.Partitions, out)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if lost {
		done(nil, errors.New("connection lost"))
		return
	}
	done(resp, nil)
}

// elect makes a broker the leader; isr nil leaves the ISR.
func elect(topic string, leader int32, isr ...int32) *metadata.PartitionChangeRecord {
	r := metadata.NewPartitionChangeRecord()
	r.TopicID, r.PartitionID, r.Leader, r.ISR = id(topic), 0, leader, isr
	return r
}

// fetch takes one request of a broker to another there and back. It reports whether there was one.
func (w *world) fetch(from, to int32) bool {
	w.t.Helper()
	a, b := w.brokers[from], w.brokers[to]
	if !a.up {
		return false
	}
	req := a.m.NextFetch(to)
	if req == nil {
		return false
	}
	if !b.up {
		a.m.FetchBroken(to)
		return false
	}
	if err := a.m.TakeFetched(to, b.m.Serve(serialized(w.t, req))); err != nil {
		w.t.Fatal(err)
	}
	return true
}

// serialized is the request as it comes out of the wire at the other end.
func serialized(t testing.TB, req kmsg.Request) kmsg.Request {
	t.Helper()
	req.SetVersion(req.MaxVersion())
	if r, ok := req.(*kmsg.FetchRequest); ok {
		r.Version = 17
	}
	again := kmsg.RequestForKey(req.Key())
	again.SetVersion(req.GetVersion())
	if err := again.ReadFrom(req.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return again
}

// settle lets all brokers hear of the metadata and fetch until nothing changes any more.
func (w *world) settle() {
	w.t.Helper()
	for range 30 {
		w.deliver(w.ids()...)
		w.clock = w.clock.Add(100 * time.Millisecond)
		for _, from := range w.ids() {
			if b := w.brokers[from]; b.up {
				b.m.Tick()
				for _, to := range b.m.Remotes() {
					w.fetch(from, to)
				}
			}
		}
	}
}

func (w *world) partition(broker int32, topic string) *Partition {
	w.t.Helper()
	p, err := w.brokers[broker].m.Partition(topic, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// produce appends values as one batch and has done told of the commit, if it is not nil.
func (w *world) produce(leader int32, topic string, acks int16, done func(error), values ...string) Appended {
	w.t.Helper()
	p := w.partition(leader, topic)
	b := record.NewBuilder(record.BuilderOptions{})
	for _, v := range values {
		b.Append(w.clock.UnixMilli(), nil, []byte(v))
	}
	info, err := p.Append(b.Build(), acks, NoEpoch, log.Client)
	if err != nil {
		w.t.Fatal(err)
	}
	if done != nil {
		p.AwaitCommit(info.LastOffset, info.LeaderEpoch, done)
	}
	return info
}

// values reads the log of a replica: "value@epoch" in order.
func (b *testBroker) values(topic string) []string {
	b.w.t.Helper()
	l := b.dirs.Get(topic, 0)
	if l == nil {
		return nil
	}
	return logValues(b.w.t, l)
}

func logValues(t testing.TB, l *log.Log) (list []string) {
	t.Helper()
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		s, err := l.Read(offset, l.EndOffset(), 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := s.Bytes()
		s.Close()
		if err != nil {
			t.Fatal(err)
		}
		for len(bytes) > 0 {
			batch, rest, err := record.Next(bytes)
			if err != nil {
				t.Fatal(err)
			}
			for r, err := range batch.Records() {
				if err != nil {
					t.Fatal(err)
				}
				if r.Offset >= offset {
					list = append(list, fmt.Sprintf("%s@%d", r.Value, batch.LeaderEpoch()))
				}
			}
			offset, bytes = batch.NextOffset(), rest
		}
	}
	return list
}

// same fails unless the replicas hold these values.
func (w *world) same(topic string, want []string, brokers ...int32) {
	w.t.Helper()
	for _, id := range brokers {
		if got := w.brokers[id].values(topic); !slices.Equal(got, want) {
			w.t.Errorf("broker %d has %q, want %q", id, got, want)
		}
	}
}

func (w *world) isr(topic string, want ...int32) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(w.truth.Topic(topic).Partitions[0].ISR))
	if !slices.Equal(got, want) {
		w.t.Errorf("ISR of %s is %v, want %v", topic, got, want)
	}
}

// topic makes a topic with one partition on three brokers, led by the first.
func (w *world) topic(name string, replicas ...int32) {
	w.t.Helper()
	p := &metadata.PartitionRecord{TopicID: id(name), Replicas: replicas, ISR: replicas, Leader: replicas[0]}
	w.publish(&metadata.TopicRecord{Name: name, TopicID: id(name)}, p)
}

// fetchError is the error of the first partition of a Fetch.
func fetchError(resp kmsg.Response) int16 {
	return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode
}
