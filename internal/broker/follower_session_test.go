package broker

import (
	"testing"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// startLeader starts broker 1, which leads a partition that broker 2, of epoch 5, follows.
func startLeader(t *testing.T) *testBroker {
	t.Helper()
	tb := startBroker(t, nil)
	tb.publish(&metadata.TopicRecord{Name: "t", TopicID: topicID("t")}, &metadata.RegisterBrokerRecord{BrokerID: 2, BrokerEpoch: 5},
		&metadata.PartitionRecord{TopicID: topicID("t"), Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, LeaderEpoch: 3})
	return tb
}

// A request that ends its long poll late, when the next one of the session has come already, leaves alone what that one
// asks for: the follower would not take it from the older response, and the leader would wait for it to ask again.
func TestOlderRequestLeavesWhatANewerAsksFor(t *testing.T) {
	tb := startLeader(t)
	c := tb.dial()
	id := do[*kmsg.FetchResponse](c, followerFetch(0, 0, 0, "t", map[int32]int64{0: 0})).SessionID
	request := func(epoch int32, offsets map[int32]int64) *fetching {
		req := followerFetch(id, epoch, 0, "t", offsets)
		s, _, err := tb.b.sessions.begin(req)
		if s == nil || err != nil {
			t.Fatal("no session: ", err)
		}
		f := &fetching{b: tb.b, version: req.Version, follower: followerOf(req), session: s}
		f.turn = s.supersede()
		return f
	}
	older := request(1, nil)
	newer := request(2, map[int32]int64{0: 0})
	if older.gatherDirty(); len(older.parts) != 0 {
		t.Error("the older request answers what the newer asks for")
	}
	if newer.gatherDirty(); len(newer.parts) != 1 {
		t.Errorf("the newer request answers %d partitions of the one that it asks for", len(newer.parts))
	}
}

// A broker that was unregistered, or cut off, registers anew while its session stays. Its next request tells the leader its
// epoch for partitions that it has nothing to say of, too: else an idle partition would never take it into the ISR again.
func TestSessionOfABrokerThatRegistersAnew(t *testing.T) {
	tb := startLeader(t)
	c := tb.dial()
	id := do[*kmsg.FetchResponse](c, followerFetch(0, 0, 0, "t", map[int32]int64{0: 0})).SessionID
	do[*kmsg.FetchResponse](c, followerFetch(id, 1, 0, "t", nil))
	anew := followerFetch(id, 2, 0, "t", nil)
	anew.ReplicaState.Epoch = 9
	do[*kmsg.FetchResponse](c, anew)
	// The leader refuses the old epoch from now on, so it knows the new one.
	if got := told(t, do[*kmsg.FetchResponse](c, followerFetch(0, -1, 0, "t", map[int32]int64{0: 0}))); got != "0: NOT_LEADER_FOR_PARTITION" {
		t.Errorf("a fetch with the old broker epoch: %s", got)
	}
}
