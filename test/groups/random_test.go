package groups

import (
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// random plays a random history of two members and an administrator. What is asked depends on the seed and on what was
// answered, so both brokers are asked the same as long as they answer the same.
func random(seed uint64) func(*script) {
	return func(s *script) {
		r := &randomHistory{script: s, rng: rand.New(rand.NewPCG(seed, 0))}
		for i := range 2 {
			r.actors = append(r.actors, &actor{name: string(rune('a' + i)), static: r.instance(i)})
		}
		for range 50 {
			r.step()
		}
		for _, a := range r.actors {
			if a.waiting != nil {
				s.note("%s still waits", a.name)
			}
		}
	}
}

type actor struct {
	name       string
	static     *string // its instance id, in versions that have it
	instance   *string // as it joined
	id         string
	generation int32
	leads      bool
	others     []string
	waiting    *call
	what       string
}

type randomHistory struct {
	*script
	rng    *rand.Rand
	actors []*actor
}

func (r *randomHistory) chance(percent int) bool { return r.rng.IntN(100) < percent }

// instance makes a member static in every other history.
func (r *randomHistory) instance(i int) *string {
	if r.chance(50) {
		return nil
	}
	return ptr(fmt.Sprintf("i%d", i))
}

func (r *randomHistory) step() {
	a := r.actors[r.rng.IntN(len(r.actors))]
	switch n := r.rng.IntN(100); {
	case a.waiting != nil && n < 60:
		// It waits; the administrator is busy, or nobody.
	case n < 30:
		r.join(a)
	case n < 55:
		r.sync(a)
	case n < 65:
		r.do("admin", "heartbeat "+a.name, 4, r.heartbeat(a.id, r.generation(a), a.instance))
	case n < 75:
		req := r.commit(a.id, r.generation(a), r.topic, noID, map[int32]int64{int32(r.rng.IntN(3)): int64(r.rng.IntN(100))}, nil)
		req.InstanceID = a.instance
		r.do("admin", "commit "+a.name, int16(7+r.rng.IntN(3)), req)
	case n < 80 && a.waiting == nil: // Kafka never answers the SyncGroup of a member that leaves
		r.do("admin", "leave "+a.name, 5, r.leave(who(a.id, a.instance)))
	case n < 84:
		r.do("admin", "fetch", 8, r.fetch(8, r.topic, noID, 0, 1, 2))
	case n < 88:
		r.do("admin", "commit of nobody", 8, r.commit("", -1, r.topic, noID, map[int32]int64{0: 1}, nil))
	case n < 92:
		r.do("admin", "offset delete", 0, r.offsetDelete(r.topic, int32(r.rng.IntN(3))))
	case n < 94:
		r.do("admin", "delete", 2, r.deleteGroups(r.group))
	default:
		r.do("admin", "describe", 6, r.describe(r.group))
	}
	r.settle()
}

// generation is the actor's, or now and then a wrong one.
func (r *randomHistory) generation(a *actor) int32 {
	if r.chance(10) {
		return a.generation - 1
	}
	return a.generation
}

func (r *randomHistory) join(a *actor) {
	if a.waiting != nil {
		return
	}
	o := joinOptions{member: a.id, instance: a.static, session: 60_000}
	if r.chance(15) {
		o.member = "" // a new process
	}
	o.protocols = [][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}[r.rng.IntN(3)]
	if r.chance(20) {
		o.metadata = consumer("other")
	}
	req := r.script.join(o)
	req.RebalanceTimeoutMillis = 60_000
	version := []int16{3, 5, 7, 9}[r.rng.IntN(4)]
	if version < 5 {
		req.InstanceID = nil
	}
	a.instance = req.InstanceID
	r.send(a, "join", version, req)
}

func (r *randomHistory) sync(a *actor) {
	if a.waiting != nil {
		return
	}
	var assign []string
	if a.leads {
		for _, id := range a.others {
			assign = append(assign, id, fmt.Sprint(r.rng.IntN(10)))
		}
	}
	req := r.script.sync(a.id, r.generation(a), assign...)
	req.InstanceID = a.instance
	r.send(a, "sync", int16(3+r.rng.IntN(2)), req)
}

func (r *randomHistory) send(a *actor, what string, version int16, req kmsg.Request) {
	c := r.as(a.name).send(version, req)
	a.waiting, a.what = &c, fmt.Sprintf("%s %s", what, a.name)
}

// settle takes in the replies that have come.
func (r *randomHistory) settle() {
	for _, a := range r.actors {
		if a.waiting == nil || a.waiting.waits() {
			continue
		}
		resp := r.finish(a.what, *a.waiting)
		a.waiting = nil
		j, ok := resp.(*kmsg.JoinGroupResponse)
		if !ok {
			continue
		}
		switch j.ErrorCode {
		case 0:
			a.id, a.generation, a.leads, a.others = j.MemberID, j.Generation, j.LeaderID == j.MemberID, nil
			for _, m := range j.Members {
				a.others = append(a.others, m.MemberID)
			}
		case 79: // MEMBER_ID_REQUIRED
			a.id = j.MemberID
		case 25, 82: // UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID
			a.id = ""
		}
	}
}
