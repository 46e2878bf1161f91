package txn

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gregor/internal/coordinator"
)

// TestRandomHistories plays producers with the same few transactional ids against a machine, with delays, commits that are
// held back and moves of the coordinator, and checks after each step that
//   - a machine that replays the log has the same hard state, wherever the log is cut;
//   - a producer id and epoch is given to one producer only, and nobody writes with an older one afterwards;
//   - the markers of a transaction name each partition that was added to it, and one outcome, the one its client was told.
//
// In the end all markers are written, time passes, and no transaction is left open.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, w: newWorld(), newest: map[string]Producer{}}
		h.w.config.IDExpirationMs, h.w.config.ExpireIntervalMs = 400_000, 100_000
		h.w.config.TransactionVersion = rapid.SampledFrom([]int16{0, 1, 2}).Draw(t, "level")
		for i := range h.producers {
			h.producers[i] = &producer{id: []string{"a", "b"}[i%2], version: rapid.SampledFrom([]int16{0, 2}).Draw(t, "version")}
			if h.w.config.TransactionVersion < epochBump {
				h.producers[i].version = 0
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"":          func(*rapid.T) { h.check() },
			"init":      h.init,
			"add":       h.add,
			"end":       h.end,
			"written":   h.written,
			"exhaust":   h.exhaust,
			"pass":      func(t *rapid.T) { h.w.pass(rapid.Int64Range(0, 40_000).Draw(t, "ms")) },
			"pass long": func(t *rapid.T) { h.w.pass(h.w.config.IDExpirationMs) },
			"hold":      func(*rapid.T) { h.w.hold = true },
			"release":   func(*rapid.T) { h.release() },
			"failover":  h.failover,
		})
		h.release()
		for range 3 {
			for len(h.w.sent) > 0 {
				h.writeFirst()
			}
			h.w.pass(100_000)
		}
		for id, x := range h.w.m.txns {
			if x.state == Ongoing || x.state.preparing() {
				t.Fatalf("%s is left %s", id, x.state)
			}
		}
	})
}

// producer is a client. It knows what it was told.
type producer struct {
	id         string
	version    int16
	is         Producer
	ready      bool
	partitions []TopicPartition // added and acknowledged in the present transaction
}

type history struct {
	t         *rapid.T
	w         *world
	producers [4]*producer
	newest    map[string]Producer // given out, by transactional id
}

func (h *history) draw(t *rapid.T) *producer {
	return rapid.SampledFrom(h.producers[:]).Draw(t, "producer")
}

// reply is the answer to a token, nil if there is none yet.
func (h *history) reply(token coordinator.Token) Reply { return h.w.answered[token] }

// given takes note of a producer id and epoch that somebody got.
func (h *history) given(id string, p Producer) {
	old, ok := h.newest[id]
	if ok && old.ID == p.ID && p.Epoch < old.Epoch {
		h.t.Fatalf("%s: epoch %d of producer %d was given after epoch %d", id, p.Epoch, p.ID, old.Epoch)
	}
	h.newest[id] = p
}

func (h *history) init(t *rapid.T) {
	p := h.draw(t)
	var expected *Producer
	if p.ready && rapid.Bool().Draw(t, "goes on") {
		is := p.is
		expected = &is
	}
	r, _ := h.reply(h.w.ask(func(newID int64) Event {
		return &initProducer{id: p.id, timeoutMs: 30_000, expected: expected, newID: newID}
	})).(initReply)
	p.partitions = nil
	if r.producer.ID == 0 || r.err != nil { // refused, or nobody knows
		p.ready = p.ready && expected != nil
		return
	}
	if expected == nil {
		for _, other := range h.producers {
			if other != p && other.id == p.id && other.ready && other.is == r.producer {
				t.Fatalf("%s: producer %v was given twice", p.id, r.producer)
			}
		}
	}
	p.is, p.ready = r.producer, true
	h.given(p.id, p.is)
}

func (h *history) add(t *rapid.T) {
	p := h.draw(t)
	if !p.ready {
		return
	}
	to := []TopicPartition{{"t", rapid.Int32Range(0, 3).Draw(t, "partition")}}
	r, ok := h.reply(h.w.ask(func(int64) Event {
		return &addPartitions{id: p.id, producer: p.is, partitions: to, version: p.version}
	})).(addReply)
	if !ok || r.err != nil {
		return
	}
	if newest := h.newest[p.id]; newest != p.is {
		t.Fatalf("%s: producer %v wrote though %v was given", p.id, p.is, newest)
	}
	p.partitions = union(p.partitions, to)
}

func (h *history) end(t *rapid.T) {
	p := h.draw(t)
	if !p.ready || p.version == 0 && len(p.partitions) == 0 {
		return
	}
	commit := rapid.Bool().Draw(t, "commit")
	before, partitions := p.is, p.partitions
	sent := len(h.w.sent)
	r, ok := h.reply(h.w.ask(func(newID int64) Event {
		return &endTxn{id: p.id, producer: before, commit: commit, version: p.version, newID: newID}
	})).(endReply)
	if !ok || r.err != nil {
		p.partitions = nil
		p.ready = p.ready && ok // who got no answer begins anew
		return
	}
	if len(partitions) > 0 && len(h.w.sent) > sent {
		m := h.w.sent[len(h.w.sent)-1]
		if m.Commit != commit {
			t.Fatalf("%s was told commit=%v, the markers say %v", p.id, commit, m.Commit)
		}
		for _, want := range partitions {
			if !slices.Contains(m.Partitions, want) {
				t.Fatalf("%s: %v was added to the transaction and gets no marker: %v", p.id, want, m.Partitions)
			}
		}
	} else if len(partitions) > 0 && commit && len(h.w.sent) == sent {
		t.Fatalf("%s was told that it is committed, and nobody is to write the markers", p.id)
	}
	p.partitions = nil
	if p.version >= epochBump {
		p.is = r.producer
		h.given(p.id, p.is)
	}
}

func (h *history) writeFirst() {
	m := h.w.sent[0]
	h.w.sent = h.w.sent[1:]
	h.w.ask(func(int64) Event { return &markersWritten{m} })
}

func (h *history) written(*rapid.T) {
	if len(h.w.sent) > 0 {
		h.writeFirst()
	}
}

// exhaust has a producer come near the end of its epochs, while it does nothing.
func (h *history) exhaust(t *rapid.T) {
	x := h.w.m.txns["a"]
	if x == nil || !x.state.mayExpire() || h.w.hold || x.epoch > 32_000 {
		return
	}
	s := x.stored
	s.epoch = 32_767 - rapid.Int16Range(1, 4).Draw(t, "left")
	x.lastEpoch = noProducerEpoch
	h.w.carryOut(&coordinator.Effects[Reply]{Records: []coordinator.Record{recordOf("a", &s, h.w.config.TransactionVersion)}})
	h.newest["a"] = Producer{s.producerID, s.epoch}
	for _, p := range h.producers {
		if p.id == "a" {
			p.ready, p.partitions = false, nil
		}
	}
}

func (h *history) release() {
	h.w.hold = false
	h.w.advance()
}

func (h *history) failover(t *rapid.T) {
	if rapid.Bool().Draw(t, "truncate") {
		h.w.log = h.w.log[:h.w.committed]
	}
	h.w.hold = false
	h.w.elect()
	h.w.committed = len(h.w.log)
	for _, p := range h.producers {
		if x := h.w.m.txns[p.id]; x != nil && !h.w.hold {
			// What was given and not told may be gone, or have come true.
			h.newest[p.id] = Producer{x.producerID, x.epoch}
		}
	}
}

func (h *history) check() {
	w := h.w
	if got, want := hardState(replayed(func() Config { return w.config }, w.log)), hardState(w.m); got != want {
		h.t.Fatalf("a replay gives\n%s, the machine has\n%s", got, want)
	}
	for id, x := range w.m.txns {
		if x.state.preparing() != (len(x.partitions) > 0 && x.state != Ongoing) {
			h.t.Fatalf("%s is %s with partitions %v", id, x.state, x.partitions)
		}
		if !w.hold && x.state.preparing() && !slices.ContainsFunc(w.sent, func(m *Markers) bool { return m == x.sent }) {
			h.t.Fatalf("%s is %s, and no markers were sent", id, x.state)
		}
		if !w.hold && x.nextID < 0 { // a timeout raises it, too
			h.newest[id] = Producer{x.producerID, x.epoch}
		}
	}
}
