package groups

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scene is one thing to ask both brokers.
type scene struct {
	name string
	play func(*script)
}

var noID [16]byte

func scenes() []scene {
	return []scene{
		{"every version", everyVersion},
		{"no such group", noSuchGroup},
		{"bad joins", badJoins},
		{"two members", twoMembers},
		{"join again", joinAgain},
		{"protocol choice", protocolChoice},
		{"static members", staticMembers},
		{"static member of version 5", staticOld},
		{"static leader among two", staticLeader},
		{"commits", commits},
		{"standalone commits", standalone},
		{"leaving", leaving},
		{"deleting", deleting},
		{"describe and list", describeAndList},
		{"another protocol type", connect},
		{"find coordinator", findCoordinator},
		{"empty group id", emptyGroupID},
		{"deleted topic", deletedTopic},
		{"empty lists", emptyLists},
	}
}

// slowScenes are played only to compare.
func slowScenes() []scene {
	all := []scene{{"silence", silence}}
	for seed := range uint64(6) {
		all = append(all, scene{fmt.Sprintf("random %d", seed), random(seed)})
	}
	return all
}

func emptyLists(s *script) {
	s.do("a", "commit", 9, s.commit("", -1, s.topic, noID, map[int32]int64{0: 1}, nil))
	for _, v := range []int16{1, 2, 7, 8, 9} {
		req := s.fetch(v, "", noID)
		if v < 8 {
			req.Topics = []kmsg.OffsetFetchRequestTopic{}
		} else {
			req.Groups[0].Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		s.do("a", "fetch of no topics", v, req)
	}
	for _, v := range []int16{2, 7, 8, 9, 10} {
		s.do("a", "fetch of all", v, s.fetch(v, "", noID))
	}
	s.do("a", "fetch of no groups", 9, kmsg.NewPtrOffsetFetchRequest())
	s.do("a", "describe no groups", 5, s.describe())
	s.do("a", "delete no groups", 2, s.deleteGroups())
	find := kmsg.NewPtrFindCoordinatorRequest()
	s.do("a", "find nothing", 4, find)
	none := s.offsetDelete(s.topic)
	s.do("a", "offset delete of no partitions", 0, none)
	none.Topics = nil
	s.do("a", "offset delete of no topics", 0, none)
}

// silence waits out the shortest session timeout that a broker allows.
func silence(s *script) {
	o := joinOptions{instance: ptr("i"), session: 6_000}
	id := s.do("a", "join", 9, s.join(o)).(*kmsg.JoinGroupResponse).MemberID
	req := s.sync(id, 1, id, "all")
	req.InstanceID = o.instance
	s.do("a", "sync", 5, req)
	for {
		r := s.as("a").send(5, s.describe(s.group)).reply().(*kmsg.DescribeGroupsResponse)
		if r.Groups[0].State != "Stable" {
			break
		}
		time.Sleep(quick)
	}
	s.do("a", "describe", 6, s.describe(s.group))
	s.do("a", "heartbeat", 4, s.heartbeat(id, 1, o.instance))
	s.do("a", "join again", 9, s.join(joinOptions{member: id, instance: o.instance}))
}

func everyVersion(s *script) {
	for v := int16(0); v <= 9; v++ {
		s.group += "v"
		o := joinOptions{}
		r := s.do("a", "join", v, s.join(o)).(*kmsg.JoinGroupResponse)
		if v >= 4 {
			o.member = r.MemberID
			r = s.do("a", "join", v, s.join(o)).(*kmsg.JoinGroupResponse)
		}
		id := r.MemberID
		s.do("a", "sync", min(v, 5), s.sync(id, 1, id, "a1"))
		s.do("a", "heartbeat", min(v, 4), s.heartbeat(id, 1, nil))
		s.do("a", "commit", max(2, min(v, 9)), s.commit(id, 1, s.topic, noID, map[int32]int64{0: 10, 1: 11}, ptr("m")))
		s.do("a", "fetch", max(1, v), s.fetch(max(1, v), s.topic, noID, 0, 1, 2))
		s.do("a", "describe", min(v, 6), s.describe(s.group))
		s.list(min(v, 5), nil, nil)
		s.do("a", "leave", min(v, 5), s.leave(who(id, nil)))
		s.do("a", "delete", min(v, 2), s.deleteGroups(s.group))
	}
	s.do("a", "commit", 10, s.commit("", -1, "", s.topicID, map[int32]int64{0: 10, 1: 11}, nil))
	s.do("a", "fetch", 10, s.fetch(10, "", s.topicID, 0, 1, 2))
	s.do("a", "fetch all", 10, s.fetch(10, "", noID))
	unknown := [16]byte{1, 2, 3}
	s.do("a", "commit to an unknown id", 10, s.commit("", -1, "", unknown, map[int32]int64{0: 10}, nil))
	s.do("a", "fetch of an unknown id", 10, s.fetch(10, "", unknown, 0))
}

func noSuchGroup(s *script) {
	for _, v := range []int16{0, 3, 4, 9} {
		s.do("a", "join with an id", v, s.join(joinOptions{member: "x"}))
	}
	s.do("a", "sync", 5, s.sync("x", 1))
	s.do("a", "heartbeat", 4, s.heartbeat("x", 1, nil))
	s.do("a", "leave", 2, s.leave(who("x", nil)))
	s.do("a", "leave", 5, s.leave(who("x", nil), who("", ptr("i"))))
	s.do("a", "leave nobody", 5, s.leave())
	s.do("a", "commit", 8, s.commit("x", 1, s.topic, noID, map[int32]int64{0: 1}, nil))
	s.do("a", "commit", 9, s.commit("x", 1, s.topic, noID, map[int32]int64{0: 1}, nil))
	for _, v := range []int16{1, 2, 5, 7, 8, 9} {
		s.do("a", "fetch", v, s.fetch(v, s.topic, noID, 0))
	}
	for _, v := range []int16{2, 8} {
		s.do("a", "fetch all", v, s.fetch(v, "", noID))
	}
	s.do("a", "offset delete", 0, s.offsetDelete(s.topic, 0))
	for _, v := range []int16{0, 5, 6} {
		s.do("a", "describe", v, s.describe(s.group))
	}
	s.do("a", "delete", 2, s.deleteGroups(s.group, s.group))
}

func badJoins(s *script) {
	s.do("a", "no protocols", 9, s.join(joinOptions{protocols: []string{}}))
	s.list(5, nil, nil)
	s.do("a", "no protocol type", 9, func() kmsg.Request { r := s.join(joinOptions{}); r.ProtocolType = ""; return r }())
	s.do("a", "session too short", 9, s.join(joinOptions{session: 100}))
	s.do("a", "session too long", 9, s.join(joinOptions{session: 1 << 30}))
	s.do("a", "session negative", 3, s.join(joinOptions{session: -1}))
	s.do("a", "static with an id", 9, s.join(joinOptions{member: "x", instance: ptr("i")}))
	id := s.stable("a")
	s.do("b", "other protocol", 9, s.join(joinOptions{protocols: []string{"sticky"}}))
	s.do("b", "other protocol with an id", 9, s.join(joinOptions{member: "x", protocols: []string{"sticky"}}))
	s.do("b", "other type", 9, s.join(joinOptions{kind: "connect"}))
	s.do("b", "stranger", 9, s.join(joinOptions{member: "x"}))
	s.do("b", "instance nobody has", 9, s.join(joinOptions{member: id, instance: ptr("i")}))
}

func twoMembers(s *script) {
	a := s.stable("a")
	p, b := s.member("b")
	s.note("b waits: %v", p.waits())
	s.do("a", "heartbeat", 4, s.heartbeat(a, 1, nil))
	s.do("a", "sync while preparing", 5, s.sync(a, 1))
	s.do("a", "commit while preparing", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{0: 5}, nil))
	s.do("c", "describe", 6, s.describe(s.group))
	s.finish("join a", s.as("a").send(9, s.join(joinOptions{member: a})))
	s.finish("join b", p)
	s.do("a", "heartbeat while completing", 4, s.heartbeat(a, 2, nil))
	s.do("a", "heartbeat of the last generation", 4, s.heartbeat(a, 1, nil))
	s.do("a", "commit while completing", 9, s.commit(a, 2, s.topic, noID, map[int32]int64{0: 6}, nil))
	s.do("c", "describe", 5, s.describe(s.group))
	s.do("b", "sync of another generation", 5, s.sync(b, 1))
	q := s.as("b").send(5, s.sync(b, 2))
	s.note("b waits: %v", q.waits())
	s.do("a", "sync a", 5, s.sync(a, 2, a, "p0", b, "p1", "ghost", "p2"))
	s.finish("sync b", q)
	s.do("c", "describe", 4, s.describe(s.group))
	s.do("b", "sync again", 5, s.sync(b, 2))
	s.do("b", "sync of version 4", 4, s.sync(b, 2))
	wrong := s.sync(b, 2)
	wrong.Protocol = ptr("sticky")
	s.do("b", "sync of another protocol", 5, wrong)
	wrong = s.sync(b, 2)
	wrong.ProtocolType = ptr("connect")
	s.do("b", "sync of another type", 5, wrong)
	wrong = s.sync(b, 2)
	wrong.ProtocolType, wrong.Protocol = nil, nil
	s.do("b", "sync without protocol", 5, wrong)
	s.do("a", "leave a", 5, s.leave(who(a, nil)))
	s.do("b", "heartbeat", 4, s.heartbeat(b, 2, nil))
	s.finish("join b", s.as("b").send(9, s.join(joinOptions{member: b})))
	s.do("b", "sync b", 5, s.sync(b, 3, b, "all"))
}

func joinAgain(s *script) {
	a := s.stable("a")
	p, b := s.member("b")
	q := s.as("a").send(9, s.join(joinOptions{member: a}))
	s.finish("join a", q)
	s.finish("join b", p)
	s.do("b", "join unchanged while completing", 9, s.join(joinOptions{member: b}))
	s.do("a", "leader joins unchanged while completing", 9, s.join(joinOptions{member: a}))
	q = s.as("b").send(5, s.sync(b, 2))
	s.do("a", "sync a", 5, s.sync(a, 2, a, "p0", b, "p1"))
	s.finish("sync b", q)
	s.do("b", "join unchanged while stable", 9, s.join(joinOptions{member: b}))
	p = s.as("b").send(9, s.join(joinOptions{member: b, metadata: consumer(s.topic, "other")}))
	s.note("b waits: %v", p.waits())
	s.finish("leader joins", s.as("a").send(9, s.join(joinOptions{member: a})))
	s.finish("join b", p)
	q = s.as("b").send(5, s.sync(b, 3))
	s.note("b waits: %v", q.waits())
	p = s.as("a").send(9, s.join(joinOptions{member: a, metadata: consumer(s.topic, "third")}))
	s.finish("sync b, cancelled", q)
	s.finish("join b", s.as("b").send(9, s.join(joinOptions{member: b})))
	s.finish("join a", p)
}

func protocolChoice(s *script) {
	p, a := s.member("a", "sticky", "range")
	s.finish("join a", p)
	req := s.sync(a, 1, a, "x")
	req.Protocol = ptr("sticky")
	s.do("a", "sync a", 5, req)
	p, b := s.member("b", "range", "roundrobin")
	s.finish("join a", s.as("a").send(9, s.join(joinOptions{member: a, protocols: []string{"sticky", "range"}})))
	s.finish("join b", p)
	q := s.as("b").send(5, s.sync(b, 2))
	s.do("a", "sync a", 5, s.sync(a, 2, a, "x", b, "y"))
	s.finish("sync b", q)
	s.do("c", "nothing in common", 9, s.join(joinOptions{protocols: []string{"sticky", "roundrobin"}}))
}

func staticMembers(s *script) {
	i := ptr("i1")
	r := s.do("a", "join", 9, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	old := r.MemberID
	req := s.sync(old, 1, old, "p0")
	req.InstanceID = i
	s.do("a", "sync", 5, req)
	s.do("a", "heartbeat", 4, s.heartbeat(old, 1, i))
	s.do("a", "heartbeat without instance", 4, s.heartbeat(old, 1, nil))
	s.do("a", "heartbeat of another instance", 4, s.heartbeat(old, 1, ptr("i2")))
	r = s.do("b", "replace", 9, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	id := r.MemberID
	s.do("a", "heartbeat of the replaced", 4, s.heartbeat(old, 1, i))
	s.do("a", "heartbeat of the replaced without instance", 4, s.heartbeat(old, 1, nil))
	s.do("a", "join of the replaced", 9, s.join(joinOptions{member: old, instance: i}))
	fenced := s.commit(old, 1, s.topic, noID, map[int32]int64{0: 1}, nil)
	fenced.InstanceID = i
	s.do("a", "commit of the replaced", 9, fenced)
	req = s.sync(id, 1)
	req.InstanceID = i
	s.do("b", "sync of the new one", 5, req)
	s.do("b", "heartbeat of the new one", 4, s.heartbeat(id, 1, i))
	s.do("c", "describe", 6, s.describe(s.group))
	// Another subscription does not matter while the choice of protocol stays.
	r = s.do("d", "replace with another subscription", 9, s.join(joinOptions{instance: i, metadata: consumer("u")})).(*kmsg.JoinGroupResponse)
	s.do("c", "describe", 6, s.describe(s.group))
	s.do("a", "leave of the replaced", 5, s.leave(who(id, i)))
	s.do("a", "leave of a stranger", 5, s.leave(who("", ptr("i7")), who("x", nil), who(r.MemberID, ptr("i7"))))
	s.do("a", "leave by instance", 5, s.leave(who("", i)))
	s.do("c", "describe", 6, s.describe(s.group))
}

func staticOld(s *script) {
	i := ptr("i1")
	r := s.do("a", "join", 5, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	req := s.sync(r.MemberID, 1, r.MemberID, "p0")
	req.InstanceID = i
	s.do("a", "sync", 3, req)
	r = s.do("b", "replace", 5, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	req = s.sync(r.MemberID, 1)
	req.InstanceID = i
	s.do("b", "sync", 3, req)
	s.do("b", "leader joins again", 5, s.join(joinOptions{member: r.MemberID, instance: i}))
	// While the group completes, a replacement rebalances.
	s.do("c", "replace while completing", 8, s.join(joinOptions{instance: i}))
	s.do("c", "describe", 4, s.describe(s.group))
}

func staticLeader(s *script) {
	i, j := ptr("i1"), ptr("i2")
	r := s.do("a", "join a", 9, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	a := r.MemberID
	p := s.as("b").send(9, s.join(joinOptions{instance: j}))
	s.note("b waits: %v", p.waits())
	q := s.as("c").send(9, s.join(joinOptions{instance: j}))
	s.finish("join b, replaced while joining", p)
	s.finish("join a", s.as("a").send(9, s.join(joinOptions{member: a, instance: i})))
	b := s.finish("join c", q).(*kmsg.JoinGroupResponse).MemberID
	w := s.as("c").send(5, func() kmsg.Request { r := s.sync(b, 2); r.InstanceID = j; return r }())
	s.do("a", "sync a", 5, func() kmsg.Request { r := s.sync(a, 2, a, "p0", b, "p1"); r.InstanceID = i; return r }())
	s.finish("sync c", w)
	s.do("b", "follower replaced", 9, s.join(joinOptions{instance: j}))
	r = s.do("d", "leader replaced", 9, s.join(joinOptions{instance: i})).(*kmsg.JoinGroupResponse)
	s.do("d", "sync of the new leader", 5, func() kmsg.Request { r := s.sync(r.MemberID, 2); r.InstanceID = i; return r }())
	s.do("e", "leave both", 5, s.leave(who("", i), who("", j)))
}

func commits(s *script) {
	a := s.stable("a")
	at := map[int32]int64{0: 1}
	s.do("a", "commit", 9, s.commit(a, 1, s.topic, noID, at, nil))
	s.do("a", "commit of another generation", 9, s.commit(a, 2, s.topic, noID, at, nil))
	s.do("a", "commit without generation", 9, s.commit(a, -1, s.topic, noID, at, nil))
	s.do("a", "commit without member", 9, s.commit("", 1, s.topic, noID, at, nil))
	s.do("a", "commit of nobody", 9, s.commit("", -1, s.topic, noID, at, nil))
	s.do("a", "commit of a stranger", 9, s.commit("x", 1, s.topic, noID, at, nil))
	static := s.commit(a, 1, s.topic, noID, at, nil)
	static.InstanceID = ptr("i")
	s.do("a", "commit of an instance nobody has", 9, static)
	s.do("a", "commit to an unknown topic", 9, s.commit(a, 1, "unknown-topic", noID, at, nil))
	s.do("a", "commit to an unknown partition", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{0: 2, 77: 1}, nil))
	s.do("a", "metadata at the limit", 9, s.commit(a, 1, s.topic, noID, at, ptr(strings.Repeat("x", 4096))))
	s.do("a", "metadata beyond the limit", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{0: 3}, ptr(strings.Repeat("x", 4097))))
	s.do("a", "metadata of wide letters", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{1: 3}, ptr(strings.Repeat("é", 4096))))
	s.do("a", "negative offset", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{2: -5}, nil))
	none := s.commit(a, 1, s.topic, noID, nil, nil)
	s.do("a", "commit of nothing", 9, none)
	none.Topics = nil
	s.do("a", "commit without topics", 9, none)
	keep := s.commit(a, 1, s.topic, noID, map[int32]int64{1: 8}, nil)
	keep.RetentionTimeMillis = 3_600_000
	s.do("a", "commit with a retention time", 4, keep)
	s.do("a", "fetch", 9, s.fetch(9, s.topic, noID, 1, 2, 3, 77))
	s.do("a", "fetch of an unknown topic", 9, s.fetch(9, "unknown-topic", noID, 0))
	stable := s.fetch(9, s.topic, noID, 1)
	stable.RequireStable = true
	s.do("a", "fetch stable", 9, stable)
	s.do("a", "fetch with a stranger's member id", 9, func() kmsg.Request {
		r := s.fetch(9, s.topic, noID, 1)
		r.Groups[0].MemberID, r.Groups[0].MemberEpoch = ptr("x"), 5
		return r
	}())
	two := s.fetch(8, s.topic, noID, 1)
	two.Groups = append(two.Groups, kmsg.OffsetFetchRequestGroup{Group: s.group + "-other"})
	s.do("a", "fetch of two groups", 8, two)
}

func standalone(s *script) {
	s.do("a", "commit", 9, s.commit("", -1, s.topic, noID, map[int32]int64{0: 1}, ptr("note")))
	s.do("a", "commit with a member id", 9, s.commit("x", -1, s.topic, noID, map[int32]int64{1: 1}, nil))
	s.do("a", "commit with a generation", 9, s.commit("", 0, s.topic, noID, map[int32]int64{1: 1}, nil))
	s.do("a", "fetch", 9, s.fetch(9, s.topic, noID, 0, 1))
	s.do("a", "describe", 6, s.describe(s.group))
	s.list(5, nil, nil)
	s.do("a", "sync", 5, s.sync("x", 0))
	s.do("a", "heartbeat", 4, s.heartbeat("x", 0, nil))
	s.do("a", "leave", 5, s.leave(who("x", nil)))
	s.do("a", "offset delete", 0, s.offsetDelete(s.topic, 0, 3))
	s.do("a", "offset delete of unknown", 0, s.offsetDelete("unknown-topic", 0))
	s.do("a", "offset delete of an unknown partition", 0, s.offsetDelete(s.topic, 77))
	s.do("a", "fetch", 9, s.fetch(9, s.topic, noID, 0, 1))
	s.do("a", "fetch all", 9, s.fetch(9, "", noID))
	s.do("a", "delete", 2, s.deleteGroups(s.group))
	s.do("a", "delete again", 2, s.deleteGroups(s.group))
	s.do("a", "fetch all", 9, s.fetch(9, "", noID))
}

func leaving(s *script) {
	r := s.do("a", "invite", 9, s.join(joinOptions{})).(*kmsg.JoinGroupResponse)
	s.do("a", "describe", 6, s.describe(s.group))
	s.do("a", "an invited member leaves", 5, s.leave(who(r.MemberID, nil)))
	s.do("a", "it joins after that", 9, s.join(joinOptions{member: r.MemberID}))
	a := s.stable("a")
	p, b := s.member("b")
	s.note("b waits: %v", p.waits())
	s.do("c", "b leaves while it joins", 5, s.leave(who(b, nil)))
	s.finish("join b", p)
	s.do("c", "describe", 6, s.describe(s.group))
	s.do("a", "heartbeat", 4, s.heartbeat(a, 1, nil))
	s.do("c", "a leaves", 2, s.leave(who(a, nil)))
	s.do("c", "a leaves again", 2, s.leave(who(a, nil)))
	s.do("c", "describe", 6, s.describe(s.group))
	s.do("c", "commit of who left", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{0: 1}, nil))
}

func deleting(s *script) {
	a := s.stable("a")
	s.do("a", "commit", 9, s.commit(a, 1, s.topic, noID, map[int32]int64{0: 1}, nil))
	s.do("b", "delete", 2, s.deleteGroups(s.group, s.group+"-none"))
	s.do("b", "offset delete of a topic that is read", 0, s.offsetDelete(s.topic, 0, 1))
	s.do("b", "offset delete of unknown", 0, s.offsetDelete("unknown-topic", 0))
	s.do("a", "leave", 5, s.leave(who(a, nil)))
	s.do("b", "offset delete", 0, s.offsetDelete(s.topic, 1))
	s.do("b", "fetch", 9, s.fetch(9, s.topic, noID, 0))
	s.do("b", "delete", 1, s.deleteGroups(s.group))
	s.do("b", "fetch", 9, s.fetch(9, s.topic, noID, 0))
	s.do("b", "describe", 5, s.describe(s.group))
	s.do("a", "the member comes back", 9, s.join(joinOptions{member: a}))
}

func describeAndList(s *script) {
	a := s.stable("a")
	for _, v := range []int16{0, 1, 2, 3, 4, 5, 6} {
		s.do("b", "describe", v, s.describe(s.group))
	}
	ops := s.describe(s.group, s.group+"-none", "")
	ops.IncludeAuthorizedOperations = true
	s.do("b", "describe with operations", 5, ops)
	s.do("b", "describe with operations", 6, ops)
	for _, states := range [][]string{{"Stable"}, {"stable"}, {" STABLE "}, {"Empty"}, {"nonsense"}, {"Empty", "Stable"}} {
		s.list(4, states, nil)
	}
	for _, types := range [][]string{{"classic"}, {"Classic"}, {" CLASSIC"}, {"consumer"}, {"nonsense"}, {"consumer", "classic"}} {
		s.list(5, nil, types)
	}
	s.list(5, []string{"Empty"}, []string{"classic"})
	s.do("a", "leave", 5, s.leave(who(a, nil)))
	s.list(5, []string{"Empty"}, []string{"classic"})
}

func connect(s *script) {
	r := s.do("a", "join", 3, s.join(joinOptions{kind: "connect", metadata: []byte("x")})).(*kmsg.JoinGroupResponse)
	id := r.MemberID
	s.do("a", "sync", 3, s.sync(id, 1, id, "task"))
	s.do("a", "offset delete", 0, s.offsetDelete(s.topic, 0))
	s.do("a", "describe", 6, s.describe(s.group))
	s.list(5, nil, nil)
	s.do("a", "leave", 3, s.leave(who(id, nil)))
	s.do("a", "offset delete", 0, s.offsetDelete(s.topic, 0))
	s.do("a", "a consumer joins", 3, s.join(joinOptions{}))
}

func findCoordinator(s *script) {
	for v := int16(0); v <= 6; v++ {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = s.group, []string{s.group, "", s.group + "2"}
		s.do("a", "find", v, req)
	}
	for _, kind := range []int8{2, 3, -1} {
		for _, v := range []int16{1, 3, 5, 6} {
			if kind == 2 && v == 6 {
				continue // share groups have no coordinator here
			}
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, s.group, []string{s.group}
			s.do("a", "find of another kind", v, req)
		}
	}
}

func emptyGroupID(s *script) {
	s.group = ""
	s.do("a", "join", 9, s.join(joinOptions{}))
	s.do("a", "sync", 5, s.sync("x", 1))
	s.do("a", "heartbeat", 4, s.heartbeat("x", 1, nil))
	s.do("a", "leave", 5, s.leave(who("x", nil)))
	s.do("a", "leave", 1, s.leave(who("x", nil)))
	s.do("a", "commit", 9, s.commit("", -1, s.topic, noID, map[int32]int64{0: 1}, nil))
	s.do("a", "fetch", 9, s.fetch(9, s.topic, noID, 0))
	s.do("a", "offset delete", 0, s.offsetDelete(s.topic, 0))
	s.do("a", "describe", 5, s.describe(""))
	s.do("a", "delete", 2, s.deleteGroups(""))
}

func deletedTopic(s *script) {
	const topic = "group-scene-deleted"
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, 1
	create.Topics = append(create.Topics, t)
	s.as("a").send(5, create).reply()
	for { // until the broker knows the topic
		r := s.as("a").send(9, s.commit("", -1, topic, noID, map[int32]int64{0: 1}, nil)).reply().(*kmsg.OffsetCommitResponse)
		if r.Topics[0].Partitions[0].ErrorCode == 0 {
			break
		}
	}
	s.do("a", "fetch", 9, s.fetch(9, topic, noID, 0))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TimeoutMillis, del.TopicNames = 10_000, []string{topic}
	s.as("a").send(5, del).reply()
	for {
		r := s.as("a").send(9, s.fetch(9, topic, noID, 0)).reply().(*kmsg.OffsetFetchResponse)
		if r.Groups[0].Topics[0].Partitions[0].Offset == -1 {
			break
		}
	}
	s.do("a", "fetch", 9, s.fetch(9, topic, noID, 0))
	s.do("a", "fetch all", 9, s.fetch(9, "", noID))
	s.do("a", "describe", 6, s.describe(s.group))
}
