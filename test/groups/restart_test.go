package groups

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/server"
)

// TestGroupOutlivesTheBroker kills the broker under a stable group. The member goes on in its generation, without a
// rebalance, and finds what it committed.
func TestGroupOutlivesTheBroker(t *testing.T) {
	b := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=5"}})
	s := &script{open: func() *conn { return dial(t, b.Addr, quick) }, group: "survivors", topic: "group-scenes", calls: map[string]*conn{}}
	s.uuids = map[string]string{}
	s.hide = noHiding
	s.topicID = prepare(t, s)

	join := func(o joinOptions) *kmsg.JoinGroupResponse {
		o.session = 30_000
		return s.do("a", "join", 9, s.join(o)).(*kmsg.JoinGroupResponse)
	}
	id := join(joinOptions{}).MemberID
	if r := join(joinOptions{member: id}); r.ErrorCode != 0 || r.Generation != 1 {
		t.Fatalf("join: %+v", r)
	}
	s.do("a", "sync", 5, s.sync(id, 1, id, "all"))
	commit := func(at int64) int16 {
		r := s.do("a", "commit", 9, s.commit(id, 1, s.topic, noID, map[int32]int64{0: at, 1: at}, ptr("m"))).(*kmsg.OffsetCommitResponse)
		return r.Topics[0].Partitions[0].ErrorCode
	}
	for at := int64(1); at <= 3; at++ {
		if code := commit(at); code != 0 {
			t.Fatalf("commit: error %d", code)
		}
		b.Kill()
		b.Restart(t)
		clear(s.calls)
		prepare(t, s)
		// The partition is read back after the broker has begun to answer.
		deadline := time.Now().Add(patience)
		for {
			r := s.do("a", "fetch", 9, s.fetch(9, s.topic, noID, 0, 1)).(*kmsg.OffsetFetchResponse)
			if r.Groups[0].ErrorCode == 0 {
				for _, p := range r.Groups[0].Topics[0].Partitions {
					if p.Offset != at || p.Metadata == nil || *p.Metadata != "m" {
						t.Fatalf("after restart %d: partition %d has %+v", at, p.Partition, p)
					}
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("still not loaded: error %d", r.Groups[0].ErrorCode)
			}
		}
		if r := s.do("a", "heartbeat", 4, s.heartbeat(id, 1, nil)).(*kmsg.HeartbeatResponse); r.ErrorCode != 0 {
			t.Fatalf("heartbeat after restart %d: error %d", at, r.ErrorCode)
		}
	}
	r := s.do("a", "sync", 5, s.sync(id, 1)).(*kmsg.SyncGroupResponse)
	if r.ErrorCode != 0 || string(r.MemberAssignment) != "all" {
		t.Errorf("the assignment after restarts: error %d, %q", r.ErrorCode, r.MemberAssignment)
	}
}
