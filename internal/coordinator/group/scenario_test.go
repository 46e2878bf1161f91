package group

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// TestScenarios plays the stories in testdata. A line is one command; below it stand the records it writes, the replies
// that go out, to whom (requests are numbered), and the state of the group afterwards. -rewrite writes them anew.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &scenario{world: newWorld()}
		// The steps of a file state_X are not a story: each begins anew with what was given.
		each := strings.HasPrefix(filepath.Base(path), "state_")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "given" {
				a := args{t, d}
				state, static := a.text("state", ""), a.has("static")
				s.start = func() { s.given(t, state, static) }
			}
			if d.Cmd == "given" || each {
				s.world = newWorld()
				s.start()
				s.world.take()
			}
			return s.run(t, d)
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
	if arg, ok := a.d.Arg(name); ok {
		if len(arg.Vals) == 0 {
			return ""
		}
		return arg.Vals[0]
	}
	return otherwise
}

func (a args) has(name string) bool {
	_, ok := a.d.Arg(name)
	return ok
}

func (a args) list(name string) []string {
	arg, _ := a.d.Arg(name)
	return arg.Vals
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

func (a args) optional(name string) *string {
	if !a.has(name) {
		return nil
	}
	s := a.text(name, "")
	return &s
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	a := args{t, d}
	w := s.world
	c := Caller{ClientID: a.text("client", "c"), ClientHost: "/10.0.0.1", Version: int16(a.number("v", 9))}
	group := a.text("group", "g")
	switch d.Cmd {
	case "config":
		w.config.InitialRebalanceDelayMs = int32(a.number("delay", int(w.config.InitialRebalanceDelayMs)))
		w.config.MaxSize = a.number("max-size", w.config.MaxSize)
		w.config.OffsetMetadataMaxBytes = a.number("metadata-max", w.config.OffsetMetadataMaxBytes)
		w.config.OffsetsTopicMaxBatchSize = a.number("max-batch", w.config.OffsetsTopicMaxBatchSize)
		w.config.OffsetsRetentionMs = int64(a.number("retention", int(w.config.OffsetsRetentionMs)))
		w.config.OffsetsRetentionCheckMs = int64(a.number("check", int(w.config.OffsetsRetentionCheckMs)))
		return ""
	case "given":
		return s.state(group)
	case "join":
		w.ask(c, joinRequest(a, group))
	case "sync":
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, a.text("member", ""), int32(a.number("gen", 1)), a.optional("instance")
		req.ProtocolType, req.Protocol = a.optional("type"), a.optional("protocol")
		for _, pair := range a.list("assign") {
			id, what, _ := strings.Cut(pair, ":")
			ga := kmsg.NewSyncGroupRequestGroupAssignment()
			ga.MemberID, ga.MemberAssignment = id, []byte(what)
			req.GroupAssignment = append(req.GroupAssignment, ga)
		}
		w.ask(c, req)
	case "heartbeat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, a.text("member", ""), int32(a.number("gen", 1)), a.optional("instance")
		w.ask(c, req)
	case "leave":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = group
		for _, who := range a.list("members") {
			id, instance, static := strings.Cut(who, "@")
			m := kmsg.NewLeaveGroupRequestMember()
			if m.MemberID = id; static {
				m.InstanceID = &instance
			}
			req.Members = append(req.Members, m)
		}
		w.ask(c, req)
	case "commit":
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, a.text("member", ""), int32(a.number("gen", -1)), a.optional("instance")
		req.RetentionTimeMillis = int64(a.number("retention", -1))
		for _, o := range a.list("offsets") {
			addOffset(req, o, int32(a.number("epoch", -1)), a.optional("metadata"))
		}
		w.ask(c, req)
	case "txn-commit":
		for _, o := range a.list("offsets") {
			topic, p, at := splitOffset(o)
			r := offsetRecord(group, topic, p, &offset{at: at, leaderEpoch: -1, committedMs: w.now, expiresMs: -1})
			r.ProducerID = int64(a.number("producer", 1))
			fmt.Fprintf(&w.story, "record  %s\n", describeRecord(r))
			w.apply(r)
		}
	case "txn-offset-commit":
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, a.text("member", ""), int32(a.number("gen", -1)), a.optional("instance")
		req.ProducerID, req.ProducerEpoch = int64(a.number("producer", 1)), 0
		for _, o := range a.list("offsets") {
			topic, p, at := splitOffset(o)
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.Metadata = p, at, a.optional("metadata")
			rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
		}
		w.ask(c, req)
	case "txn-end":
		w.mark(coordinator.Marker{ProducerID: int64(a.number("producer", 1)), Commit: a.has("commit")})
	case "fetch":
		req := kmsg.NewPtrOffsetFetchRequest()
		req.RequireStable = a.has("stable")
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = group
		for _, tp := range a.list("of") {
			topic, p, _ := splitOffset(tp)
			g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, Partitions: []int32{p}})
		}
		req.Groups = append(req.Groups, g)
		w.ask(c, req)
	case "offset-delete":
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, tp := range a.list("of") {
			topic, p, _ := splitOffset(tp)
			req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: p}}})
		}
		w.ask(c, req)
	case "describe":
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		w.ask(c, req)
	case "list":
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = a.list("states"), a.list("types")
		w.ask(c, req)
	case "delete":
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group}
		w.ask(c, req)
	case "topics-deleted":
		w.token++
		w.decide(Event{DeletedTopics: a.list("topics")})
	case "record":
		// A record of another protocol's group.
		key := binary.BigEndian.AppendUint16(nil, uint16(a.number("type", 3)))
		key = binary.BigEndian.AppendUint16(key, uint16(len(group)))
		key = append(key, group...)
		if id := a.text("member", ""); id != "" {
			key = append(binary.BigEndian.AppendUint16(key, uint16(len(id))), id...)
		}
		r := coordinator.Record{Key: key, ProducerID: coordinator.NoProducer}
		if !a.has("deleted") {
			r.Value = []byte{0, 0}
		}
		w.apply(r)
	case "pass":
		w.pass(int64(a.number("ms", 0)))
	case "failover":
		if a.has("truncate") { // the new leader had not got what is not committed
			w.log = w.log[:w.committed]
		}
		w.elect()
	case "hold":
		w.hold = true
	case "release":
		w.release()
	default:
		t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	}
	return w.take() + s.state(group)
}

func joinRequest(a args, group string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID = group, a.text("member", ""), a.optional("instance")
	req.ProtocolType = a.text("type", "consumer")
	req.SessionTimeoutMillis = int32(a.number("session", 10_000))
	req.RebalanceTimeoutMillis = int32(a.number("rebalance", 60_000))
	protocols := a.list("protocols")
	if protocols == nil {
		protocols = []string{"range:t"}
	}
	for _, p := range protocols {
		name, topics, _ := strings.Cut(p, ":")
		if name == "" {
			continue
		}
		rp := kmsg.NewJoinGroupRequestProtocol()
		rp.Name, rp.Metadata = name, subscription(topics)
		if req.ProtocolType != "consumer" {
			rp.Metadata = []byte(topics)
		}
		req.Protocols = append(req.Protocols, rp)
	}
	return req
}

// subscription is a consumer's metadata, version 0, for topics separated by '+'.
func subscription(topics string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	if topics != "" {
		m.Topics = strings.Split(topics, "+")
	}
	return m.AppendTo(nil)
}

// splitOffset reads "topic/partition=offset", with or without the offset.
func splitOffset(s string) (topic string, partition int32, at int64) {
	s, offsetText, _ := strings.Cut(s, "=")
	topic, partitionText, _ := strings.Cut(s, "/")
	p, _ := strconv.Atoi(partitionText)
	o, _ := strconv.Atoi(offsetText)
	return topic, int32(p), int64(o)
}

func addOffset(req *kmsg.OffsetCommitRequest, o string, epoch int32, metadata *string) {
	topic, p, at := splitOffset(o)
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, at, epoch, metadata
	i := slices.IndexFunc(req.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return t.Topic == topic })
	if i < 0 {
		i = len(req.Topics)
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topic
		req.Topics = append(req.Topics, t)
	}
	req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
}

// given brings about a state that stories begin with: group g, members c-1 (the leader) and c-2, both subscribed to t.
func (s *scenario) given(t *testing.T, state string, static bool) {
	w := s.world
	join := func(id string, n int) {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = "g", id, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 60_000
		if static {
			instance := fmt.Sprintf("i%d", n)
			req.InstanceID = &instance
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = "range", subscription("t")
		req.Protocols = append(req.Protocols, p)
		w.ask(Caller{ClientID: "c", ClientHost: "/10.0.0.1", Version: 3}, req)
	}
	ids := []string{"c-1", "c-2"}
	if static {
		ids = []string{"i1-1", "i2-2"}
	}
	switch state {
	case "none":
		return
	case "simple":
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Generation = "g", -1
		addOffset(req, "t/0=5", -1, nil)
		w.ask(Caller{Version: 9}, req)
		return
	case "invited":
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "g", "consumer", 10_000, 60_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = "range", subscription("t")
		req.Protocols = append(req.Protocols, p)
		w.ask(Caller{ClientID: "c", ClientHost: "/10.0.0.1", Version: 9}, req)
		return
	}
	join("", 1)
	join("", 2)
	if state == "initial" {
		return
	}
	w.pass(6_000)
	if state == "completing" {
		return
	}
	for i, id := range []string{ids[1], ids[0]} {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = "g", id, 1
		if i == 1 {
			req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{
				{MemberID: ids[0], MemberAssignment: []byte("t0")}, {MemberID: ids[1], MemberAssignment: []byte("t1")},
			}
		}
		w.ask(Caller{Version: 5}, req)
	}
	switch state {
	case "stable":
	case "preparing": // c-1, the leader, has joined again; c-2 has not
		join(ids[0], 1)
	case "empty":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = "g"
		for _, id := range ids {
			req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: id})
		}
		w.ask(Caller{Version: 5}, req)
	default:
		t.Fatalf("unknown state %q", state)
	}
}

// state is the line that ends each step.
func (s *scenario) state(id string) string {
	g := s.world.m.groups[id]
	if g == nil {
		return "no group\n"
	}
	l := g.live
	var b strings.Builder
	fmt.Fprintf(&b, "%s", l.state)
	if l.generation > 0 {
		fmt.Fprintf(&b, " %d", l.generation)
	}
	for _, m := range l.order {
		b.WriteString(" " + m.id)
		if m.id == l.leader {
			b.WriteString("*")
		}
		switch {
		case m.awaitsJoin():
			b.WriteString("(joining)")
		case m.awaitsSync():
			b.WriteString("(syncing)")
		}
	}
	if n := len(l.invited); n > 0 {
		fmt.Fprintf(&b, ", invited: %d", n)
	}
	return b.String() + "\n"
}
