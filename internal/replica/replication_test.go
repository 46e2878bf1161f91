package replica

import (
	"fmt"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"testing"
)

func TestRecordsAreReplicated(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	w.topic("t", 1, 2, 3)
	var acked error = errRoleEnded
	w.produce(1, "t", AcksAll, func(err error) { acked = err }, "a", "b")
	w.produce(1, "t", AcksLeader, nil, "c")
	if acked != errRoleEnded {
		t.Fatalf("answered before anybody fetched: %v", acked)
	}
	w.fetch(2, 1)
	w.fetch(3, 1)
	if acked != errRoleEnded {
		t.Fatalf("answered when the followers have it, and the leader does not know: %v", acked)
	}
	w.fetch(2, 1)
	w.fetch(3, 1)
	if acked != nil {
		t.Fatal(acked)
	}
	w.settle()
	w.same("t", []string{"a@0", "b@0", "c@0"}, 1, 2, 3)
	for _, id := range w.ids() {
		if hw := w.partition(id, "t").Log().HighWatermark(); hw != 3 {
			t.Errorf("high watermark of broker %d is %d", id, hw)
		}
	}
	w.isr("t", 1, 2, 3)
}

// A coordinator whose epoch is over does not take the commit of what another leader wrote for its own.
func TestCommittedIsBoundToTheEpoch(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	c := w.partition(1, "t").CoordinatorLog()
	var told []int64
	c.OnCommitted(func(hw int64) { told = append(told, hw) })
	if _, err := c.Append(0, batch("mine")); err != nil {
		t.Fatal(err)
	}
	w.change(elect("t", 2, 2))
	w.deliver(1, 2)
	w.produce(2, "t", AcksLeader, nil, "theirs", "too")
	w.settle()
	w.same("t", []string{"theirs@1", "too@1"}, 1, 2)
	if hw := w.partition(1, "t").Log().HighWatermark(); hw != 2 {
		t.Fatalf("high watermark %d", hw)
	}
	if got := c.Committed(); got != 0 || len(told) != 0 {
		t.Errorf("the old epoch has committed %d, was told %v", got, told)
	}
}

// After a failover the new leader knows the producers of what it fetched: a batch sent again is answered with the offset
// it got the first time.
func TestIdempotentProducerSurvivesFailover(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	send := func(leader int32, sequence int32) Appended {
		b := record.NewBuilder(record.BuilderOptions{Producer: &record.Producer{ID: 7, BaseSequence: sequence}})
		b.Append(w.clock.UnixMilli(), nil, []byte(fmt.Sprint(sequence)))
		info, err := w.partition(leader, "t").Append(b.Build(), AcksAll, NoEpoch, log.Client)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	for i := range int32(5) {
		send(1, i)
	}
	w.settle()
	w.brokers[1].kill()
	w.fence(1)
	w.deliver(2)
	for i := range int64(5) {
		if got := send(2, int32(i)); got.FirstOffset != i || !got.Duplicate {
			t.Errorf("sequence %d sent again: %+v", i, got)
		}
	}
	if got := send(2, 5); got.FirstOffset != 5 || got.Duplicate {
		t.Errorf("the next one: %+v", got)
	}
}

// A follower that lags leaves the ISR, what waits for it is acknowledged, and it comes back when it has caught up.
func TestISRShrinksAndGrows(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	w.topic("t", 1, 2, 3)
	w.settle()
	var acked error = errRoleEnded
	w.produce(1, "t", AcksAll, func(err error) { acked = err }, "a")
	for range 600 { // a minute
		w.clock = w.clock.Add(100 * time.Millisecond)
		w.fetch(2, 1)
		w.brokers[1].m.Tick()
	}
	w.isr("t", 1, 2)
	if acked != nil {
		t.Fatalf("not acknowledged without the slow follower: %v", acked)
	}
	w.settle()
	w.isr("t", 1, 2, 3)
	if w.altered > 2 {
		t.Errorf("%d AlterPartition requests for two changes", w.altered)
	}
	// An idle partition's followers are in sync however long ago they fetched.
	for range 100 {
		w.clock = w.clock.Add(time.Minute)
		w.brokers[1].m.Tick()
	}
	w.produce(1, "t", AcksLeader, nil, "b")
	w.brokers[1].m.Tick()
	w.clock = w.clock.Add(20 * time.Second)
	w.brokers[1].m.Tick()
	w.isr("t", 1, 2, 3) // they have the time of a lag to fetch it
}

// While a change of the ISR is under way, or its answer is lost, those of both ISRs count: the controller may make any of
// them the next leader.
func TestMaximalISRCounts(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.publish(elect("t", 1, 1)) // 2 is outside
	w.produce(1, "t", AcksLeader, nil, "a")
	w.alterLost = true
	w.fetch(2, 1)
	w.fetch(2, 1) // caught up: the ISR is to grow; the change is made, and the leader does not learn it
	w.isr("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "b")
	if hw := w.partition(1, "t").Log().HighWatermark(); hw != 1 {
		t.Fatalf("high watermark %d: what the new member of the ISR does not have is taken for committed", hw)
	}
	w.alterLost = false
	w.settle()
	if hw := w.partition(1, "t").Log().HighWatermark(); hw != 2 {
		t.Errorf("high watermark %d at the end", hw)
	}
	w.isr("t", 1, 2)
}

// Whatever the controller answers, the leader finds its way to the ISR that is due.
func TestISRChangesThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		what string
		do   func(w *world)
		undo func(w *world)
	}{
		{"the controller is not there", func(w *world) { w.alterFail = kerr.NotController }, func(w *world) { w.alterFail = nil }},
		{"the answer is lost", func(w *world) { w.alterLost = true }, func(w *world) { w.alterLost = false }},
		{"the follower is fenced", func(w *world) {
			w.change(&metadata.BrokerRegistrationChangeRecord{BrokerID: 2, BrokerEpoch: w.brokers[2].epoch, Fenced: 1})
		}, func(w *world) {
			w.change(&metadata.BrokerRegistrationChangeRecord{BrokerID: 2, BrokerEpoch: w.brokers[2].epoch, Fenced: -1})
		}},
		{"the leader has not heard of a change", func(w *world) {
			r := metadata.NewPartitionChangeRecord()
			r.TopicID, r.PartitionID, r.ISR = id("t"), 0, []int32{1}
			w.change(r)
		}, func(w *world) {}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			w := newWorld(t, 1, 2)
			w.topic("t", 1, 2)
			w.publish(elect("t", 1, 1))
			tc.do(w)
			for range 10 {
				w.clock = w.clock.Add(100 * time.Millisecond)
				w.fetch(2, 1)
				w.brokers[1].m.Tick()
			}
			if w.altered > 10 {
				t.Errorf("%d requests in a second", w.altered)
			}
			tc.undo(w)
			w.settle()
			w.isr("t", 1, 2)
		})
	}
}

// DeleteRecords is answered when every follower that is alive has moved its log start.
func TestDeleteRecordsReachesFollowers(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	w.topic("t", 1, 2, 3)
	w.produce(1, "t", AcksLeader, nil, "a", "b")
	w.produce(1, "t", AcksLeader, nil, "c")
	w.settle()
	low, answered := int64(-1), false
	w.partition(1, "t").DeleteRecords(2, time.Hour, func(l int64, err error) {
		if err != nil {
			t.Error(err)
		}
		low, answered = l, true
	})
	w.fetch(2, 1)
	w.fetch(2, 1)
	if answered {
		t.Fatal("answered before the second follower")
	}
	w.fetch(3, 1)
	if answered {
		t.Fatal("answered before the second follower has told")
	}
	w.fetch(3, 1)
	if !answered || low != 2 {
		t.Fatalf("answered %v, low watermark %d", answered, low)
	}
	w.same("t", []string{"c@0"}, 1, 2, 3)

	// A follower that is down does not hold it up; it follows when it is back.
	w.brokers[3].kill()
	w.fence(3)
	w.deliver(1, 2)
	answered = false
	w.partition(1, "t").DeleteRecords(3, time.Hour, func(int64, error) { answered = true })
	w.fetch(2, 1)
	w.fetch(2, 1)
	if !answered {
		t.Fatal("held up by a broker that is down")
	}
	w.brokers[3].start()
	w.settle()
	w.same("t", nil, 1, 2, 3)
}

// With flush.messages=1 a follower's position counts only what is on its disk: an acknowledged record survives the power
// failure of all.
func TestFollowersFlushBeforeTheyCount(t *testing.T) {
	w := newWorld(t, 1, 2)
	value := "1"
	w.publish(&metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: "t", Name: "flush.messages", Value: &value})
	w.topic("t", 1, 2)
	var acked error = errRoleEnded
	w.produce(1, "t", AcksAll, func(err error) { acked = err }, "a")
	w.fetch(2, 1)
	w.fetch(2, 1)
	if acked != nil {
		t.Fatal(acked)
	}
	w.brokers[2].cut(nil)
	w.brokers[1].kill()
	w.fence(1)
	w.brokers[2].start()
	w.same("t", []string{"a@0"}, 2)
}

// A partition that fails pauses alone: the others of the same leader go on.
func TestFailingPartitionPausesAlone(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("good", 1, 2)
	w.topic("bad", 1, 2)
	w.settle()
	w.change(elect("bad", 1)) // the leader hears of its epoch later than the follower
	w.deliver(2)
	w.produce(1, "good", AcksLeader, nil, "a")
	w.produce(1, "bad", AcksLeader, nil, "a")
	failed := 0
	for range 100 {
		w.clock = w.clock.Add(time.Millisecond)
		req := w.brokers[2].m.NextFetch(1)
		resp := w.brokers[1].m.Serve(serialized(t, req)).(*kmsg.FetchResponse)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					failed++
				}
			}
		}
		if err := w.brokers[2].m.TakeFetched(1, resp); err != nil {
			t.Fatal(err)
		}
	}
	w.same("good", []string{"a@0"}, 1, 2)
	if failed < 2 || failed > 5 {
		t.Errorf("failed %d times in 100 ms", failed)
	}
	w.settle()
	w.same("bad", []string{"a@0"}, 1, 2)
}
