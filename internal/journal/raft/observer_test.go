package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gregor/internal/journal"
	"gregor/internal/record"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetch answers an observer as a controller does.
func (s *server) fetch(e process, h wire.RequestHeader, body []byte) kmsg.Response {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(h.Version)
	body, err := wire.SkipTags(body)
	if err == nil {
		err = req.ReadFrom(body)
	}
	if err != nil {
		s.t.Error(err)
		return nil
	}
	if e == nil {
		return nil
	}
	asked := &req.Topics[0].Partitions[0]
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches = []byte{}
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	st := e.Status()
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = st.Leader, st.Epoch
	switch {
	case req.ClusterID != nil && *req.ClusterID != optionsOf(e).ClusterID:
		resp.ErrorCode = kerr.InconsistentClusterID.Code
	case asked.CurrentLeaderEpoch < st.Epoch:
		p.ErrorCode = kerr.FencedLeaderEpoch.Code
	case asked.CurrentLeaderEpoch > st.Epoch:
		p.ErrorCode = kerr.UnknownLeaderEpoch.Code
	case st.Leader != optionsOf(e).NodeID:
		p.ErrorCode = kerr.NotLeaderForPartition.Code
	default:
		s.read(e, req, &p)
	}
	t := kmsg.NewFetchResponseTopic()
	t.TopicID, t.Partitions = req.Topics[0].TopicID, append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	s.mu.Lock()
	spoil := s.spoil
	s.mu.Unlock()
	if spoil != nil {
		spoil(req, resp)
	}
	return resp
}

func (s *server) read(e process, req *kmsg.FetchRequest, p *kmsg.FetchResponseTopicPartition) {
	asked := &req.Topics[0].Partitions[0]
	from := journal.FetchPosition{Offset: asked.FetchOffset, LastEpoch: asked.LastFetchedEpoch}
	read, err := e.ReadLog(from, 200)
	if err == nil && read.Records == nil && read.Snapshot == nil && read.Diverging == nil {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(req.MaxWaitMillis)*time.Millisecond)
		defer cancel()
		_ = e.WaitCommitted(ctx, asked.FetchOffset)
		read, err = e.ReadLog(from, 200)
	}
	if err != nil {
		p.ErrorCode = kerr.OffsetOutOfRange.Code
		return
	}
	e.ObserverFetched(req.ReplicaState.ID, asked.ReplicaDirectoryID, asked.FetchOffset, time.Now().UnixMilli())
	p.HighWatermark, p.LogStartOffset = read.HighWatermark, read.StartOffset
	switch {
	case read.Diverging != nil:
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = read.Diverging.Epoch, read.Diverging.Offset
	case read.Snapshot != nil:
		p.SnapshotID.Epoch, p.SnapshotID.EndOffset = read.Snapshot.Epoch, read.Snapshot.End
	case read.Records != nil:
		p.RecordBatches = read.Records
	}
}

// watcher is an observer and what it was told.
type watcher struct {
	o ObserverOptions
	e *Observer
	*keeper
}

func observe(t *testing.T, nodes []*voterProcess) *watcher {
	t.Helper()
	w := &watcher{o: ObserverOptions{Options: Options{
		Dir: t.TempDir(), NodeID: 100, ClusterID: "c", DirectoryID: [16]byte{100}, Voters: nodes[0].o.Voters, RetentionBytes: 1,
	}}}
	w.start(t)
	return w
}

func (w *watcher) start(t *testing.T) {
	t.Helper()
	e, err := OpenObserver(w.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	w.e, w.keeper = e, &keeper{news: make(chan struct{})}
	if err := e.Start(w.keeper); err != nil {
		t.Fatal(err)
	}
}

// until waits until the observer knows these values and no others.
func (w *watcher) until(t *testing.T, want []string) {
	t.Helper()
	w.await(t, fmt.Sprint(want), func() bool { return slices.Equal(w.state, want) })
}

func (w *watcher) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		w.mu.Lock()
		ok, news, failed := holds(), w.news, w.failed
		w.mu.Unlock()
		if ok {
			return
		}
		if failed != nil {
			t.Fatal(failed)
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("the observer has %v at %+v, not %s", w.state, w.e.Status(), what)
		}
	}
}

func TestObserverFollows(t *testing.T) {
	nodes := cluster(t, 3)
	for _, p := range nodes {
		p.start(t)
	}
	var all []string
	put := func(voters []*voterProcess, n int) *voterProcess {
		var leader *voterProcess
		for range n {
			value := fmt.Sprint("value ", len(all))
			_, leader = write(t, voters, value)
			all = append(all, value)
		}
		return leader
	}
	leader := put(nodes, 5)
	w := observe(t, nodes)
	w.until(t, all)
	put(nodes, 5)
	w.until(t, all)
	if s := w.e.Status(); s.Leader != leader.o.NodeID || s.Epoch != leader.e.Status().Epoch || len(s.Voters) != 3 {
		t.Errorf("status %+v", s)
	}
	if o := leader.e.Describe().Observers; len(o) != 1 || o[0].ID != 100 || o[0].DirectoryID != [16]byte{100} {
		t.Errorf("the leader knows the observers %+v", o)
	}

	// The leader's process ends.
	leader.kill()
	rest := without(nodes, leader)
	put(rest, 3)
	w.until(t, all)

	// The observer restarts without a controller in reach.
	for _, p := range rest {
		p.kill()
	}
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.until(t, all)
	if s := w.e.Status(); s.Leader != -1 {
		t.Errorf("it says that %d leads", s.Leader)
	}
	if err := w.e.Append(w.e.Status().Epoch, w.e.Status().EndOffset, 1, nil); !errors.Is(err, journal.ErrNotLeader) {
		t.Errorf("append: %v", err)
	}
}

func TestObserverTakesSnapshots(t *testing.T) {
	nodes := cluster(t, 1)
	nodes[0].o.Voters = nil
	addr := nodes[0].s.l.Addr().String()
	nodes[0].start(t)
	var all []string
	put := func(n int) {
		for range n {
			value := fmt.Sprint("value ", len(all), strings.Repeat(".", 500))
			write(t, nodes, value)
			all = append(all, value)
		}
	}
	put(20)
	nodes[0].save(t)
	put(2)
	// It knows a bootstrap address alone, and learns from there who leads.
	w := &watcher{o: ObserverOptions{Options: Options{Dir: t.TempDir(), NodeID: 100, ClusterID: "c", RetentionBytes: 1}, Bootstrap: []string{"127.0.0.1:1", addr}}}
	w.start(t)
	w.until(t, all)
	if w.loads != 1 {
		t.Errorf("%d snapshots were loaded, want 1", w.loads)
	}
	if v := w.e.Voters(); len(v) != 1 || address(v[0]) != addr {
		t.Errorf("the observer knows the controllers %v", v)
	}
	// Its own snapshot, and a restart from that.
	put(5)
	w.until(t, all)
	w.mu.Lock()
	last, state := w.last, slices.Clone(w.state)
	w.mu.Unlock()
	if err := w.e.Save(t.Context(), snapshotOfState(last, state)); err != nil {
		t.Fatal(err)
	}
	if s := w.e.Status(); s.Snapshot != last.LastOffset+1 || s.StartOffset != s.Snapshot {
		t.Errorf("status after a snapshot %+v", s)
	}
	_ = w.e.Close()
	put(3)
	w.start(t)
	w.until(t, all)
	if w.loads != 1 {
		t.Errorf("%d snapshots were loaded, want its own", w.loads)
	}
	// It falls behind the begin of the leader's log, and gives up what it has.
	_ = w.e.Close()
	put(3)
	nodes[0].save(t)
	put(1)
	w.start(t)
	w.until(t, all)
	if w.loads != 2 {
		t.Errorf("%d snapshots were loaded, want its own and the leader's", w.loads)
	}
}

func snapshotOfState(last journal.Batch, state []string) journal.Snapshot {
	return journal.Snapshot{LastOffset: last.LastOffset, Epoch: last.Epoch, TimestampMs: last.TimestampMs, Values: func(yield func([]byte, error) bool) {
		for _, v := range state {
			if !yield([]byte(v), nil) {
				return
			}
		}
	}}
}

// A controller that answers wrongly neither stops the observer nor gets anything into its log.
func TestObserverSurvivesBadAnswers(t *testing.T) {
	batch := func(offset int64, epoch int32, value string) record.Batch {
		b := record.NewBuilder(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: epoch})
		b.Append(1, nil, []byte(value))
		return b.Build()
	}
	for name, spoil := range map[string]func(*kmsg.FetchRequest, *kmsg.FetchResponse){
		"another cluster": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.ErrorCode, r.Topics = kerr.InconsistentClusterID.Code, nil
		},
		"no topics":     func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) { r.Topics = nil },
		"two topics":    func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) { r.Topics = append(r.Topics, r.Topics[0]) },
		"no partitions": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) { r.Topics[0].Partitions = nil },
		"an error": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].ErrorCode = kerr.UnknownServerError.Code
		},
		"it names itself as another": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			p := &r.Topics[0].Partitions[0]
			p.ErrorCode, p.CurrentLeader.LeaderID = kerr.NotLeaderForPartition.Code, 77
		},
		"nobody leads": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			p := &r.Topics[0].Partitions[0]
			p.ErrorCode, p.CurrentLeader.LeaderID = kerr.NotLeaderForPartition.Code, -1
		},
		"bytes": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].RecordBatches = []byte(strings.Repeat("not a batch ", 20))
		},
		"a batch that is cut off": func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			b := batch(q.Topics[0].Partitions[0].FetchOffset, 100, "evil")
			r.Topics[0].Partitions[0].RecordBatches = b[:len(b)-1]
		},
		"a wrong checksum": func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			b := batch(q.Topics[0].Partitions[0].FetchOffset, 100, "evil")
			b[len(b)-1] ^= 1
			r.Topics[0].Partitions[0].RecordBatches, r.Topics[0].Partitions[0].HighWatermark = b, 1000
		},
		"a gap": func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].RecordBatches = batch(q.Topics[0].Partitions[0].FetchOffset+1, 100, "evil")
			r.Topics[0].Partitions[0].HighWatermark = 1000
		},
		"an older epoch": func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].RecordBatches = batch(q.Topics[0].Partitions[0].FetchOffset, 0, "evil")
			r.Topics[0].Partitions[0].HighWatermark = 1000
		},
		"an old snapshot": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].SnapshotID.EndOffset, r.Topics[0].Partitions[0].SnapshotID.Epoch = 1, 0
		},
		"a snapshot that is not there": func(_ *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			r.Topics[0].Partitions[0].SnapshotID.EndOffset, r.Topics[0].Partitions[0].SnapshotID.Epoch = 1000, 100
		},
		"what is not committed": func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
			p := &r.Topics[0].Partitions[0]
			p.RecordBatches, p.HighWatermark = batch(q.Topics[0].Partitions[0].FetchOffset, 100, "evil"), q.Topics[0].Partitions[0].FetchOffset
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := cluster(t, 1)
			nodes[0].o.Voters = nil
			nodes[0].start(t)
			write(t, nodes, "a")
			w := &watcher{o: ObserverOptions{Options: Options{Dir: t.TempDir(), NodeID: 100, ClusterID: "c"}, Bootstrap: []string{nodes[0].s.l.Addr().String()}}}
			w.start(t)
			w.until(t, []string{"a"})
			var times atomic.Int32
			thrice := make(chan struct{})
			nodes[0].s.mu.Lock()
			nodes[0].s.spoil = func(q *kmsg.FetchRequest, r *kmsg.FetchResponse) {
				spoil(q, r)
				if times.Add(1) == 3 {
					close(thrice)
				}
			}
			nodes[0].s.mu.Unlock()
			write(t, nodes, "b")
			select {
			case <-thrice:
			case <-time.After(20 * time.Second):
				t.Fatalf("it asked %d times, want 3: it does not try again", times.Load())
			}
			nodes[0].s.mu.Lock()
			nodes[0].s.spoil = nil
			nodes[0].s.mu.Unlock()
			w.until(t, []string{"a", "b"})
		})
	}
}

// An observer whose log is not that of the controllers says so and ends: it has acted on what never was.
func TestObserverOfOtherHistory(t *testing.T) {
	for _, behind := range []bool{true, false} {
		t.Run(fmt.Sprint(behind), func(t *testing.T) {
			old := cluster(t, 1)
			old[0].o.Voters = nil
			old[0].start(t)
			for range 10 {
				write(t, old, "a")
			}
			w := &watcher{o: ObserverOptions{Options: Options{Dir: t.TempDir(), NodeID: 100, ClusterID: "c"}, Bootstrap: []string{old[0].s.l.Addr().String()}}}
			w.start(t)
			w.await(t, "ten", func() bool { return len(w.state) == 10 })
			_ = w.e.Close()
			old[0].kill()

			// The controllers lost everything and began anew.
			fresh := cluster(t, 1)
			fresh[0].o.Voters = nil
			for range 3 { // three starts: epoch 3
				fresh[0].start(t)
				leaderOf(t, fresh)
				_ = fresh[0].e.Close()
			}
			fresh[0].start(t)
			n := 1
			if behind {
				n = 20
			}
			for range n {
				write(t, fresh, "b")
			}
			w.o.Bootstrap = []string{fresh[0].s.l.Addr().String()}
			w.start(t)
			deadline := time.After(20 * time.Second)
			for {
				w.mu.Lock()
				failed, news := w.failed, w.news
				w.mu.Unlock()
				if failed != nil {
					if !errors.Is(failed, journal.ErrCorrupt) || !strings.Contains(failed.Error(), "delete "+w.e.dir) {
						t.Errorf("it says %v", failed)
					}
					break
				}
				select {
				case <-news:
				case <-deadline:
					t.Fatal("it goes on with a log of its own")
				}
			}
			if slices.Contains(w.state, "b") {
				t.Error("it mixed the two")
			}
		})
	}
}

// What an answer says of the controllers outlives its buffer, which the next answers are read into.
func TestObserverKeepsWhereControllersAre(t *testing.T) {
	nodes := cluster(t, 1)
	nodes[0].s.mu.Lock()
	var told atomic.Bool
	nodes[0].s.spoil = func(_ *kmsg.FetchRequest, resp *kmsg.FetchResponse) {
		if told.Swap(true) {
			return
		}
		b := kmsg.NewFetchResponseBroker()
		b.NodeID, b.Host, b.Port = 7, "controller-seven.example", 9093
		resp.Brokers = []kmsg.FetchResponseBroker{b}
	}
	nodes[0].s.mu.Unlock()
	nodes[0].start(t)
	w := observe(t, nodes)
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprint("a value as long as an answer about controllers ", i))
		write(t, nodes, all[i])
	}
	w.until(t, all)
	i := slices.IndexFunc(w.e.Voters(), func(v journal.Voter) bool { return v.ID == 7 })
	if i < 0 || w.e.Voters()[i].Endpoints[0].Host != "controller-seven.example" {
		t.Errorf("the controllers are at %+v", w.e.Voters())
	}
}

// A leader that stands still takes connections and answers nothing. The observer goes to the one that the others elect,
// although they name the old one for a while, and does not wait for the old one again and again.
func TestObserverOfLeaderThatHangs(t *testing.T) {
	nodes := cluster(t, 3)
	for _, p := range nodes {
		p.start(t)
	}
	_, leader := write(t, nodes, "a")
	w := observe(t, nodes)
	w.until(t, []string{"a"})
	leader.s.mu.Lock()
	leader.s.e = nil // its listener answers nothing but ApiVersions
	leader.s.mu.Unlock()
	_ = leader.e.Close()
	rest := without(nodes, leader)
	_, next := write(t, rest, "b")
	began := time.Now()
	w.until(t, []string{"a", "b"})
	if took := time.Since(began); took > w.e.o.FetchWait+w.e.o.FetchLimit+time.Second {
		t.Errorf("the observer found the new leader after %s", took)
	}
	if s := w.e.Status(); s.Leader != next.o.NodeID {
		t.Errorf("it follows %d, not %d", s.Leader, next.o.NodeID)
	}
}
