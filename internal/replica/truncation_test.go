package replica

import (
	"fmt"
	"testing"

	"gregor/internal/metadata"
)

// The counterexamples that the KIPs about truncation open with. Each of them lost or rewrote records before.

// KIP-101, scenario 1: high watermark truncation followed by an immediate leader election. The follower B has m2 and
// has not learned that it is committed. It restarts, and before it can fetch, the leader A fails and B leads. With
// truncation to the high watermark m2 would be lost.
func TestKIP101RecordLostWhenFollowerRestartsAndLeads(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksAll, nil, "m1")
	w.fetch(2, 1)
	w.fetch(2, 1)
	w.fetch(2, 1)
	var acked error = errRoleEnded
	w.produce(1, "t", AcksAll, func(err error) { acked = err }, "m2")
	w.fetch(2, 1) // has m2
	req := w.brokers[2].m.NextFetch(1)
	w.brokers[1].m.Serve(serialized(t, req)) // tells the leader; the answer, with the high watermark, is lost
	if acked != nil {
		t.Fatalf("m2 is on both replicas: %v", acked)
	}
	if hw := w.partition(2, "t").Log().HighWatermark(); hw != 1 {
		t.Fatalf("the follower knows a high watermark of %d", hw)
	}
	w.brokers[2].kill()
	w.brokers[2].start()
	w.brokers[1].kill()
	w.change(elect("t", 2, 2, 1)) // both are in the ISR; the broker was away for less than a session
	w.deliver(2)
	w.brokers[1].start()
	w.settle()
	w.same("t", []string{"m1@0", "m2@0"}, 1, 2)
}

// KIP-101, scenario 2: replica divergence on restart after multiple hard failures. Both lose what they had not synced;
// B comes up first, leads, and writes another record at the offset that A has. With truncation to the high watermark A
// would keep its own.
func TestKIP101DivergenceAfterHardFailures(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "m1")
	w.fetch(2, 1)
	w.fetch(2, 1)
	if err := w.partition(2, "t").Log().Flush(1); err != nil {
		t.Fatal(err)
	}
	w.produce(1, "t", AcksLeader, nil, "m2")
	w.fetch(2, 1)
	w.fetch(2, 1)
	w.fetch(2, 1) // both have m1 and m2, and know that they are committed
	if err := w.partition(1, "t").Log().Flush(2); err != nil {
		t.Fatal(err)
	}
	for _, b := range w.brokers {
		_ = b.dirs.Checkpoint()
		b.cut(nil)
	}
	w.change(elect("t", metadata.NoLeader))
	w.change(elect("t", 2, 2)) // B comes first: an unclean election
	w.brokers[2].start()
	w.same("t", []string{"m1@0"}, 2)
	w.produce(2, "t", AcksLeader, nil, "m3")
	w.brokers[1].start()
	w.same("t", []string{"m1@0", "m2@0"}, 1)
	w.settle()
	w.same("t", []string{"m1@0", "m3@2"}, 1, 2)
}

// KIP-279: log divergence when leaders change fast. A leads in epoch 0, B in 1, A in 2, each with records that the other
// does not get. An answer to "where does your epoch 1 end" by A, which never had epoch 1, has to name epoch 0.
func TestKIP279FastLeaderFailover(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "a0")
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "a1", "a2") // B does not fetch them
	w.change(elect("t", 2, 2))                     // unclean, as A is cut off
	w.deliver(2)
	w.produce(2, "t", AcksLeader, nil, "b1", "b2", "b3")
	w.change(elect("t", 1, 1)) // and back, before A has heard of B's epoch
	w.deliver(1)
	w.produce(1, "t", AcksLeader, nil, "a3")
	w.settle()
	w.same("t", []string{"a0@0", "a1@0", "a2@0", "a3@2"}, 1, 2)
	w.isr("t", 1, 2)
}

// KIP-279, with more epochs: the logs share nothing of the latest two epochs of either, so that one answer is not enough.
func TestTruncationTakesSeveralSteps(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "a0")
	w.settle()
	for i := range 3 {
		w.produce(1, "t", AcksLeader, nil, fmt.Sprint("a", i), fmt.Sprint("A", i))
		w.change(elect("t", 2, 2)) // A does not hear of it
		w.deliver(2)
		w.produce(2, "t", AcksLeader, nil, fmt.Sprint("b", i))
		w.change(elect("t", 1, 1)) // nor B of this
		w.deliver(1)
	}
	rounds := 0
	w.deliver(2)
	for ; len(w.brokers[2].values("t")) != 7 && rounds < 20; rounds++ {
		w.fetch(2, 1)
	}
	w.same("t", w.brokers[1].values("t"), 1, 2)
	if rounds < 3 {
		t.Errorf("%d rounds: the logs were to take several", rounds)
	}
}

// KIP-320: a fetch of a follower that works in an older leader epoch is fenced, and one in a newer epoch waits: neither
// moves what the leader believes of the follower. Else a leader that is deposed could commit, and a fetch under way across
// a change of leaders could say that the follower has what it is about to cut off.
func TestKIP320FencedEpochs(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	w.topic("t", 1, 2, 3)
	w.produce(1, "t", AcksLeader, nil, "a")
	w.fetch(2, 1)
	old := serialized(t, w.brokers[2].m.NextFetch(1)) // "I have all up to 1", in epoch 0
	w.brokers[2].m.FetchBroken(1)
	w.change(elect("t", 1))
	w.deliver(1)
	if resp := w.brokers[1].m.Serve(old); fetchError(resp) != 74 {
		t.Errorf("fetch in an older epoch: %+v", resp)
	}
	if r := w.partition(1, "t").role.Load().leader.remote[2]; r.endOffset != -1 {
		t.Errorf("it moved the follower to %d", r.endOffset)
	}
	w.change(elect("t", 1))
	w.deliver(2)
	if resp := w.brokers[1].m.Serve(serialized(t, w.brokers[2].m.NextFetch(1))); fetchError(resp) != 75 {
		t.Errorf("fetch in a newer epoch: %+v", resp)
	}
	w.settle()
	w.same("t", []string{"a@0"}, 1, 2, 3)
	w.isr("t", 1, 2, 3)
}

// A leader that never wrote in its epoch leaves an entry at the end of its log. Following another one it must lose it, or
// it would be told for ever that it diverges.
func TestEmptyEpochDoesNotDivergeForEver(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "a")
	w.settle()
	w.publish(elect("t", 2)) // writes nothing
	w.change(elect("t", 1))  // 1
	w.change(elect("t", 1))
	w.deliver(1) // has not seen epoch 1 as a follower
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "b")
	w.settle()
	w.same("t", []string{"a@0", "b@3"}, 1, 2)
	w.isr("t", 1, 2)
}

// The leader's log starts behind the follower's end: retention took what it lacks.
func TestFollowerStartsAnewAtTheLeadersStart(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "a")
	w.settle()
	w.brokers[2].kill()
	w.fence(2)
	w.deliver(1)
	w.produce(1, "t", AcksLeader, nil, "b", "c")
	w.produce(1, "t", AcksLeader, nil, "d", "e", "f")
	if _, err := w.partition(1, "t").Log().DeleteRecordsBefore(4); err != nil { // inside a batch
		t.Fatal(err)
	}
	w.brokers[2].start()
	w.settle()
	w.same("t", []string{"e@0", "f@0"}, 1, 2)
	if start := w.partition(2, "t").Log().StartOffset(); start != 4 {
		t.Errorf("the follower's log starts at %d", start)
	}
	w.isr("t", 1, 2)
}

// The same over a connection that breaks at every point, or while the metadata takes the partition away and back.
func TestFollowerStartsAnewOverABadConnection(t *testing.T) {
	for broken := range 6 {
		for _, again := range []bool{false, true} {
			w := newWorld(t, 1, 2)
			w.topic("t", 1, 2)
			w.produce(1, "t", AcksLeader, nil, "a")
			w.settle()
			w.brokers[2].kill()
			w.fence(2)
			w.deliver(1)
			w.produce(1, "t", AcksLeader, nil, "b", "c")
			w.settle()
			if _, err := w.partition(1, "t").Log().DeleteRecordsBefore(3); err != nil {
				t.Fatal(err)
			}
			w.produce(1, "t", AcksLeader, nil, "d")
			w.brokers[2].start()
			for range broken {
				w.fetch(2, 1)
			}
			w.brokers[2].m.NextFetch(1) // is under way when the connection breaks
			if again {
				w.change(elect("t", 1))
				w.deliver(2)
			}
			w.brokers[2].m.FetchBroken(1)
			w.settle()
			w.same("t", []string{"d@0"}, 1, 2)
			w.isr("t", 1, 2)
		}
	}
}

// The leader's log ends before the follower's, and it knows no epoch that could tell where they part.
func TestFollowerBeyondTheLeader(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.produce(1, "t", AcksLeader, nil, "a", "b")
	w.produce(1, "t", AcksLeader, nil, "c")
	w.settle()
	w.brokers[1].kill()
	if err := w.brokers[1].fs.RemoveAll("/d/t-0"); err != nil { // its disk was wiped, and it is made the leader
		t.Fatal(err)
	}
	w.change(elect("t", 1, 1))
	w.brokers[1].start()
	w.produce(1, "t", AcksLeader, nil, "x")
	w.settle()
	w.same("t", []string{"x@1"}, 1, 2)
	w.isr("t", 1, 2)
}

// A wait for a commit in an epoch that is over is not answered by what took the place of the records.
func TestAwaitedOffsetIsRewritten(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	info := w.produce(1, "t", AcksAll, nil, "a")
	w.change(elect("t", 2, 2))
	w.deliver(1, 2)
	w.produce(2, "t", AcksLeader, nil, "b")
	w.settle()
	w.publish(elect("t", 1))
	w.settle()
	w.same("t", []string{"b@1"}, 1, 2)
	var got error
	w.partition(1, "t").AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) { got = err })
	wantErr(t, "an offset of an older epoch that is committed now", got, ErrNotLeader)
}
