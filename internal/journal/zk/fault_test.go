package zk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"gregor/internal/journal"

	gozk "github.com/go-zookeeper/zk"
)

// holds has a write to a path in it. Frames carry paths as they are.
func holds(path string) func([]byte) bool {
	return func(frame []byte) bool { return opOf(frame) == opMultiCode && bytes.Contains(frame, []byte(path)) }
}

// TestSessionExpires: who leads by a session that has ended appends nothing any more, another one leads, and what was
// registered is there again.
func TestSessionExpires(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(1), w.join(2)
	for _, m := range []*member{a, b} {
		if err := m.client.Register(t.Context(), BrokerInfo{ID: m.id}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		l := w.settled(a, b)
		epoch := l.engine.Status().Epoch
		registered := w.stat(brokerPath(l.id))
		l.expire()
		w.until("the leader knows", func() bool {
			_, err := l.append("after")
			return isNotLeader(err)
		})
		w.until("registered again", func() bool {
			found, stat, _ := w.plain.Exists(w.path(brokerPath(l.id)))
			return found && stat.EphemeralOwner != registered.EphemeralOwner
		})
		if now := w.settled(a, b).engine.Status().Epoch; now <= epoch {
			t.Errorf("epoch %d after %d", now, epoch)
		}
	}
	w.check()
}

func (w *world) stat(p string) *gozk.Stat {
	w.t.Helper()
	w.sync()
	found, stat, err := w.plain.Exists(w.path(p))
	if err != nil || !found {
		w.t.Fatalf("znode %s: %v, %v", p, found, err)
	}
	return stat
}

// TestExpiredAtOnce: from the moment that a session has ended nothing is appended, whatever the engine is busy with.
func TestExpiredAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	epoch := a.engine.Status().Epoch
	a.told.mu.Lock() // the engine waits for its handler
	if err := a.engine.Append(epoch, 0, 1, [][]byte{{1}}); err != nil {
		t.Fatal(err)
	}
	w.until("the engine hands it over", func() bool { return a.engine.Status().Committed == 1 })
	a.client.mu.Lock()
	s := a.client.current
	a.client.mu.Unlock()
	a.expire()
	<-s.over
	err := a.engine.Append(epoch, 1, 1, [][]byte{{2}})
	a.told.mu.Unlock()
	if !isNotLeader(err) {
		t.Errorf("after the end of the session: %v", err)
	}
	w.settled(a)
	w.check()
}

// TestPausedLeader: a leader that is held up, and deposed meanwhile, cannot write when it goes on, whether the new leader
// has written in the same place or not.
func TestPausedLeader(t *testing.T) {
	for _, c := range []struct{ sessionEnds, written bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("session ends %v, written %v", c.sessionEnds, c.written), func(t *testing.T) {
			w := newWorld(t)
			members := []*member{w.join(1), w.join(2), w.join(3)}
			for range 3 {
				a := w.settled(members...)
				others := without(a, members...)
				a.link.set(false, true)
				lost := a.mustAppend("while it is held up")
				if c.sessionEnds {
					a.expire()
				} else {
					for _, m := range others {
						m.engine.PeerGone(a.id)
					}
				}
				l := w.leader(others...)
				if c.written {
					l = w.settled(others...)
					for i := range 5 {
						w.all(l.mustAppend(fmt.Sprint("of the new leader ", i)), others...)
					}
				}
				// It still believes, and writes on.
				if !a.leads() {
					t.Fatal("the paused leader heard of it, so this is no test")
				}
				a.mustAppend("more")
				a.link.set(false, false)
				w.until("the old leader follows", func() bool { return !a.leads() && a.engine.Status().Leader == l.id })
				last := l.mustAppend("after")
				w.all(last, members...)
				if v := a.value(lost); strings.Contains(v, "held up") {
					t.Fatalf("offset %d is %q: a deposed leader wrote it", lost, v)
				}
			}
			w.check()
		})
	}
}

// TestUnknownOutcome: the connection breaks while a multi is on its way, before or after ZooKeeper got it.
func TestUnknownOutcome(t *testing.T) {
	for _, c := range []struct {
		name string
		fits func([]byte) bool
	}{
		{"election", holds(controllerPath + "\x00")}, {"append", holds(headPath)}, {"part", holds(logPath)},
	} {
		for _, v := range []verdict{loseAnswer, loseIt} {
			t.Run(fmt.Sprint(c.name, " ", v), func(t *testing.T) {
				w := newWorld(t)
				a := w.connect(1)
				if c.name == "election" {
					a.link.once(v, func(f []byte) bool {
						return opOf(f) == opMultiCode && bytes.Contains(f, []byte(`"brokerid"`))
					})
				}
				a.open()
				b := w.join(2)
				w.leader(a, b)
				for i := range 5 {
					l := w.leader(a, b)
					if c.name != "election" {
						l.link.once(v, c.fits)
					}
					last := l.mustAppend(fmt.Sprint("value ", i))
					if i%2 == 0 && c.name == "part" {
						last = l.mustAppend(strings.Repeat("x", 2<<20) + strconv.Itoa(i))
					}
					w.all(last, a, b)
				}
				if st := w.leader(a, b).engine.Status(); st.Epoch != 1 {
					t.Errorf("epoch %d: a connection that broke is no reason for an election", st.Epoch)
				}
				w.check()
			})
		}
	}
}

// TestDeadLeader: its session lives on, and it is taken over because its process is known to be dead, or is a new one of
// the same node.
func TestDeadLeader(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	b := w.join(2)
	w.all(a.mustAppend("of the first"), a, b)
	w.until("the leader is known", func() bool { return b.engine.Status().Leader == 1 })
	b.engine.PeerGone(2)
	b.engine.PeerGone(7)
	b.engine.Campaign()
	w.all(a.mustAppend("nobody is gone"), a, b)
	if b.leads() {
		t.Fatal("it took over from a leader that lives")
	}
	a.kill()
	b.engine.PeerGone(1)
	w.leader(b)
	w.all(b.mustAppend("of the second"), b)
	b.kill()
	b2 := w.join(2)
	w.leader(b2)
	w.all(b2.mustAppend("of the second again"), b2)

	// A process of the same id with other directories says nothing of the one that leads. Its registration does.
	c := w.connect(2)
	c.directory = "another"
	c.open()
	for i := range 20 {
		w.all(b2.mustAppend(fmt.Sprint("still there ", i)), b2, c)
	}
	if c.leads() || c.engine.Status().Leader != -1 {
		t.Fatalf("a second process with the same id took over: %+v", c.engine.Status())
	}
	b2.kill()
	if err := c.client.Register(t.Context(), BrokerInfo{ID: 2}); err != nil {
		t.Fatal(err)
	}
	w.leader(c)
	w.all(c.mustAppend("of the third"), c)
	w.check()
}

// TestHeadGoesBack: a ZooKeeper that is not the one that it was ends the journal, rather than to lose what was committed.
func TestHeadGoesBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(1), w.join(2)
	l := w.settled(a, b)
	old, _, err := w.plain.Get(w.path(headPath))
	if err != nil {
		t.Fatal(err)
	}
	w.all(l.mustAppend("later"), a, b)
	if _, err := w.plain.Set(w.path(headPath), old, -1); err != nil {
		t.Fatal(err)
	}
	_, _ = l.append("on what is gone")
	for _, m := range []*member{a, b} {
		w.until("an end", func() bool { return m.failure() != nil })
		if err := m.failure(); !is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), "went back") {
			t.Errorf("failed with %v", err)
		}
	}
}

// TestOperator: what people may delete or change, and what not.
func TestOperator(t *testing.T) {
	w := newWorld(t)
	members := []*member{w.join(1), w.join(2), w.join(3)}
	w.all(w.leader(members...).mustAppend("first"), members...)
	for i, meddle := range []func() error{
		func() error { return w.plain.Delete(w.path(controllerPath), -1) },
		func() error { _, err := w.plain.Set(w.path(controllerEpochPath), []byte("41"), -1); return err },
		func() error { _, err := w.plain.Set(w.path(controllerEpochPath), []byte("nonsense"), -1); return err },
		func() error { return w.plain.Delete(w.path(controllerEpochPath), -1) },
		func() error { _, err := w.plain.Set(w.path(controllerPath), []byte("nonsense"), -1); return err },
	} {
		l := w.leader(members...)
		epoch := l.engine.Status().Epoch
		if err := meddle(); err != nil {
			t.Fatal(err)
		}
		// What is appended now may be lost, if the election was meddled with.
		w.until(fmt.Sprintf("meddling %d is over", i), func() bool {
			l := w.leader(members...)
			last, err := l.append(fmt.Sprint("meddled ", i))
			if err != nil {
				return false
			}
			w.until("an outcome", func() bool { return l.has(last) || !l.leads() })
			return l.has(last)
		})
		if now := w.leader(members...).engine.Status().Epoch; now < epoch {
			t.Errorf("epoch %d after %d", now, epoch)
		}
	}
	w.all(w.leader(members...).mustAppend("last"), members...)
	w.check()

	if err := w.plain.Delete(w.path(headPath), -1); err != nil {
		t.Fatal(err)
	}
	_, _ = w.leader(members...).append("into the void")
	for _, m := range members {
		w.until("the end", func() bool {
			_ = w.plain.Delete(w.path(controllerPath), -1)
			return m.failure() != nil
		})
		if err := m.failure(); !strings.Contains(err.Error(), headPath) {
			t.Errorf("failed with %v, which does not name the znode", err)
		}
	}
}

// TestResign: leadership goes to another node, with everything that was appended.
func TestResign(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	if err := a.engine.Resign(t.Context()); err != nil || !a.leads() {
		t.Fatalf("alone: %v", err)
	}
	b := w.join(2)
	for _, m := range []*member{a, b} {
		if err := m.client.Register(t.Context(), BrokerInfo{ID: m.id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.engine.Resign(t.Context()); err != nil || b.leads() {
		t.Fatalf("who does not lead: %v", err)
	}
	for i := range 200 {
		a.mustAppend(fmt.Sprint("value ", i))
	}
	last := make(chan int64, 1)
	go func() { // until it is refused, and for the right reason: another one has the controller give up
		for i := 0; ; i++ {
			if _, err := a.append(fmt.Sprint("meanwhile ", i)); err != nil {
				if !isNotLeader(err) {
					t.Error(err)
				}
				a.told.mu.Lock()
				defer a.told.mu.Unlock()
				last <- a.told.next - 1
				return
			}
		}
	}()
	if err := a.engine.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.leader(b)
	w.all(<-last, a, b) // also what came in after Resign
	w.all(b.mustAppend("on"), a, b)
	w.check()
}

// TestFaults: at random, with a seed: connections break, are held up, sessions end, processes are said to be dead,
// /controller is deleted, nodes end and come back.
func TestFaults(t *testing.T) {
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	members := []*member{w.join(1), w.join(2), w.join(3)}
	written := map[int64]string{} // what a leader was told to be committed
	next := 0
	steps := 60
	if testing.Short() {
		steps = 20
	}
	for step := range steps {
		m := members[r.IntN(len(members))]
		switch r.IntN(14) {
		case 0:
			m.link.cut()
		case 1:
			m.link.set(false, true)
		case 2:
			_ = m.link.expire(firstServer(w))
		case 3:
			m.engine.PeerGone(m.engine.Status().Leader)
		case 4:
			_ = w.plain.Delete(w.path(controllerPath), -1)
		case 5:
			m.link.once(verdict(r.IntN(3)), holds(headPath))
		case 6:
			m.link.set(true, false)
		case 7:
			i := int(m.id) - 1
			m.kill()
			for _, o := range members {
				o.link.set(false, false)
			}
			members[i] = w.join(m.id)
		}
		if step%5 == 4 {
			for _, o := range members {
				o.link.set(false, false)
			}
			w.settled(members...)
		}
		for _, m := range members {
			for range r.IntN(4) {
				next++
				text := fmt.Sprintf("value %d of node %d", next, m.id)
				if next%17 == 0 {
					text += strings.Repeat("x", maxZnodeBytes+r.IntN(maxZnodeBytes))
				}
				_, _ = m.append(text) // who is told that it leads, and does not, loses count: it is refused
			}
			m.told.mu.Lock()
			for offset, v := range m.told.values {
				written[offset] = v
			}
			m.told.mu.Unlock()
		}
	}
	for _, m := range members {
		m.link.judge(nil)
		m.link.set(false, false)
	}
	l := w.settled(members...)
	end := l.engine.Status().Committed - 1
	fresh := w.join(9)
	w.all(end, append(members, fresh)...)
	for offset, v := range written {
		if got := fresh.value(offset); got != v {
			t.Errorf("offset %d was committed as %.60q, it is %.60q", offset, v, got)
		}
	}
	t.Logf("%d batches of %d were committed, epoch %d", end+1, next, l.engine.Status().Epoch)
	w.check()
	for _, m := range members {
		if err := m.failure(); err != nil {
			t.Error(err)
		}
	}
}
