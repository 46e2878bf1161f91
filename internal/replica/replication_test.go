package replica

import (
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
