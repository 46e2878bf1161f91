package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gregor/internal/coordinator/group"
	"gregor/internal/metadata"
	"gregor/internal/peer"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// testCluster is brokers that follow each other over loopback connections, and a controller that does what it is asked.
type testCluster struct {
	t       testing.TB
	brokers []*testBroker // by id, from 1

	mu    sync.Mutex
	truth *metadata.Image
}

func startCluster(t testing.TB, n int, lag time.Duration) *testCluster {
	t.Helper()
	c := &testCluster{t: t, truth: metadata.NewImage("cluster")}
	var all []metadata.Record
	for i := range n {
		groups := group.NewService(group.Options{Config: func() group.Config {
			return group.Config{
				MaxSessionTimeoutMs: 1_800_000, MinSessionTimeoutMs: 6_000, MaxSize: 1000, OffsetMetadataMaxBytes: 4096,
				OffsetsRetentionMs: 1 << 40, OffsetsRetentionCheckMs: 600_000, OffsetsTopicPartitions: 1,
				OffsetsTopicMaxBatchSize: 1 << 20, CommitTimeoutMs: 5_000,
			}
		}})
		t.Cleanup(groups.Close)
		groups.SetPartitions(1)
		tb := startNode(t, int32(i+1), nil, func(o *replica.Options) {
			o.OnLeader = func(topic string, p, epoch int32, part *replica.Partition) {
				if topic == group.Topic {
					groups.Elected(p, epoch, CoordinatorLog(part))
				}
			}
			o.OnResign = func(topic string, p, epoch int32) {
				if topic == group.Topic {
					groups.Resigned(p, epoch)
				}
			}
			o.Alter = c.alter
			o.BrokerEpoch = func() int64 { return 5 }
			o.LagTime = func() time.Duration { return lag }
			o.Connect = c.connect
		})
		tb.b.groups = groups
		c.brokers = append(c.brokers, tb)
		all = append(all, tb.registration)
	}
	all = append(all, &metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 25})
	c.publish(all...)
	return c
}

func (c *testCluster) connect(ctx context.Context, broker int32) (replica.Remote, error) {
	conn, err := peer.Dial(ctx, peer.Options{Addr: c.brokers[broker-1].addr, ClientID: "follower"})
	if err != nil {
		return nil, err
	}
	return replica.OverPeer(conn), nil
}

// publish tells all brokers.
func (c *testCluster) publish(records ...metadata.Record) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(records...)
}

func (c *testCluster) apply(records ...metadata.Record) {
	d := metadata.NewDelta(c.truth)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			c.t.Error(err)
		}
	}
	c.truth = d.Image(c.truth.Offset()+int64(len(records)), 1)
	for _, tb := range c.brokers {
		tb.publish(records...)
	}
}

func (c *testCluster) alter(_ context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewAlterPartitionResponseTopic()
			rt.TopidID = t.TopicID
			for _, in := range t.Partitions {
				out := kmsg.NewAlterPartitionResponseTopicPartition()
				out.Partition = in.Partition
				p := c.truth.TopicByID(t.TopicID).Partitions[in.Partition]
				if in.PartitionEpoch != p.PartitionEpoch || p.Leader != req.BrokerID {
					out.ErrorCode = kerr.InvalidUpdateVersion.Code
				} else {
					r := metadata.NewPartitionChangeRecord()
					r.TopicID, r.PartitionID = t.TopicID, in.Partition
					for _, m := range in.NewEpochISR {
						r.ISR = append(r.ISR, m.BrokerID)
					}
					c.apply(r)
					p = p.Merge(r)
					out.LeaderID, out.LeaderEpoch, out.PartitionEpoch, out.ISR = p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR
				}
				rt.Partitions = append(rt.Partitions, out)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		done(resp, nil)
	}()
}

func (c *testCluster) createTopic(name string, partitions int, replicas ...int32) {
	c.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: topicID(name)}}
	for i := range partitions {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID(name), PartitionID: int32(i), Replicas: replicas, ISR: replicas, Leader: replicas[0], LeaderEpoch: 3})
	}
	c.publish(records...)
}

func (c *testCluster) lead(topic string, leader int32, isr ...int32) {
	c.t.Helper()
	r := metadata.NewPartitionChangeRecord()
	r.TopicID, r.PartitionID, r.Leader, r.ISR = topicID(topic), 0, leader, isr
	c.publish(r)
}

// Records reach every replica, acknowledgements wait for them, and another leader goes on with what the first had.
func TestReplicationOverConnections(t *testing.T) {
	c := startCluster(t, 3, 30*time.Second)
	c.createTopic("t", 1, 1, 2, 3)
	client := c.brokers[0].dial()
	for i := range 50 {
		if got := client.produce(13, "t", 0, -1, batch(fmt.Sprint(i))); got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("%+v", got)
		}
	}
	c.lead("t", 2)
	began := time.Now()
	client = c.brokers[1].dial()
	if got := client.produce(13, "t", 0, -1, batch("50")); got.ErrorCode != 0 || got.BaseOffset != 50 {
		t.Fatalf("%+v", got)
	}
	t.Logf("from the new leader to its first acknowledgement: %s", time.Since(began))
	for _, tb := range c.brokers {
		p, err := tb.manager.Partition("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica has the high watermark", func() bool { return p.Log().HighWatermark() == 51 })
	}
}

// A follower that stops fetching leaves the ISR, what waits for it goes on, and it comes back.
func TestISRShrinksAndGrows(t *testing.T) {
	c := startCluster(t, 3, 300*time.Millisecond)
	c.createTopic("t", 1, 1, 2, 3)
	client := c.brokers[0].dial()
	if got := client.produce(13, "t", 0, -1, batch("a")); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	isr := func() []int32 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Sorted(slices.Values(c.truth.Topic("t").Partitions[0].ISR))
	}
	c.brokers[2].manager.Close() // its fetchers end
	if got := client.produce(13, "t", 0, -1, batch("b")); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	if got := isr(); !slices.Equal(got, []int32{1, 2}) {
		t.Fatalf("ISR %v", got)
	}
}

// followerFetch is a fetch of broker 2, from a session.
func followerFetch(id, epoch int32, waitMs int32, topic string, offsets map[int32]int64) *kmsg.FetchRequest {
	req := sessionFetch(17, id, epoch, topic, offsets)
	req.ReplicaState.ID, req.ReplicaState.Epoch = 2, 5
	req.MaxWaitMillis, req.MinBytes = waitMs, 1
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			req.Topics[i].Partitions[j].CurrentLeaderEpoch = 3
		}
	}
	return req
}

// A follower's session answers what changed, waits without being asked again about the rest, and does not wait while
// the follower has something to say.
func TestFollowerSession(t *testing.T) {
	tb := startBroker(t, nil)
	records := []metadata.Record{&metadata.TopicRecord{Name: "t", TopicID: topicID("t")},
		&metadata.RegisterBrokerRecord{BrokerID: 2, BrokerEpoch: 5}}
	for i := range int32(5) {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID("t"), PartitionID: i, Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, LeaderEpoch: 3})
	}
	tb.publish(records...)
	c, producer := tb.dial(), tb.dial()
	resp := do[*kmsg.FetchResponse](c, followerFetch(0, 0, 60_000, "t", map[int32]int64{0: 0, 1: 0, 2: 0}))
	id := resp.SessionID
	if id == 0 {
		t.Fatal("no session was begun, or not at once")
	}
	want := func(what, want string, resp *kmsg.FetchResponse) {
		t.Helper()
		if got := told(t, resp); got != want {
			t.Fatalf("%s: %q, want %q", what, got, want)
		}
	}
	// A long poll ends with records, and gives them once.
	c.send(followerFetch(id, 1, 60_000, "t", nil))
	tb.waitParked(id)
	producer.produce(13, "t", 1, 1, batch("a"))
	want("records come", "1: 1 records", c.fetched(0))
	want("they are not given twice", "", do[*kmsg.FetchResponse](c, followerFetch(id, 2, 0, "t", nil)))
	p, _ := tb.manager.Partition("t", 1)
	if hw := p.Log().HighWatermark(); hw != 0 {
		t.Fatalf("high watermark %d before the follower said that it has them", hw)
	}
	// The follower's position moves: the high watermark does, and that is news.
	want("the position", "1: 0 records", do[*kmsg.FetchResponse](c, followerFetch(id, 3, 1, "t", map[int32]int64{1: 1})))
	if hw := p.Log().HighWatermark(); hw != 1 {
		t.Fatalf("high watermark %d", hw)
	}
	// What it names again is given again: it could not use what it got.
	want("asked again", "1: 1 records", do[*kmsg.FetchResponse](c, followerFetch(id, 4, 0, "t", map[int32]int64{1: 0})))
	do[*kmsg.FetchResponse](c, followerFetch(id, 5, 0, "t", map[int32]int64{1: 1}))
	// A second request ends the long poll of the first, with nothing, and is served.
	producer.produce(13, "t", 3, 1, batch("b"))
	c.send(followerFetch(id, 6, 60_000, "t", nil))
	tb.waitParked(id)
	c.send(followerFetch(id, 7, 60_000, "t", map[int32]int64{3: 0}))
	want("the first", "", c.fetched(1))
	want("the second", "3: 1 records", c.fetched(0))
	// A change of leaders is told.
	c.send(followerFetch(id, 8, 60_000, "t", nil))
	tb.waitParked(id)
	tb.publish(&metadata.PartitionChangeRecord{TopicID: topicID("t"), PartitionID: 2, Leader: 2, LeaderRecoveryState: -1})
	want("another leader", "2: FENCED_LEADER_EPOCH", c.fetched(0))
	// The end of the connection ends the session, and nothing of it is left on the partitions.
	c.send(followerFetch(id, 9, 60_000, "t", nil))
	tb.waitParked(id)
	c.conn.Close()
	eventually(t, "the session ends", func() bool { return tb.b.sessions.len() == 0 })
	eventually(t, "the partitions are left", func() bool { return p.Waiters() == 0 })
}

// fetched reads the answer to the last Fetch, or to the one before it.
func (c *client) fetched(before int32) *kmsg.FetchResponse {
	c.t.Helper()
	return c.receive(followerFetch(0, 0, 0, "t", nil), c.corr-before).(*kmsg.FetchResponse)
}

// waitParked waits until a follower's long poll waits.
func (tb *testBroker) waitParked(id int32) {
	tb.t.Helper()
	tb.b.sessions.mu.Lock()
	s := tb.b.sessions.sessions[id]
	tb.b.sessions.mu.Unlock()
	eventually(tb.t, "the long poll waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.parked != nil
	})
}

// What a follower may not: it is not assigned, or is an older process of its broker.
func TestFollowersThatAreRefused(t *testing.T) {
	tb := startLeader(t)
	c := tb.dial()
	for _, tc := range []struct {
		what  string
		id    int32
		epoch int64
		want  string
	}{
		{"the follower", 2, 5, "0: 0 records"},
		{"without a broker epoch", 2, -1, "0: 0 records"},
		{"an older process", 2, 4, "0: NOT_LEADER_FOR_PARTITION"},
		{"a process whose registration has not come yet", 2, 9, "0: 0 records"},
		{"then the one before it is old", 2, 5, "0: NOT_LEADER_FOR_PARTITION"},
		{"a broker that is not assigned", 3, 5, "0: UNKNOWN_LEADER_EPOCH"},
	} {
		req := followerFetch(0, -1, 0, "t", map[int32]int64{0: 0})
		req.ReplicaState.ID, req.ReplicaState.Epoch = tc.id, tc.epoch
		if got := told(t, do[*kmsg.FetchResponse](c, req)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.what, got, tc.want)
		}
	}
}

// Commits, deadlines and ends of connections meet: whatever comes first answers, once, and its own request.
func TestCommitMeetsDeadline(t *testing.T) {
	c := startCluster(t, 2, 30*time.Second)
	c.createTopic("t", 1, 1, 2)
	last := int64(-1)
	committed, expired := 0, 0
	for round := 0; round < 300 || round < 3000 && (committed == 0 || expired == 0); round++ {
		client := c.brokers[0].dial()
		for range 4 {
			first, reqs := client.corr+1, []kmsg.Request{}
			for i := range 8 {
				req := produceRequest(12, "t", 0, -1, batch("x"))
				req.TimeoutMillis = int32(i % 3)
				reqs = append(reqs, req)
			}
			client.send(reqs...)
			for i, req := range reqs {
				switch got := client.receive(req, first+int32(i)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; {
				case got.ErrorCode == kerr.RequestTimedOut.Code && got.BaseOffset == -1:
					expired++
				case got.ErrorCode == 0 && got.BaseOffset > last:
					committed, last = committed+1, got.BaseOffset
				default:
					t.Fatalf("after offset %d: %+v", last, got)
				}
			}
		}
		client.send(produceRequest(12, "t", 0, -1, batch("x")), produceRequest(12, "t", 0, -1, batch("x")))
		client.conn.Close()
	}
	if committed == 0 || expired == 0 {
		t.Errorf("%d were committed in time, %d were not: both should happen", committed, expired)
	}
	got := c.brokers[0].dial().produce(12, "t", 0, -1, batch("x"))
	if got.ErrorCode != 0 || got.BaseOffset <= last {
		t.Errorf("then: %+v", got)
	}
}

// BenchmarkFollowerRound is a record on its way to the follower and its acknowledgement, among partitions that are idle.
func BenchmarkFollowerRound(b *testing.B) {
	for _, partitions := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			c := startCluster(b, 2, 30*time.Second)
			c.createTopic("t", partitions, 1, 2)
			client := c.brokers[0].dial()
			client.produce(13, "t", 0, -1, batch("first"))
			records := batch("x")
			b.ReportAllocs()
			for b.Loop() {
				if got := client.produce(13, "t", 0, -1, records); got.ErrorCode != 0 {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}

// A follower writes what it gets for many partitions side by side when each write waits for the disk, and has it on disk
// before it says so.
func TestFollowerFlushesManyPartitions(t *testing.T) {
	c := startCluster(t, 2, 30*time.Second)
	value := "1"
	c.publish(&metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: "t", Name: "flush.messages", Value: &value})
	const partitions = 40
	c.createTopic("t", partitions, 1, 2)
	client := c.brokers[0].dial()
	for round := range 5 {
		req := produceRequest(13, "t", 0, -1, batch(fmt.Sprint(round)))
		one := req.Topics[0].Partitions[0]
		for i := int32(1); i < partitions; i++ {
			p := one
			p.Partition, p.Records = i, batch(fmt.Sprint(round))
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		for _, p := range do[*kmsg.ProduceResponse](client, req).Topics[0].Partitions {
			if p.ErrorCode != 0 || p.BaseOffset != int64(round) {
				t.Fatalf("%+v", p)
			}
		}
	}
	for i := range int32(partitions) {
		p, err := c.brokers[1].manager.Partition("t", i)
		if err != nil {
			t.Fatal(err)
		}
		if end, point := p.Log().EndOffset(), p.Log().RecoveryPoint(); end != 5 || point != 5 {
			t.Fatalf("partition %d of the follower ends at %d and is on disk up to %d", i, end, point)
		}
	}
}

// The coordinator of a group is where its partition of __consumer_offsets is led, and knows there what was committed
// elsewhere.
func TestCoordinatorMoves(t *testing.T) {
	c := startCluster(t, 3, 30*time.Second)
	c.createTopic("t", 1, 1, 2, 3)
	c.createTopic(group.Topic, 1, 1, 2, 3)
	clients := []*client{c.brokers[0].dial(), c.brokers[1].dial(), c.brokers[2].dial()}
	commit := func(c *client, offset int64) int16 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = 8, "g", -1
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = "t"
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = offset
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		return do[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode
	}
	committed := func(c *client) (offset int64, code int16) {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group = 7, "g"
		topic := kmsg.NewOffsetFetchRequestTopic()
		topic.Topic, topic.Partitions = "t", []int32{0}
		req.Topics = append(req.Topics, topic)
		resp := do[*kmsg.OffsetFetchResponse](c, req)
		if resp.ErrorCode != 0 {
			return -1, resp.ErrorCode
		}
		return resp.Topics[0].Partitions[0].Offset, 0
	}
	settled := func(code int16) bool { // a client waits and asks again
		return code != kerr.CoordinatorLoadInProgress.Code
	}
	for round, leader := range []int32{1, 2, 3, 1, 2} {
		if round > 0 {
			c.lead(group.Topic, leader)
		}
		for i, client := range clients {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.Version, req.CoordinatorKey = 3, "g"
			if resp := do[*kmsg.FindCoordinatorResponse](client, req); resp.ErrorCode != 0 || resp.NodeID != leader {
				t.Fatalf("broker %d says that the coordinator is %d, error %d; it is %d", i+1, resp.NodeID, resp.ErrorCode, leader)
			}
			if int32(i+1) != leader {
				if code := commit(client, 99); code != kerr.NotCoordinator.Code {
					t.Fatalf("broker %d takes a commit: error %d", i+1, code)
				}
			}
		}
		at := clients[leader-1]
		var code int16
		if round > 0 {
			var offset int64
			eventually(t, "the coordinator is loaded", func() bool { offset, code = committed(at); return settled(code) })
			if code != 0 || offset != int64(round-1) {
				t.Fatalf("broker %d says offset %d, error %d; %d was committed", leader, offset, code, round-1)
			}
		}
		eventually(t, "the coordinator is loaded", func() bool { code = commit(at, int64(round)); return settled(code) })
		if code != 0 {
			t.Fatalf("commit: error %d", code)
		}
	}
}
