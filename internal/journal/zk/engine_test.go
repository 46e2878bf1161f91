package zk

import (
	"fmt"
	"testing"

	"gregor/internal/journal"
)

func TestOneNode(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	if st := a.engine.Status(); st.Leader != 1 || st.Epoch != 1 || st.EndOffset != 0 {
		t.Fatalf("status %+v", st)
	}
	if addr, ok := a.engine.Endpoint(1); !ok || addr != "host1:9092" {
		t.Fatalf("endpoint %q", addr)
	}
	last := int64(0)
	for i := range 1000 {
		last = a.mustAppend(fmt.Sprintf("first %d", i), fmt.Sprintf("second %d", i))
	}
	w.all(last, a)
	if n := a.link.requests(); n > 400 {
		t.Errorf("1000 batches took %d requests: they are not grouped", n)
	}
	for _, c := range []struct {
		epoch  int32
		offset int64
		want   error
	}{{0, 2000, journal.ErrNotLeader}, {2, 2000, journal.ErrNotLeader}, {1, 1999, journal.ErrUnexpectedOffset}, {1, 2001, journal.ErrUnexpectedOffset}} {
		if err := a.engine.Append(c.epoch, c.offset, 1, [][]byte{{1}}); !is(err, c.want) {
			t.Errorf("append at epoch %d, offset %d: %v, want %v", c.epoch, c.offset, err, c.want)
		}
	}
	if err := a.engine.Append(1, 2000, 1, [][]byte{make([]byte, journal.MaxBatchBytes)}); !is(err, journal.ErrTooLarge) {
		t.Errorf("append of too much: %v", err)
	}
	a.close()
	if err := a.engine.Append(1, 2000, 1, [][]byte{{1}}); !is(err, journal.ErrClosed) {
		t.Errorf("append after the end: %v", err)
	}

	b := w.join(1)
	w.leader(b)
	w.all(last, b)
	if st := b.engine.Status(); st.Epoch != 2 || st.EndOffset != 2000 || st.Committed != 2000 {
		t.Fatalf("status %+v", st)
	}
	b.mustAppend("and on")
	w.all(2000, b)
	w.check()
}

func TestThreeNodes(t *testing.T) {
	w := newWorld(t)
	w.inFlight = 1
	members := []*member{w.join(1), w.join(2), w.join(3)}
	last := int64(-1)
	for round := range int32(3) {
		l := w.leader(members...)
		for i := range 50 {
			last = l.mustAppend(fmt.Sprintf("round %d, %d", round, i))
		}
		w.all(last, members...)
		for _, m := range without(l, members...) {
			w.until("all know the leader", func() bool { return m.engine.Status().Leader == l.id })
			if addr, ok := m.engine.Endpoint(l.id); !ok || addr != fmt.Sprintf("host%d:9092", l.id) {
				t.Errorf("endpoint of %d on %d: %q", l.id, m.id, addr)
			}
			if _, ok := m.engine.Endpoint(m.id); ok {
				t.Errorf("node %d is no leader and has an endpoint", m.id)
			}
			if m.leads() {
				t.Errorf("both %d and %d lead", l.id, m.id)
			}
		}
		if round < 2 {
			l.close()
			members = without(l, members...)
		}
	}
	w.check()
}
