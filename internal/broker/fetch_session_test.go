package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionFetch is a request within a session: the partitions that change, and those that are given up.
func sessionFetch(version int16, id, epoch int32, topic string, offsets map[int32]int64, forget ...int32) *kmsg.FetchRequest {
	req := fetchRequest(version, topic)
	req.SessionID, req.SessionEpoch = id, epoch
	for p := int32(0); p < 100; p++ {
		if o, ok := offsets[p]; ok {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, o, 1<<20
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, part)
		}
	}
	if len(offsets) == 0 {
		req.Topics = nil
	}
	if len(forget) > 0 {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.TopicID, f.Partitions = topic, topicID(topic), forget
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	}
	return req
}

// told is what a response says: "0: 2 records, 1: error 3".
func told(t *testing.T, resp *kmsg.FetchResponse) string {
	if resp.ErrorCode != 0 {
		return kerr.ErrorForCode(resp.ErrorCode).(*kerr.Error).Message
	}
	var out []string
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				out = append(out, fmt.Sprintf("%d: %s", p.Partition, kerr.ErrorForCode(p.ErrorCode).(*kerr.Error).Message))
				continue
			}
			out = append(out, fmt.Sprintf("%d: %d records", p.Partition, len(values(t, p.RecordBatches))))
		}
	}
	return strings.Join(out, ", ")
}

// The story of a session, told with and without topic ids.
func TestFetchSession(t *testing.T) {
	for _, v := range []int16{7, 12, 13, 18} {
		t.Run(fmt.Sprint("version ", v), func(t *testing.T) {
			tb := startBroker(t, nil)
			tb.createTopic("t", 3)
			c := tb.dial()
			c.produce(9, "t", 0, 1, batch("a"))
			var id int32
			step := func(what string, req *kmsg.FetchRequest, want string) {
				t.Helper()
				resp := do[*kmsg.FetchResponse](c, req)
				if got := told(t, resp); got != want {
					t.Fatalf("%s: %q, want %q", what, got, want)
				}
				if resp.ErrorCode == 0 {
					id = resp.SessionID
				}
			}
			step("a full request tells everything", sessionFetch(v, 0, 0, "t", map[int32]int64{0: 0, 1: 0, 2: 0}), "0: 1 records, 1: 0 records, 2: 0 records")
			if id == 0 {
				t.Fatal("no session was begun")
			}
			step("the offset moves and there is nothing new", sessionFetch(v, id, 1, "t", map[int32]int64{0: 1}), "")
			c.produce(9, "t", 2, 1, batch("b", "c"))
			step("one partition has news", sessionFetch(v, id, 2, "t", nil), "2: 2 records")
			step("it is told again until the offset moves", sessionFetch(v, id, 3, "t", nil), "2: 2 records")
			step("an epoch twice", sessionFetch(v, id, 3, "t", nil), "INVALID_FETCH_SESSION_EPOCH")
			step("a session that is not there", sessionFetch(v, id+1, 1, "t", nil), "FETCH_SESSION_ID_NOT_FOUND")
			step("a partition is given up", sessionFetch(v, id, 4, "t", nil, 2), "")
			step("a wrong offset is told each time", sessionFetch(v, id, 5, "t", map[int32]int64{1: 7}), "1: OFFSET_OUT_OF_RANGE")
			step("each time", sessionFetch(v, id, 6, "t", nil), "1: OFFSET_OUT_OF_RANGE")
			step("its end is news too", sessionFetch(v, id, 7, "t", map[int32]int64{1: 0}), "1: 0 records")
			step("but only once", sessionFetch(v, id, 8, "t", nil), "")
			step("it comes back", sessionFetch(v, id, 9, "t", map[int32]int64{2: 1}), "2: 2 records")
			old := id
			step("a final epoch ends the session", sessionFetch(v, id, -1, "t", map[int32]int64{0: 0}), "0: 1 records")
			if id != 0 {
				t.Fatalf("session %d after the last request", id)
			}
			step("it is gone", sessionFetch(v, old, 10, "t", nil), "FETCH_SESSION_ID_NOT_FOUND")
			if n := tb.b.sessions.len(); n != 0 {
				t.Fatalf("%d sessions are left", n)
			}
			step("a new one", sessionFetch(v, 0, 0, "t", map[int32]int64{0: 0}), "0: 1 records")
			old = id
			step("a full request within it replaces it", sessionFetch(v, id, 0, "t", map[int32]int64{0: 0}), "0: 1 records")
			if id == old || id == 0 {
				t.Fatalf("session %d, it was %d", id, old)
			}
			step("giving up the last partition ends it", sessionFetch(v, id, 1, "t", nil, 0), "")
			if n := tb.b.sessions.len(); n != 0 {
				t.Fatalf("%d sessions are left", n)
			}
		})
	}
}

// A session of names is not continued by ids.
func TestFetchSessionKeepsItsKind(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	resp := do[*kmsg.FetchResponse](c, sessionFetch(12, 0, 0, "t", map[int32]int64{0: 0}))
	if got := told(t, do[*kmsg.FetchResponse](c, sessionFetch(13, resp.SessionID, 1, "t", nil))); got != "FETCH_SESSION_TOPIC_ID_ERROR" {
		t.Error(got)
	}
}

// A topic that comes into being after its id was named in a session.
func TestFetchSessionResolvesLate(t *testing.T) {
	tb := startBroker(t, nil)
	c := tb.dial()
	resp := do[*kmsg.FetchResponse](c, sessionFetch(17, 0, 0, "t", map[int32]int64{0: 0}))
	if got := told(t, resp); got != "0: UNKNOWN_TOPIC_ID" {
		t.Fatal(got)
	}
	tb.createTopic("t", 1)
	if got := told(t, do[*kmsg.FetchResponse](c, sessionFetch(17, resp.SessionID, 1, "t", nil))); got != "0: 0 records" {
		t.Fatal(got)
	}
}

// Partitions that gave records go to the end, so that a small response does not starve the others.
func TestFetchSessionIsFair(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 4)
	c := tb.dial()
	for p := range int32(4) {
		for range 5 {
			c.produce(9, "t", p, 1, batch(strings.Repeat("x", 100)))
		}
	}
	req := sessionFetch(12, 0, 0, "t", map[int32]int64{0: 0, 1: 0, 2: 0, 3: 0})
	req.MaxBytes = 1
	resp := do[*kmsg.FetchResponse](c, req)
	var order []int32
	offsets := map[int32]int64{0: 1}
	for epoch := int32(1); epoch <= 8; epoch++ {
		req := sessionFetch(12, resp.SessionID, epoch, "t", offsets)
		req.MaxBytes = 1
		got := do[*kmsg.FetchResponse](c, req)
		for _, p := range got.Topics[0].Partitions {
			if len(p.RecordBatches) > 0 {
				order = append(order, p.Partition)
				offsets = map[int32]int64{p.Partition: int64(epoch+3) / 4}
			}
		}
	}
	seen := make(map[int32]int)
	for _, p := range order {
		seen[p]++
	}
	if !reflect.DeepEqual(seen, map[int32]int{0: 2, 1: 2, 2: 2, 3: 2}) {
		t.Errorf("served in the order %v", order)
	}
}

// The cache is bounded: who comes later gets no session, until one has been idle for long or is small and old.
func TestFetchSessionEviction(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newSessionCache(2, func() time.Time { return now })
	parts := func(n int) []*sessionPartition {
		out := make([]*sessionPartition, n)
		for i := range out {
			out[i] = &sessionPartition{key: partitionKey{topic: "t", partition: int32(i)}}
		}
		return out
	}
	use := func(id, epoch int32) error {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.SessionID, req.SessionEpoch = 12, id, epoch
		if _, _, err := c.begin(req); err != nil {
			return err
		}
		return nil
	}
	small, large := c.create(false, parts(1), nil), c.create(false, parts(10), nil)
	if c.create(false, parts(100), nil) != 0 {
		t.Fatal("a third session although both are young")
	}
	now = now.Add(evictAfter + time.Second)
	if err := use(small, 1); err != nil {
		t.Fatal(err)
	}
	if err := use(large, 1); err != nil {
		t.Fatal(err)
	}
	if c.create(false, parts(1), nil) != 0 {
		t.Fatal("a session as small as the smallest pushed it out")
	}
	if c.create(false, parts(5), nil) == 0 || use(small, 2) != kerr.FetchSessionIDNotFound || use(large, 2) != nil {
		t.Fatal("the larger session should have pushed out the small old one")
	}
	now = now.Add(evictAfter + time.Second)
	if c.create(false, parts(1), nil) == 0 || c.len() != 2 {
		t.Fatal("an idle session keeps its place")
	}
}
