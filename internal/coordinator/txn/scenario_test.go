package txn

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"gregor/internal/coordinator"
)

// TestScenarios plays the stories in testdata. A line is one command; below it stand the records it writes, the markers that
// go out, the replies, to whom (requests are numbered), and the state of transactional id a afterwards. -rewrite writes them
// anew.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := &scenario{world: newWorld()}
		// The steps of a file state_X are not a story: each begins anew with what was given.
		each := strings.HasPrefix(filepath.Base(path), "state_")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			a := args{t, d}
			if d.Cmd == "given" {
				state, version := a.text("state", ""), a.number("v", 2)
				epoch := a.number("epoch", 0)
				s.start = func() { s.given(t, state, int16(version), int16(epoch)) }
			}
			if d.Cmd == "given" || each {
				s.world = newWorld()
				s.start()
				s.world.take()
			}
			return s.run(a)
		})
	})
}

type scenario struct {
	world *world
	start func() // brings about what was given
}

// args reads the arguments of a command, with defaults.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

func (a args) text(name, otherwise string) string {
	if arg, ok := a.d.Arg(name); ok && len(arg.Vals) > 0 {
		return arg.Vals[0]
	}
	return otherwise
}

func (a args) has(name string) bool {
	_, ok := a.d.Arg(name)
	return ok
}

func (a args) number(name string, otherwise int) int {
	s := a.text(name, "")
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		a.t.Fatalf("%s: %s: %v", a.d.Pos, name, err)
	}
	return n
}

func (a args) partitions(name string) (all []TopicPartition) {
	arg, _ := a.d.Arg(name)
	for _, v := range arg.Vals {
		topic, index, _ := strings.Cut(v, "/")
		n, err := strconv.Atoi(index)
		if err != nil {
			a.t.Fatalf("%s: %s: %v", a.d.Pos, v, err)
		}
		all = append(all, TopicPartition{topic, int32(n)})
	}
	return all
}

// producer reads "id/epoch"; without it, the present producer of the transactional id.
func (a args) producer(m *Machine, id string) Producer {
	s := a.text("as", "")
	if s == "" {
		if t := m.txns[id]; t != nil {
			return Producer{t.producerID, t.epoch}
		}
		return Producer{1, 0}
	}
	var p Producer
	if _, err := fmt.Sscanf(s, "%d/%d", &p.ID, &p.Epoch); err != nil {
		a.t.Fatalf("%s: %v", a.d.Pos, err)
	}
	return p
}

func (s *scenario) run(a args) string {
	w := s.world
	id := a.text("id", "a")
	switch a.d.Cmd {
	case "config":
		w.config.TransactionVersion = int16(a.number("level", int(w.config.TransactionVersion)))
		w.config.MaxBatchBytes = a.number("max-batch", w.config.MaxBatchBytes)
		w.config.IDExpirationMs = int64(a.number("expiration", int(w.config.IDExpirationMs)))
		w.config.ExpireIntervalMs = int64(a.number("expire-every", int(w.config.ExpireIntervalMs)))
		w.config.AbortIntervalMs = int64(a.number("abort-every", int(w.config.AbortIntervalMs)))
		w.elect()
		return ""
	case "given":
	case "init":
		var expected *Producer
		if a.has("as") {
			p := a.producer(w.m, id)
			expected = &p
		}
		timeoutMs := int32(a.number("timeout", 60_000))
		w.ask(func(newID int64) Event {
			return &initProducer{id: id, timeoutMs: timeoutMs, expected: expected, newID: newID}
		})
	case "add":
		p, partitions, version := a.producer(w.m, id), a.partitions("to"), int16(a.number("v", 2))
		w.ask(func(int64) Event {
			return &addPartitions{id: id, producer: p, partitions: partitions, version: version}
		})
	case "verify":
		p, partitions := a.producer(w.m, id), a.partitions("of")
		w.ask(func(int64) Event {
			return &addPartitions{id: id, producer: p, partitions: partitions, verifyOnly: true}
		})
	case "commit", "abort":
		p, version := a.producer(w.m, id), int16(a.number("v", 2))
		w.ask(func(newID int64) Event {
			return &endTxn{id: id, producer: p, commit: a.d.Cmd == "commit", version: version, newID: newID}
		})
	case "written": // the markers that were sent for id, or others that look like them
		m := &Markers{TransactionalID: id}
		if i := slices.IndexFunc(w.sent, func(m *Markers) bool { return m.TransactionalID == id }); i >= 0 && !a.has("others") {
			m = w.sent[i]
			w.sent = slices.Delete(w.sent, i, i+1)
		}
		w.ask(func(int64) Event { return &markersWritten{m} })
	case "describe":
		w.ask(func(int64) Event { return &describe{id} })
	case "list":
		f := filter{anyState: !a.has("state"), durationMs: int64(a.number("longer-than", -1))}
		if state, ok := stateNamed(a.text("state", "")); ok {
			f.states = append(f.states, state)
		}
		if a.has("producer") {
			f.producers = append(f.producers, int64(a.number("producer", 0)))
		}
		w.ask(func(int64) Event { return &list{f} })
	case "pass":
		w.pass(int64(a.number("ms", 0)))
	case "failover":
		if a.has("truncate") { // the new leader had not got what is not committed
			w.log = w.log[:w.committed]
		}
		w.hold = false
		w.elect()
	case "hold":
		w.hold = true
	case "release":
		w.hold = false
		w.advance()
	default:
		a.t.Fatalf("%s: unknown command %q", a.d.Pos, a.d.Cmd)
	}
	return w.take() + s.state(id)
}

// given brings about a state that stories begin with: transactional id a with producer 101, in a transaction with t-0 if it
// is one that has begun.
func (s *scenario) given(t *testing.T, state string, version, epoch int16) {
	w := s.world
	end := func(commit bool) {
		x := w.m.txns["a"]
		w.ask(func(newID int64) Event {
			return &endTxn{id: "a", producer: Producer{x.producerID, x.epoch}, commit: commit, version: version, newID: newID}
		})
	}
	written := func() {
		m := w.sent[0]
		w.sent = nil
		w.ask(func(int64) Event { return &markersWritten{m} })
	}
	if state == "None" {
		return
	}
	w.ask(func(newID int64) Event { return &initProducer{id: "a", timeoutMs: 60_000, newID: newID} })
	if epoch != 0 { // a producer that has come far
		x := w.m.txns["a"].stored
		x.epoch = epoch
		w.carryOut(&coordinator.Effects[Reply]{Records: []coordinator.Record{recordOf("a", &x, w.config.TransactionVersion)}})
	}
	if state == "Empty" {
		return
	}
	w.ask(func(int64) Event {
		return &addPartitions{id: "a", producer: Producer{101, epoch}, partitions: []TopicPartition{{"t", 0}}, version: version}
	})
	switch state {
	case "Ongoing":
	case "PrepareCommit", "PrepareAbort":
		end(state == "PrepareCommit")
	case "CompleteCommit", "CompleteAbort":
		end(state == "CompleteCommit")
		written()
	default:
		t.Fatalf("unknown state %q", state)
	}
}

// state is the line that ends each step.
func (s *scenario) state(id string) string {
	t := s.world.m.txns[id]
	if t == nil {
		return "unknown id\n"
	}
	line := t.stored.String()
	if t.lastEpoch != noProducerEpoch {
		line += fmt.Sprintf(", last epoch %d", t.lastEpoch)
	}
	return line + "\n"
}
