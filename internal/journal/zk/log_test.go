package zk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gregor/internal/journal"
	"gregor/internal/record"
)

// large is a batch of about 8 MB.
func large(of string) []string {
	values := make([]string, 8)
	for i := range values {
		values[i] = fmt.Sprintf("%s %d ", of, i) + strings.Repeat("x", 1<<20-100)
	}
	return values
}

// TestLargeBatch: a batch that takes many znodes is there as a whole or not at all, and what a dead leader began of one is
// swept away.
func TestLargeBatch(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(1), w.join(2)
	l := w.settled(a, b)
	l.mustAppend("before")
	w.all(l.mustAppend(large("first")...), a, b)
	w.all(l.mustAppend("after"), a, b)
	if n := w.stat(logPath).NumChildren; n < 16 {
		t.Fatalf("%d znodes hold more than 8 MB", n)
	}

	// The leader ends before its last znode, with which the batch would count.
	l.link.judge(func(frame []byte) verdict {
		if holds(headPath)(frame) {
			return loseIt
		}
		return deliver
	})
	whole := w.stat(logPath).NumChildren
	last := l.mustAppend(large("lost")...)
	other := without(l, a, b)[0]
	w.until("the parts", func() bool { return w.stat(logPath).NumChildren >= whole+31 })
	l.kill()
	other.engine.PeerGone(l.id)
	w.leader(other)
	if now := w.stat(logPath).NumChildren; now != whole {
		t.Errorf("%d znodes of the log, before the batch there were %d", now, whole)
	}
	w.all(other.mustAppend(large("second")...), other)
	if v := other.value(last); !strings.Contains(v, "second") {
		t.Errorf("offset %d is %q", last, v)
	}
	c := w.join(3)
	w.all(last, c)
	w.check()
}

// values is a snapshot's.
func values(texts ...string) func(func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		for _, v := range texts {
			if !yield([]byte(v), nil) {
				return
			}
		}
	}
}

func snapshotAt(m *member, offset int64, texts ...string) journal.Snapshot {
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	return journal.Snapshot{LastOffset: offset, Epoch: m.told.epoch, TimestampMs: 17, Values: values(texts...)}
}

// TestSnapshot: the log before a snapshot is trimmed, who joins late begins with the snapshot, and so does who fell behind.
func TestSnapshot(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(1), w.join(2)
	l := w.settled(a, b)
	other := without(l, a, b)[0]
	if err := other.engine.Save(t.Context(), snapshotAt(other, 0)); !isNotLeader(err) {
		t.Errorf("a snapshot of who does not lead: %v", err)
	}
	var state []string
	for i := range 3000 {
		state = append(state, fmt.Sprint("state ", i, strings.Repeat(" and more", 50)))
	}
	var last int64
	for i := range 30 {
		last = l.mustAppend(fmt.Sprint("value ", i))
		w.all(last, l)
	}
	w.all(last, a, b)
	other.link.set(false, true) // it falls behind
	before := w.stat(logPath).NumChildren
	at := last - 10
	if err := l.engine.Save(t.Context(), snapshotAt(l, at, state...)); err != nil {
		t.Fatal(err)
	}
	if now := w.stat(logPath).NumChildren; now >= before || now < 10 {
		t.Errorf("%d znodes of the log, before the snapshot %d", now, before)
	}
	if st := l.engine.Status(); st.Snapshot != at+1 || st.StartOffset != at+1 || st.EndOffset != last+1 {
		t.Errorf("status %+v", st)
	}
	// Older than, or the same as what there is: nothing happens. Newer than the log: an error.
	for _, old := range []int64{at - 1, at} {
		if err := l.engine.Save(t.Context(), snapshotAt(l, old, "older")); err != nil {
			t.Error(err)
		}
	}
	if err := l.engine.Save(t.Context(), snapshotAt(l, last+5, "newer")); err == nil {
		t.Error("a snapshot of what is not there was taken")
	}
	for i := range 10 {
		last = l.mustAppend(fmt.Sprint("later ", i))
		w.all(last, l)
	}
	at2 := last - 2
	state2 := append(slices.Clone(state), "newest")
	if err := l.engine.Save(t.Context(), snapshotAt(l, at2, state2...)); err != nil {
		t.Fatal(err)
	}
	if n := w.stat(snapshotsPath).NumChildren; n != 1 {
		t.Errorf("%d snapshots are kept", n)
	}
	c := w.join(3)
	w.all(last, c)
	other.link.set(false, false)
	w.all(last, other)
	for _, m := range []*member{c, other} {
		m.told.mu.Lock()
		if n := len(m.told.loaded); n != 1 || m.told.loaded[0].LastOffset != at2 || m.told.loaded[0].TimestampMs != 17 || !slices.Equal(m.told.state, state2) {
			t.Errorf("node %d: %d snapshots, %d values", m.id, n, len(m.told.state))
		}
		m.told.mu.Unlock()
	}
	// All of it: the log is empty then.
	if err := l.engine.Save(t.Context(), snapshotAt(l, last, "all")); err != nil {
		t.Fatal(err)
	}
	if n := w.stat(logPath).NumChildren; n != 0 {
		t.Errorf("%d znodes of the log are left", n)
	}
	w.all(w.settled(a, b, c).mustAppend("on"), a, b, c)
	d := w.join(4)
	w.all(last+1, d)
	w.check()
}

// TestSnapshotOfDeadLeader: a snapshot that was not finished does not count, and is swept away with the next one.
func TestSnapshotOfDeadLeader(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	last := a.mustAppend("first", "second")
	w.all(last, a)
	ctx, cancel := context.WithCancel(t.Context())
	snap := snapshotAt(a, last)
	snap.Values = func(yield func([]byte, error) bool) {
		for i := range 20 {
			if i == 10 {
				a.link.set(true, false) // before the end
				cancel()
			}
			if !yield(make([]byte, 200<<10), nil) {
				return
			}
		}
	}
	if err := a.engine.Save(ctx, snap); !errors.Is(err, context.Canceled) {
		t.Fatalf("saved: %v", err)
	}
	a.kill()
	if n := w.stat(snapshotsPath).NumChildren; n != 1 {
		t.Fatalf("%d snapshots, there should be half a one", n)
	}
	b := w.join(1)
	w.leader(b)
	w.all(last, b)
	if len(b.told.loaded) > 0 {
		t.Error("half a snapshot was loaded")
	}
	failing := snapshotAt(b, last)
	failing.Values = func(yield func([]byte, error) bool) {
		_ = yield(make([]byte, 600<<10), nil) && yield(nil, errors.New("cannot be read"))
	}
	if err := b.engine.Save(t.Context(), failing); err == nil {
		t.Error("a snapshot whose values cannot be read was saved")
	}
	if err := b.engine.Save(t.Context(), snapshotAt(b, last, "whole")); err != nil {
		t.Fatal(err)
	}
	if n := w.stat(snapshotsPath).NumChildren; n != 1 {
		t.Errorf("%d snapshots are kept", n)
	}
	w.all(b.mustAppend("on"), b)
	c := w.join(2)
	w.all(last+1, c)
	if !slices.Equal(c.told.state, []string{"whole"}) {
		t.Errorf("state %q", c.told.state)
	}
	w.check()
}

// TestDamage: what somebody deleted or changed is an error that names the znode, and never a gap.
func TestDamage(t *testing.T) {
	for name, damage := range map[string]func(w *world) string{
		"a znode is gone":     func(w *world) string { p := entryPath(3); _ = w.plain.Delete(w.path(p), -1); return p },
		"a byte is another":   func(w *world) string { return w.change(entryPath(3), func(b []byte) { b[len(b)-1] ^= 1 }) },
		"a length is another": func(w *world) string { w.change(entryPath(2), func(b []byte) { b[11]++ }); return entryPath(3) },
		"a length is huge":    func(w *world) string { return w.change(entryPath(2), func(b []byte) { b[8] = 0x7f }) },
		"a length is below 0": func(w *world) string { return w.change(entryPath(2), func(b []byte) { b[8] = 0xff }) },
		"a znode is empty": func(w *world) string {
			p := entryPath(2)
			_, _ = w.plain.Set(w.path(p), nil, -1)
			return "000000000000000000" // the batch behind it does not fit
		},
		"the head is no JSON": func(w *world) string { return w.change(headPath, func(b []byte) { b[0] = 'x' }) },
		"the head goes on":    func(w *world) string { return w.replace(headPath, `"endOffset":`, `"endOffset":1`) },
		"a newer release":     func(w *world) string { return w.replace(headPath, `"version":1`, `"version":2`) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.join(1)
			w.leader(a)
			for i := range 5 {
				w.all(a.mustAppend(fmt.Sprint("value ", i)), a)
			}
			a.close()
			named := damage(w)
			b := w.join(2)
			w.until("an end", func() bool { return b.failure() != nil })
			if err := b.failure(); !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), named) {
				t.Errorf("failed with %v, which is not corrupt or does not name %s", err, named)
			}
			w.check()
		})
	}
}

func (w *world) change(p string, f func([]byte)) string {
	w.t.Helper()
	data, _, err := w.plain.Get(w.path(p))
	if err == nil {
		f(data)
		_, err = w.plain.Set(w.path(p), data, -1)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) replace(p, old, with string) string {
	w.t.Helper()
	data, _, err := w.plain.Get(w.path(p))
	if err == nil {
		_, err = w.plain.Set(w.path(p), bytes.Replace(data, []byte(old), []byte(with), 1), -1)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func FuzzHead(f *testing.F) {
	f.Add(firstHead().encode())
	f.Add(head{Epoch: 3, First: 4, Last: 9, EndOffset: 17, Snapshot: &snapshotRef{Name: "a", LastOffset: 11, Chunks: 2, Bytes: 4}}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseHead(data)
		if err != nil {
			return
		}
		again, err := parseHead(h.encode())
		if err != nil || !bytes.Equal(again.encode(), h.encode()) {
			t.Fatalf("%s becomes %s: %v", h.encode(), again.encode(), err)
		}
	})
}

// FuzzEntries feeds znodes of the log to who reads them.
func FuzzEntries(f *testing.F) {
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(1, nil, []byte("one"))
	b.Append(1, nil, []byte("two"))
	one := b.Build()
	f.Add([]byte(one), []byte{})
	f.Add([]byte(one[:70]), []byte(one[70:]))
	f.Add([]byte("nothing of the sort"), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		e := &Engine{c: &Client{}}
		rest, batches, err := e.decode(first, 1, nil)
		if err != nil {
			return
		}
		if _, batches, err = e.decode(append(rest, second...), 2, batches); err != nil {
			return
		}
		next := int64(0)
		for _, b := range batches {
			if b.Offset != next || b.LastOffset < b.Offset {
				t.Fatalf("batch %d to %d after %d", b.Offset, b.LastOffset, next)
			}
			next = b.LastOffset + 1
		}
	})
}
