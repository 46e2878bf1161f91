package group

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
	config  Config
	m       *Machine
	now     int64
	log     []coordinator.Record
	markers map[int]coordinator.Marker // ends of transactions, at the place in the log of an empty record

	hold      bool // appended records are not committed
	committed int  // records
	waiting   []coordinator.Reply[kmsg.Response]

	token    coordinator.Token
	ids      int
	answered map[coordinator.Token]kmsg.Response
	story    strings.Builder // what happened since the last take
}

func newWorld() *world {
	w := &world{
		config: DefaultConfig(), now: 1_000_000,
		markers:  map[int]coordinator.Marker{},
		answered: map[coordinator.Token]kmsg.Response{},
	}
	w.elect()
	return w
}

// elect replays the log into a new machine.
func (w *world) elect() {
	w.m = replayed(func() Config { return w.config }, w.log, w.markers)
	w.m.Committed(int64(w.committed))
	w.waiting = nil
	var out coordinator.Effects[kmsg.Response]
	w.m.Elected(w.now, &out)
	w.carryOut(&out)
}

func replayed(config func() Config, log []coordinator.Record, markers map[int]coordinator.Marker) *Machine {
	m := NewMachine(config, nil)
	for i, r := range log {
		if mark, ok := markers[i]; ok {
			m.Mark(int64(i+1), mark)
		} else {
			m.Apply(int64(i+1), r)
		}
	}
	return m
}

// ask submits a request and returns the token that its reply will have.
func (w *world) ask(c Caller, req kmsg.Request) coordinator.Token {
	w.token++
	e := Event{Caller: c, Request: req}
	if j, ok := req.(*kmsg.JoinGroupRequest); ok && j.MemberID == "" {
		w.ids++
		e.NewMemberID = fmt.Sprint(w.ids)
	}
	w.decide(e)
	return w.token
}

func (w *world) decide(e Event) {
	var out coordinator.Effects[kmsg.Response]
	w.m.Decide(w.token, e, w.now, &out)
	w.carryOut(&out)
}

func (w *world) carryOut(out *coordinator.Effects[kmsg.Response]) {
	for _, r := range out.Records {
		fmt.Fprintf(&w.story, "record  %s\n", describeRecord(r))
		w.apply(r)
	}
	for _, r := range out.Replies {
		if r.Early || len(w.log) == w.committed {
			w.answer(r)
		} else {
			w.waiting = append(w.waiting, r)
		}
	}
}

func (w *world) apply(r coordinator.Record) {
	w.log = append(w.log, coordinator.Record{
		Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), ProducerID: r.ProducerID, ProducerEpoch: r.ProducerEpoch,
	})
	w.m.Apply(int64(len(w.log)), r)
	w.advanceWatermark()
}

func (w *world) mark(m coordinator.Marker) {
	w.markers[len(w.log)] = m
	w.log = append(w.log, coordinator.Record{})
	w.m.Mark(int64(len(w.log)), m)
	w.advanceWatermark()
}

func (w *world) advanceWatermark() {
	if !w.hold {
		w.committed = len(w.log)
		w.m.Committed(int64(w.committed))
	}
}

func (w *world) release() {
	w.hold = false
	w.advanceWatermark()
	for _, r := range w.waiting {
		w.answer(r)
	}
	w.waiting = nil
}

func (w *world) answer(r coordinator.Reply[kmsg.Response]) {
	if w.answered[r.To] != nil {
		panic(fmt.Sprintf("request %d answered twice", r.To))
	}
	w.answered[r.To] = r.Body
	if r.Body != nil {
		fmt.Fprintf(&w.story, "reply %d %s\n", r.To, describeReply(r.Body))
	}
}

// pass lets time go by, timer after timer.
func (w *world) pass(ms int64) {
	end := w.now + ms
	for {
		at, ok := w.m.Deadline()
		if !ok || at > end {
			w.now = end
			return
		}
		w.now = max(w.now, at)
		var out coordinator.Effects[kmsg.Response]
		w.m.Tick(w.now, &out)
		w.carryOut(&out)
	}
}

func (w *world) take() string {
	s := w.story.String()
	w.story.Reset()
	return s
}

func describeRecord(r coordinator.Record) string {
	e, err := decode(r.Key, r.Value)
	switch {
	case err != nil:
		return err.Error()
	case e.keyType == keyOffset && e.offset == nil:
		return fmt.Sprintf("offset %s %s-%d: deleted", e.group, e.topic, e.partition)
	case e.keyType == keyOffset:
		s := fmt.Sprintf("offset %s %s-%d: %s", e.group, e.topic, e.partition, e.offset)
		if r.ProducerID != coordinator.NoProducer {
			s += fmt.Sprintf(" in transaction of %d", r.ProducerID)
		}
		return s
	case e.keyType == keyGroup && e.stored == nil:
		return fmt.Sprintf("group %s: deleted", e.group)
	case e.keyType == keyGroup:
		return fmt.Sprintf("group %s: %s", e.group, e.stored)
	}
	return fmt.Sprintf("of type %d, group %s", e.keyType, e.group)
}

func (o *offset) String() string {
	s := fmt.Sprint(o.at)
	if o.leaderEpoch != -1 {
		s += fmt.Sprintf(" epoch %d", o.leaderEpoch)
	}
	if o.metadata != "" {
		s += fmt.Sprintf(" %q", o.metadata)
	}
	if o.expiresMs != -1 {
		s += fmt.Sprintf(" until %d", o.expiresMs)
	}
	return s
}

func (s *stored) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d", s.generation)
	if s.protocolType != "" {
		fmt.Fprintf(&b, " of %s", s.protocolType)
	}
	if s.protocol != nil {
		fmt.Fprintf(&b, "/%s", *s.protocol)
	}
	if s.leader != nil {
		fmt.Fprintf(&b, ", leader %s", *s.leader)
	}
	for _, m := range s.members {
		fmt.Fprintf(&b, ", %s", m.id)
		if m.instanceID != nil {
			fmt.Fprintf(&b, "(%s)", *m.instanceID)
		}
		fmt.Fprintf(&b, "=%q", m.assignment)
	}
	return b.String()
}

func errorName(code int16) string {
	if err := kerr.ErrorForCode(code); err != nil {
		return err.(*kerr.Error).Message
	}
	return "ok"
}

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// topicsOf shows a subscription, or what is none as it is.
func topicsOf(metadata []byte) string {
	topics := map[string]struct{}{}
	if !readSubscription(metadata, topics) {
		return fmt.Sprintf("%q", metadata)
	}
	return strings.Join(slices.Sorted(maps.Keys(topics)), "+")
}

func describeReply(r kmsg.Response) string {
	var b strings.Builder
	switch r := r.(type) {
	case *kmsg.JoinGroupResponse:
		fmt.Fprintf(&b, "join: %s", errorName(r.ErrorCode))
		if r.MemberID != "" {
			fmt.Fprintf(&b, ", you are %s", r.MemberID)
		}
		if r.ErrorCode == 0 {
			fmt.Fprintf(&b, ", generation %d of %s/%s, leader %s", r.Generation, text(r.ProtocolType), text(r.Protocol), r.LeaderID)
			for _, m := range r.Members {
				fmt.Fprintf(&b, ", %s=%s", m.MemberID, topicsOf(m.ProtocolMetadata))
			}
			if r.SkipAssignment {
				b.WriteString(", skip assignment")
			}
		}
	case *kmsg.SyncGroupResponse:
		fmt.Fprintf(&b, "sync: %s", errorName(r.ErrorCode))
		if r.ErrorCode == 0 {
			fmt.Fprintf(&b, ", %q of %s/%s", r.MemberAssignment, text(r.ProtocolType), text(r.Protocol))
		}
	case *kmsg.HeartbeatResponse:
		fmt.Fprintf(&b, "heartbeat: %s", errorName(r.ErrorCode))
	case *kmsg.LeaveGroupResponse:
		fmt.Fprintf(&b, "leave: %s", errorName(r.ErrorCode))
		for _, m := range r.Members {
			fmt.Fprintf(&b, ", %s: %s", m.MemberID, errorName(m.ErrorCode))
		}
	case *kmsg.OffsetCommitResponse:
		b.WriteString("commit:")
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d %s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		b.WriteString("txn-offset-commit:")
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d %s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.OffsetFetchResponse:
		b.WriteString("fetch:")
		for _, g := range r.Groups {
			fmt.Fprintf(&b, " %s(", g.Group)
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					fmt.Fprintf(&b, " %s-%d=%d", t.Topic, p.Partition, p.Offset)
					if p.ErrorCode != 0 {
						b.WriteString(" " + errorName(p.ErrorCode))
					}
					if p.Metadata != nil && *p.Metadata != "" {
						fmt.Fprintf(&b, " %q", *p.Metadata)
					}
				}
			}
			b.WriteString(" )")
		}
	case *kmsg.OffsetDeleteResponse:
		fmt.Fprintf(&b, "offset-delete: %s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, ", %s-%d %s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.DescribeGroupsResponse:
		b.WriteString("describe:")
		for _, g := range r.Groups {
			fmt.Fprintf(&b, " %s is %s", g.Group, g.State)
			if g.ErrorCode != 0 {
				b.WriteString(" " + errorName(g.ErrorCode))
			}
			fmt.Fprintf(&b, ", %q/%q", g.ProtocolType, g.Protocol)
			for _, m := range g.Members {
				fmt.Fprintf(&b, ", %s(%s) client %s at %s %s=%q", m.MemberID, text(m.InstanceID), m.ClientID, m.ClientHost, topicsOf(m.ProtocolMetadata), m.MemberAssignment)
			}
		}
	case *kmsg.ListGroupsResponse:
		b.WriteString("list:")
		for _, g := range r.Groups {
			fmt.Fprintf(&b, " %s(%s %s %s)", g.Group, g.GroupType, g.ProtocolType, g.GroupState)
		}
	case *kmsg.DeleteGroupsResponse:
		b.WriteString("delete:")
		for _, g := range r.Groups {
			fmt.Fprintf(&b, " %s %s", g.Group, errorName(g.ErrorCode))
		}
	default:
		return fmt.Sprintf("%T", r)
	}
	return b.String()
}

// hardState is what a machine must have again after a replay of its log.
func hardState(m *Machine) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		fmt.Fprintf(&b, "group %s", id)
		if g.stored != nil {
			fmt.Fprintf(&b, ": %s, since %d", g.stored, g.stored.timestampMs)
			for _, sm := range g.stored.members {
				fmt.Fprintf(&b, "; %s %s %d %d %q", sm.clientID, sm.clientHost, sm.rebalanceTimeoutMs, sm.sessionTimeoutMs, sm.subscription)
			}
		}
		b.WriteString("\n")
		for _, t := range slices.Sorted(maps.Keys(m.offsets[id])) {
			for _, p := range slices.Sorted(maps.Keys(m.offsets[id][t])) {
				if o := m.offsets[id][t][p].latest; o != nil {
					fmt.Fprintf(&b, "  %s-%d: %s at %d, position %d\n", t, p, o, o.committedMs, o.position)
				}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(g.openTxn)) {
			fmt.Fprintf(&b, "  open transaction of %d\n", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.transactions)) {
		for _, p := range slices.SortedFunc(maps.Keys(m.transactions[id]), place.compare) {
			fmt.Fprintf(&b, "transaction of %d: %s %s-%d: %s\n", id, p.group, p.topic, p.partition, m.transactions[id][p])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.foreign)) {
		fmt.Fprintf(&b, "foreign %s: %d members, %q\n", id, m.foreign[id].members, slices.Sorted(maps.Keys(m.foreign[id].keys)))
	}
	return b.String()
}
