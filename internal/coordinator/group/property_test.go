package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"gregor/internal/coordinator"
)

// TestRandomHistories plays random requests, failures and moves of the coordinator against a machine and checks after
// each step that
//   - a machine that replays the log has the same hard state, wherever the log is cut;
//   - what a group counts fits its members;
//   - an offset whose commit was acknowledged is there, or a later one.
//
// In the end, when all members fall silent, no request is left without an answer.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, w: newWorld(), acknowledged: map[place]int64{}, commits: map[coordinator.Token]commit{}}
		h.w.config.InitialRebalanceDelayMs = rapid.SampledFrom([]int32{0, 3000}).Draw(t, "delay")
		h.w.config.OffsetsRetentionMs = 200_000
		h.w.config.OffsetsRetentionCheckMs = 50_000
		h.w.config.MaxSize = 4
		t.Repeat(map[string]func(*rapid.T){
			"":              func(*rapid.T) { h.check() },
			"join":          h.join,
			"sync":          h.sync,
			"heartbeat":     h.heartbeat,
			"leave":         h.leave,
			"commit":        h.commit,
			"delete":        h.delete,
			"offset delete": h.offsetDelete,
			"topic deleted": h.topicDeleted,
			"transaction":   h.transaction,
			"pass":          func(t *rapid.T) { h.w.pass(rapid.Int64Range(0, 15_000).Draw(t, "ms")) },
			"pass long":     func(t *rapid.T) { h.w.pass(60_000) },
			"hold":          func(*rapid.T) { h.w.hold = true },
			"release":       func(*rapid.T) { h.w.release() },
			"failover":      h.failover,
		})
		h.w.release()
		h.w.pass(20 * 60_000)
		for token := coordinator.Token(1); token <= h.w.token; token++ {
			if h.w.answered[token] == nil && !slices.Contains(h.lost, token) && token != 0 && !slices.Contains(h.mute, token) {
				t.Fatalf("request %d was never answered", token)
			}
		}
	})
}

type commit struct {
	places []place
	at     int64
}

type history struct {
	t            *rapid.T
	w            *world
	lost         []coordinator.Token // unanswered when the coordinator moved
	mute         []coordinator.Token // events that nobody waits for
	commits      map[coordinator.Token]commit
	acknowledged map[place]int64
	at           int64 // offsets only grow, so that a later one can be told
}

func (h *history) group(t *rapid.T) string {
	return rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
}

// somebody draws a member, invited or a stranger, of the group; an old one now and then.
func (h *history) somebody(t *rapid.T, id string) (member string, generation int32, instance *string) {
	var ids []string
	if g := h.w.m.groups[id]; g != nil {
		generation = g.live.generation
		for _, m := range g.live.order {
			ids = append(ids, m.id)
		}
		for invited := range g.live.invited {
			ids = append(ids, invited)
		}
		slices.Sort(ids)
	}
	ids = append(ids, "stranger")
	member = rapid.SampledFrom(ids).Draw(t, "member")
	if g := h.w.m.groups[id]; g != nil && g.live.members[member] != nil {
		instance = g.live.members[member].instanceID
	}
	if rapid.IntRange(0, 9).Draw(t, "wrong generation") == 0 {
		generation--
	}
	return member, generation, instance
}

func (h *history) join(t *rapid.T) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType = h.group(t), "consumer"
	req.SessionTimeoutMillis = rapid.SampledFrom([]int32{6_000, 10_000, 30_000}).Draw(t, "session")
	req.RebalanceTimeoutMillis = rapid.SampledFrom([]int32{5_000, 60_000}).Draw(t, "rebalance")
	switch rapid.IntRange(0, 3).Draw(t, "who") {
	case 0:
	case 1:
		instance := rapid.SampledFrom([]string{"i", "j"}).Draw(t, "instance")
		req.InstanceID = &instance
	default:
		req.MemberID, _, req.InstanceID = h.somebody(t, req.Group)
		if req.MemberID == "stranger" {
			req.MemberID = ""
		}
	}
	for _, name := range rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}, {"sticky"}}).Draw(t, "protocols") {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription(rapid.SampledFrom([]string{"t", "u", "t+u"}).Draw(t, "topics"))
		req.Protocols = append(req.Protocols, p)
	}
	h.w.ask(Caller{ClientID: "c", Version: rapid.SampledFrom([]int16{3, 5, 9}).Draw(t, "version")}, req)
}

func (h *history) sync(t *rapid.T) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group = h.group(t)
	req.MemberID, req.Generation, req.InstanceID = h.somebody(t, req.Group)
	if g := h.w.m.groups[req.Group]; g != nil {
		for _, m := range g.live.order {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
				MemberID: m.id, MemberAssignment: fmt.Append(nil, h.w.token),
			})
		}
	}
	h.w.ask(Caller{Version: 5}, req)
}

func (h *history) heartbeat(t *rapid.T) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = h.group(t)
	req.MemberID, req.Generation, req.InstanceID = h.somebody(t, req.Group)
	h.w.ask(Caller{Version: 4}, req)
}

func (h *history) leave(t *rapid.T) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = h.group(t)
	for range rapid.IntRange(1, 2).Draw(t, "how many") {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, _, m.InstanceID = h.somebody(t, req.Group)
		req.Members = append(req.Members, m)
	}
	h.w.ask(Caller{Version: 5}, req)
}

func (h *history) commit(t *rapid.T) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = h.group(t), -1, -1
	if rapid.Bool().Draw(t, "as a member") {
		req.MemberID, req.Generation, req.InstanceID = h.somebody(t, req.Group)
	}
	h.at++
	c := commit{at: h.at}
	for range rapid.IntRange(1, 3).Draw(t, "partitions") {
		p := place{req.Group, rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic"), rapid.Int32Range(0, 2).Draw(t, "partition")}
		addOffset(req, fmt.Sprintf("%s/%d=%d", p.topic, p.partition, c.at), -1, nil)
		c.places = append(c.places, p)
	}
	h.commits[h.w.ask(Caller{Version: 9}, req)] = c
}

func (h *history) delete(t *rapid.T) {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{h.group(t)}
	h.w.ask(Caller{Version: 2}, req)
}

func (h *history) offsetDelete(t *rapid.T) {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = h.group(t)
	req.Topics = []kmsg.OffsetDeleteRequestTopic{{
		Topic: rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic"), Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}},
	}}
	h.w.ask(Caller{}, req)
}

func (h *history) topicDeleted(t *rapid.T) {
	h.w.token++
	h.mute = append(h.mute, h.w.token)
	h.w.decide(Event{DeletedTopics: []string{rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic")}})
}

// transaction writes an offset in a transaction, or ends one.
func (h *history) transaction(t *rapid.T) {
	producer := rapid.Int64Range(1, 2).Draw(t, "producer")
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		h.w.mark(coordinator.Marker{ProducerID: producer, Commit: rapid.Bool().Draw(t, "commit")})
	default:
		h.at++
		r := offsetRecord(h.group(t), "t", rapid.Int32Range(0, 2).Draw(t, "partition"), &offset{at: h.at, leaderEpoch: -1, committedMs: h.w.now, expiresMs: -1})
		r.ProducerID = producer
		h.w.apply(r)
	}
}

// failover moves the coordinator. What is not committed may be gone.
func (h *history) failover(t *rapid.T) {
	if rapid.Bool().Draw(t, "truncate") {
		for i := h.w.committed; i < len(h.w.log); i++ {
			delete(h.w.markers, i)
		}
		h.w.log = h.w.log[:h.w.committed]
	}
	for token := coordinator.Token(1); token <= h.w.token; token++ {
		if h.w.answered[token] == nil {
			h.lost = append(h.lost, token)
			delete(h.commits, token)
		}
	}
	h.w.elect()
}

func (h *history) check() {
	t, w := h.t, h.w
	// Replay.
	config := func() Config { return w.config }
	again := replayed(config, w.log, w.markers)
	if a, b := hardState(w.m), hardState(again); a != b {
		t.Fatalf("the machine has\n%s\nafter a replay it has\n%s", a, b)
	}
	// Counts.
	for id, g := range w.m.groups {
		if err := g.live.sound(); err != nil {
			t.Fatalf("group %s: %v", id, err)
		}
	}
	// Acknowledged commits. What a later record of the log did to them counts as well.
	for token, c := range h.commits {
		r, ok := w.answered[token].(*kmsg.OffsetCommitResponse)
		if !ok {
			continue
		}
		delete(h.commits, token)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := (place{c.places[0].group, r.Topics[i].Topic, r.Topics[i].Partitions[j].Partition}); r.Topics[i].Partitions[j].ErrorCode == 0 {
					h.acknowledged[p] = max(h.acknowledged[p], c.at)
				}
			}
		}
	}
	for p, at := range h.acknowledged {
		if h.removedAfter(p, at) {
			delete(h.acknowledged, p)
			continue
		}
		if w.m.groups[p.group] == nil {
			t.Fatalf("group %s with an acknowledged offset is gone", p.group)
		}
		s := w.m.offsets[p.group].get(p.topic, p.partition)
		if s == nil || s.visible == nil {
			t.Fatalf("acknowledged offset %d of %v is gone", at, p)
		}
		if s.visible.at < at && s.visible.position < h.position(p, at) {
			t.Fatalf("acknowledged offset %d of %v: fetched is %d", at, p, s.visible.at)
		}
	}
	// A fetch sees no more than what is committed.
	committed := replayed(config, w.log[:w.committed], w.markers)
	for id, of := range w.m.offsets {
		for topic, partitions := range of {
			for p, s := range partitions {
				var want *offset
				if cs := committed.offsets[id].get(topic, p); cs != nil {
					want = cs.latest
				}
				if (s.visible == nil) != (want == nil) || want != nil && s.visible.at != want.at {
					t.Fatalf("%s %s-%d: a fetch sees %v, committed is %v", id, topic, p, s.visible, want)
				}
			}
		}
	}
}

// position is where an offset stands in the log.
func (h *history) position(p place, at int64) int64 {
	for i := range h.w.log {
		if e, err := decode(h.w.log[i].Key, h.w.log[i].Value); err == nil && e.offset != nil && (place{e.group, e.topic, e.partition}) == p && e.offset.at == at {
			return int64(i + 1)
		}
	}
	h.t.Fatalf("acknowledged offset %d of %v is not in the log", at, p)
	return 0
}

// removedAfter tells whether the offset was deleted, or has expired, since.
func (h *history) removedAfter(p place, at int64) bool {
	for i := h.position(p, at); i < int64(len(h.w.log)); i++ {
		e, err := decode(h.w.log[i].Key, h.w.log[i].Value)
		if err == nil && e.keyType == keyOffset && (place{e.group, e.topic, e.partition}) == p && e.offset == nil {
			return true
		}
	}
	return false
}

// sound checks what must always hold between the parts of a group.
func (l *live) sound() error {
	joining := 0
	offered := map[string]int{}
	for _, m := range l.order {
		if l.members[m.id] != m {
			return fmt.Errorf("member %s is listed but not found", m.id)
		}
		if m.awaitsJoin() {
			joining++
		}
		if m.awaitsJoin() && l.state != PreparingRebalance {
			return fmt.Errorf("member %s waits for a join phase in state %s", m.id, l.state)
		}
		if m.awaitsSync() && l.state != CompletingRebalance {
			return fmt.Errorf("member %s waits for an assignment in state %s", m.id, l.state)
		}
		if m.instanceID != nil && l.static[*m.instanceID] != m.id {
			return fmt.Errorf("static member %s is not found by its instance id", m.id)
		}
		for _, p := range m.protocols {
			offered[p.name]++
		}
		if !m.heartbeat.set() && !m.excused() {
			return fmt.Errorf("nobody waits for heartbeats of member %s", m.id)
		}
	}
	switch {
	case len(l.order) != len(l.members):
		return fmt.Errorf("%d members are listed, %d found", len(l.order), len(l.members))
	case joining != l.awaitJoin:
		return fmt.Errorf("%d members are joining, %d counted", joining, l.awaitJoin)
	case fmt.Sprint(offered) != fmt.Sprint(l.offered):
		return fmt.Errorf("protocols offered are %v, counted %v", offered, l.offered)
	case len(l.members) > 0 && l.members[l.leader] == nil:
		return fmt.Errorf("leader %q is no member", l.leader)
	case len(l.members) == 0 && l.leader != "":
		return fmt.Errorf("leader %q of no members", l.leader)
	case l.state == Empty && len(l.members) > 0:
		return fmt.Errorf("%d members in state Empty", len(l.members))
	case (l.state == CompletingRebalance || l.state == Stable) && len(l.members) == 0:
		return fmt.Errorf("no members in state %s", l.state)
	case l.state == PreparingRebalance && !l.joinTimer.set():
		return fmt.Errorf("nothing ends the join phase")
	case len(l.unsynced) > 0 && !l.syncTimer.set():
		return fmt.Errorf("nothing ends the wait for SyncGroup")
	}
	for id := range l.unsynced {
		if l.members[id] == nil {
			return fmt.Errorf("SyncGroup is awaited of %s, who is no member", id)
		}
	}
	return nil
}
