package group

import (
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
	"gregor/internal/record"
)

// step lets the machine decide and applies what it decided; the replies come back.
type stepper struct {
	m        *Machine
	out      coordinator.Effects[kmsg.Response]
	position int64
	token    coordinator.Token
	bytes    int
}

func (s *stepper) step(e Event) {
	s.token++
	s.out = coordinator.Effects[kmsg.Response]{Records: s.out.Records[:0], Replies: s.out.Replies[:0]}
	s.m.Decide(s.token, e, 1_000_000, &s.out)
	for _, r := range s.out.Records {
		s.position++
		s.bytes += len(r.Key) + len(r.Value)
		s.m.Apply(s.position, r)
	}
	s.m.Committed(s.position)
}

func newStepper() *stepper {
	config := DefaultConfig()
	config.InitialRebalanceDelayMs = 0
	s := &stepper{m: NewMachine(func() Config { return config }, nil)}
	s.m.Elected(1_000_000, &s.out)
	return s
}

func commitEvent(partitions int) Event {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = "a-group-of-consumers", -1, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "a-topic-with-a-name"
	for p := range int32(partitions) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p, 123456
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	return Event{Caller: Caller{Version: 9}, Request: req}
}

// BenchmarkCommit is the machine alone.
func BenchmarkCommit(b *testing.B) {
	for _, partitions := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			s, e := newStepper(), commitEvent(partitions)
			b.ReportAllocs()
			for b.Loop() {
				s.step(e)
			}
			b.ReportMetric(float64(b.N*partitions)/b.Elapsed().Seconds(), "offsets/s")
		})
	}
}

// BenchmarkFetch reads ten committed offsets.
func BenchmarkFetch(b *testing.B) {
	s := newStepper()
	s.step(commitEvent(10))
	req := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "a-group-of-consumers"
	g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: "a-topic-with-a-name", Partitions: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}})
	req.Groups = append(req.Groups, g)
	b.ReportAllocs()
	for b.Loop() {
		s.step(Event{Request: req})
	}
}

// BenchmarkHeartbeat is a heartbeat in a group of a hundred.
func BenchmarkHeartbeat(b *testing.B) {
	s := newStepper()
	ids := fill(s, 100)
	rebalance(s, ids)
	reqs := make([]*kmsg.HeartbeatRequest, len(ids))
	for i, id := range ids {
		reqs[i] = kmsg.NewPtrHeartbeatRequest()
		reqs[i].Group, reqs[i].MemberID, reqs[i].Generation = "g", id, s.m.groups["g"].live.generation
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.step(Event{Request: reqs[i%len(reqs)]})
	}
}

// fill makes a stable group of n members and returns their ids.
func fill(s *stepper, n int) []string {
	var ids []string
	for i := range n {
		s.step(Event{Caller: Caller{ClientID: "c", Version: 3}, Request: benchJoin(""), NewMemberID: fmt.Sprint(i)})
		ids = append(ids, fmt.Sprintf("c-%d", i))
	}
	for s.m.groups["g"].live.state == PreparingRebalance { // gathers members, prolonged once
		at, _ := s.m.Deadline()
		s.m.Tick(at, &s.out)
	}
	return ids
}

func benchJoin(id string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = "g", id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 60_000
	for _, name := range []string{"range", "cooperative-sticky"} {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription("a-topic-with-a-name+another")
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// rebalance has everybody join again and ask for an assignment.
func rebalance(s *stepper, ids []string) {
	for _, id := range ids {
		s.step(Event{Caller: Caller{ClientID: "c", Version: 9}, Request: benchJoin(id)})
	}
	l := s.m.groups["g"].live
	sync := func(id string) *kmsg.SyncGroupRequest {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = "g", id, l.generation
		return req
	}
	for _, id := range ids {
		if id != l.leader {
			s.step(Event{Request: sync(id)})
		}
	}
	req := sync(l.leader)
	for _, id := range ids {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: make([]byte, 100)})
	}
	s.step(Event{Request: req})
	if l.state != Stable {
		panic("the group is " + l.state.String())
	}
}

// BenchmarkRebalance is a whole rebalance of a group, from the first JoinGroup to the last SyncGroup.
func BenchmarkRebalance(b *testing.B) {
	for _, members := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			s := newStepper()
			ids := fill(s, members)
			rebalance(s, ids)
			b.ReportAllocs()
			for b.Loop() {
				rebalance(s, ids)
			}
		})
	}
}

// BenchmarkReplay loads a partition: bytes of the log a second.
func BenchmarkReplay(b *testing.B) {
	r := offsetRecord("a-group-of-consumers", "a-topic-with-a-name", 7, &offset{at: 123456, leaderEpoch: 3, committedMs: 1_000_000, expiresMs: -1})
	m := NewMachine(DefaultConfig, nil)
	b.SetBytes(int64(len(r.Key) + len(r.Value)))
	b.ReportAllocs()
	for i := int64(1); b.Loop(); i++ {
		m.Apply(i, r)
		if i%1000 == 0 {
			m.Committed(i)
		}
	}
}

// endlessLog takes batches and forgets them.
type endlessLog struct {
	coordinator.Log // for what the tests do not do

	mu  sync.Mutex
	end int64
	f   func(int64)
}

func (l *endlessLog) Append(_ int32, b []byte) (int64, error) {
	l.mu.Lock()
	l.end += int64(record.Batch(b).NumRecords())
	end, f := l.end, l.f
	l.mu.Unlock()
	if f != nil {
		f(end)
	}
	return end - 1, nil
}
func (l *endlessLog) OnCommitted(f func(int64))       { l.mu.Lock(); l.f = f; l.mu.Unlock() }
func (l *endlessLog) Read(int64, int) ([]byte, error) { return nil, nil }
func (l *endlessLog) StartOffset() int64              { return 0 }
func (l *endlessLog) EndOffset() int64                { l.mu.Lock(); defer l.mu.Unlock(); return l.end }
func (l *endlessLog) Committed() int64                { return l.EndOffset() }

// BenchmarkService commits from many clients at once, through the shell, to one partition.
func BenchmarkService(b *testing.B) {
	s := NewService(Options{})
	defer s.Close()
	s.SetPartitions(1)
	s.Elected(0, 1, &endlessLog{})
	for ready := false; !ready; {
		done := make(chan bool, 1)
		s.ListGroups(Caller{}, kmsg.NewPtrListGroupsRequest(), func(r *kmsg.ListGroupsResponse) { done <- r.ErrorCode == 0 })
		ready = <-done
	}
	e := commitEvent(1)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		done := make(chan int16, 1)
		for pb.Next() {
			s.OffsetCommit(Caller{Version: 9}, e.Request.(*kmsg.OffsetCommitRequest), func(r *kmsg.OffsetCommitResponse) {
				done <- r.Topics[0].Partitions[0].ErrorCode
			})
			if code := <-done; code != 0 {
				b.Errorf("error %d", code)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
