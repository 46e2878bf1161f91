package txn

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// world runs one machine over a log in memory, with a clock of its own: what the shell does, one step at a time.
type world struct {
	config Config
	m      *Machine
	now    int64
	log    []coordinator.Record

	hold      bool // appended records are not committed
	committed int  // records
	waiting   []coordinator.Reply[Reply]
	outgoing  []outgoing
	sent      []*Markers // and not forgotten since by a move of the coordinator

	token    coordinator.Token
	nextID   int64
	asked    map[coordinator.Token]func(newID int64) Event // events that may need a producer id
	answered map[coordinator.Token]Reply
	told     map[coordinator.Token]bool // answered with nil
	story    strings.Builder            // what happened since the last take
}

type outgoing struct {
	at      int // records that have to be committed first
	markers *Markers
}

func newWorld() *world {
	w := &world{
		config: DefaultConfig(), now: 1_000_000, nextID: 100,
		asked: map[coordinator.Token]func(int64) Event{}, answered: map[coordinator.Token]Reply{}, told: map[coordinator.Token]bool{},
	}
	w.elect()
	return w
}

// elect replays the log into a new machine.
func (w *world) elect() {
	w.m = replayed(func() Config { return w.config }, w.log)
	w.waiting, w.outgoing, w.sent = nil, nil, nil
	var out coordinator.Effects[Reply]
	w.m.Elected(w.now, &out)
	w.carryOut(&out)
}

func replayed(config func() Config, log []coordinator.Record) *Machine {
	m := NewMachine(config, nil)
	for i, r := range log {
		m.Apply(int64(i+1), r)
	}
	return m
}

// ask submits an event, again with a producer id if it needs one, and returns the token that its reply will have.
func (w *world) ask(event func(newID int64) Event) coordinator.Token {
	w.token++
	w.asked[w.token] = event
	w.decide(w.token, event(noProducerID))
	return w.token
}

func (w *world) decide(t coordinator.Token, e Event) {
	var out coordinator.Effects[Reply]
	w.m.Decide(t, e, w.now, &out)
	w.carryOut(&out)
}

func (w *world) carryOut(out *coordinator.Effects[Reply]) {
	for _, r := range out.Records {
		fmt.Fprintf(&w.story, "record  %s\n", describeRecord(r))
		w.log = append(w.log, coordinator.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), ProducerID: r.ProducerID})
		w.m.Apply(int64(len(w.log)), r)
	}
	for _, body := range out.Outgoing {
		w.outgoing = append(w.outgoing, outgoing{len(w.log), body.(*Markers)})
	}
	for _, r := range out.Replies {
		w.waiting = append(w.waiting, r)
		if r.Early {
			w.waiting = w.waiting[:len(w.waiting)-1]
			w.answer(r)
		}
	}
	w.advance()
}

// advance commits what was appended, answers and sends, unless commits are held.
func (w *world) advance() {
	if w.hold && w.committed < len(w.log) {
		return
	}
	w.committed = len(w.log)
	w.m.Committed(int64(w.committed))
	waiting, outgoing := w.waiting, w.outgoing
	w.waiting, w.outgoing = nil, nil
	for _, r := range waiting {
		w.answer(r)
	}
	for _, o := range outgoing {
		w.sent = append(w.sent, o.markers)
		fmt.Fprintf(&w.story, "send    %s\n", describeMarkers(o.markers))
	}
}

func (w *world) answer(r coordinator.Reply[Reply]) {
	if w.answered[r.To] != nil || w.told[r.To] {
		panic(fmt.Sprintf("request %d answered twice", r.To))
	}
	if _, needs := r.Body.(needsID); needs {
		w.nextID++
		w.decide(r.To, w.asked[r.To](w.nextID))
		return
	}
	w.answered[r.To] = r.Body
	w.told[r.To] = r.Body == nil
	if text := describeReply(r.Body); text != "" {
		fmt.Fprintf(&w.story, "reply %d %s\n", r.To, text)
	}
}

// pass lets time go by, timer after timer.
func (w *world) pass(ms int64) {
	end := w.now + ms
	for {
		at, ok := w.m.Deadline()
		if !ok || at > end {
			break
		}
		w.now = max(w.now, at)
		var out coordinator.Effects[Reply]
		w.m.Tick(w.now, &out)
		w.carryOut(&out)
	}
	w.now = end
}

func (w *world) take() string {
	s := w.story.String()
	w.story.Reset()
	return s
}

func describeRecord(r coordinator.Record) string {
	id, s, err := decode(r.Key, r.Value)
	switch {
	case err != nil:
		return err.Error()
	case s == nil:
		return id + ": deleted"
	}
	return id + ": " + s.String()
}

func (s *stored) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, producer %d/%d", s.state, s.producerID, s.epoch)
	if s.previousID != s.producerID {
		fmt.Fprintf(&b, " after %d", s.previousID)
	}
	if s.nextID != noProducerID {
		fmt.Fprintf(&b, " before %d", s.nextID)
	}
	if len(s.partitions) > 0 {
		fmt.Fprintf(&b, ", %s", describePartitions(s.partitions))
	}
	if s.version != 0 {
		fmt.Fprintf(&b, ", version %d", s.version)
	}
	return b.String()
}

func describePartitions(ps []TopicPartition) string {
	var all []string
	for _, p := range ps {
		all = append(all, fmt.Sprintf("%s-%d", p.Topic, p.Partition))
	}
	return strings.Join(all, " ")
}

func describeMarkers(m *Markers) string {
	what := "abort"
	if m.Commit {
		what = "commit"
	}
	return fmt.Sprintf("%s of %s, producer %d/%d, version %d: %s", what, m.TransactionalID, m.Producer.ID, m.Producer.Epoch, m.TransactionVersion,
		describePartitions(m.Partitions))
}

func errorName(err *kerr.Error) string {
	if err != nil {
		return err.Message
	}
	return "ok"
}

func describeReply(r Reply) string {
	var b strings.Builder
	switch r := r.(type) {
	case nil:
	case initReply:
		fmt.Fprintf(&b, "init: %s", errorName(r.err))
		if r.err == nil {
			fmt.Fprintf(&b, ", producer %d/%d", r.producer.ID, r.producer.Epoch)
		}
	case addReply:
		fmt.Fprintf(&b, "add: %s", errorName(r.err))
		if r.missing != nil {
			fmt.Fprintf(&b, ", missing %v", r.missing)
		}
	case endReply:
		fmt.Fprintf(&b, "end: %s", errorName(r.err))
		if r.err == nil {
			fmt.Fprintf(&b, ", producer %d/%d", r.producer.ID, r.producer.Epoch)
		}
	case *kmsg.DescribeTransactionsResponseTransactionState:
		fmt.Fprintf(&b, "describe: %s", r.TransactionalID)
		if r.ErrorCode != 0 {
			return b.String() + " " + kerr.ErrorForCode(r.ErrorCode).(*kerr.Error).Message
		}
		fmt.Fprintf(&b, " is %s, producer %d/%d, timeout %d, since %d", r.State, r.ProducerID, r.ProducerEpoch, r.TimeoutMillis, r.StartTimestamp)
		for _, t := range r.Topics {
			fmt.Fprintf(&b, ", %s %d", t.Topic, t.Partitions)
		}
	case []kmsg.ListTransactionsResponseTransactionState:
		b.WriteString("list:")
		for _, t := range r {
			fmt.Fprintf(&b, " %s(%d %s)", t.TransactionalID, t.ProducerID, t.TransactionState)
		}
	default:
		return fmt.Sprintf("%T", r)
	}
	return b.String()
}

// hardState is what a machine must have again after a replay of its log.
func hardState(m *Machine) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(m.txns)) {
		s := m.txns[id].stored
		fmt.Fprintf(&b, "%s: %s, timeout %d, start %d, update %d, ongoing %v\n", id, &s, s.timeoutMs, s.startMs, s.updateMs, m.ongoing[id] != nil)
	}
	return b.String()
}
