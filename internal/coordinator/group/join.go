package group

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

const (
	// newMemberTimeoutMs is how long a JoinGroup of a new member may wait. Its client cannot send heartbeats, so this is
	// what ends it if the client has gone (Kafka's NewMemberJoinTimeoutMs).
	newMemberTimeoutMs = 5 * 60 * 1000
	// memberIDRequiredFrom is the version of JoinGroup from which a member must come back with the id it was given, so
	// that a client that never does leaves no member behind (KIP-394).
	memberIDRequiredFrom = 4
	// skipAssignmentFrom is the version in which a static leader that returns is told that it is the leader, and not to
	// assign (KIP-814). Before, it was told of a leader that does not exist any more.
	skipAssignmentFrom = 9
	// noGeneration is the generation of a reply that carries an error.
	noGeneration = -1
)

func (m *Machine) refuseJoin(t coordinator.Token, memberID string, err *kerr.Error) {
	r := kmsg.NewPtrJoinGroupResponse()
	r.ErrorCode = err.Code
	r.Generation = noGeneration
	r.MemberID = memberID
	m.out.ReplyNow(t, r)
}

// admit is the reply that tells a member of the present generation.
func (l *live) admit(memberID string) *kmsg.JoinGroupResponse {
	r := kmsg.NewPtrJoinGroupResponse()
	r.MemberID = memberID
	r.Generation = l.generation
	if l.protocolType != "" {
		r.ProtocolType = &l.protocolType
	}
	r.Protocol = l.protocol
	r.LeaderID = l.leader
	return r
}

// roster is what a leader is told of the members.
func (l *live) roster() []kmsg.JoinGroupResponseMember {
	ms := make([]kmsg.JoinGroupResponseMember, len(l.order))
	for i, mb := range l.order {
		ms[i] = kmsg.NewJoinGroupResponseMember()
		ms[i].MemberID = mb.id
		ms[i].InstanceID = mb.instanceID
		ms[i].ProtocolMetadata = mb.metadata(*l.protocol)
	}
	return ms
}

// readProtocols copies a request's protocols; a name that comes twice counts once.
func readProtocols(offered []kmsg.JoinGroupRequestProtocol) []protocol {
	ps := make([]protocol, 0, len(offered))
	seen := make(map[string]struct{}, len(offered)) // a request may offer a million, and the shard waits
	for i := range offered {
		if _, twice := seen[offered[i].Name]; !twice {
			seen[offered[i].Name] = struct{}{}
			ps = append(ps, protocol{offered[i].Name, bytes.Clone(offered[i].Metadata)})
		}
	}
	return ps
}

// joining is a JoinGroup request under decision.
type joining struct {
	token     coordinator.Token
	caller    Caller
	req       *kmsg.JoinGroupRequest
	protocols []protocol
	newID     string // for a member that brings no id
}

func (m *Machine) joinGroup(t coordinator.Token, c Caller, req *kmsg.JoinGroupRequest, newID string) {
	if f, occupied := m.occupied(req.Group); f != nil {
		if occupied || f.kind != consumerKind {
			m.refuseJoin(t, "", kerr.InconsistentGroupProtocol)
			return
		}
		m.retire(req.Group) // the members of a consumer group that is left behind come as classic ones
	}
	g := m.groups[req.Group]
	isNew := g == nil
	before := len(m.out.Records)
	if isNew {
		if req.MemberID != "" {
			m.refuseJoin(t, req.MemberID, kerr.UnknownMemberID)
			return
		}
		g = m.create(req.Group)
	}
	j := &joining{token: t, caller: c, req: req, protocols: readProtocols(req.Protocols), newID: newID}
	switch {
	case !g.live.accepts(req.MemberID, m.config().MaxSize):
		m.refuseJoin(t, "", kerr.GroupMaxSizeReached)
		m.dismiss(g, req.MemberID)
		m.completeIfRebalanced(g) // nobody need wait for it (Kafka waits for the rebalance timeout)
	case !g.live.supports(req.ProtocolType, j.protocols):
		m.refuseJoin(t, req.MemberID, kerr.InconsistentGroupProtocol)
	case req.MemberID == "":
		m.joinNew(g, j)
	default:
		m.joinAgain(g, j)
	}
	if isNew && len(m.out.Records) == before {
		// A member id that was given out must mean something after a failover, and a group that exists be listed.
		m.out.Append(groupRecord(g.id, newLive(m.now)))
	}
}

// accepts tells whether there is room for a member (group.max.size). While members are joining, those who wait are
// counted and not those who are expected, so that a group that has grown too large loses the ones that come last.
func (l *live) accepts(memberID string, maxSize int) bool {
	mb := l.members[memberID]
	switch l.state {
	case PreparingRebalance:
		return mb != nil && mb.awaitsJoin() || l.awaitJoin < maxSize
	case CompletingRebalance, Stable:
		return mb != nil || len(l.members) < maxSize
	}
	return true
}

// dismiss removes a member or an invitation, if there is one.
func (m *Machine) dismiss(g *group, memberID string) {
	if mb := g.live.members[memberID]; mb != nil {
		m.timers.cancel(&mb.heartbeat)
		g.live.remove(mb)
	}
	m.uninvite(g, memberID)
}

func (m *Machine) uninvite(g *group, memberID string) {
	if t := g.live.invited[memberID]; t != nil {
		m.timers.cancel(t)
		delete(g.live.invited, memberID)
	}
}

// joinNew takes a member that has no id.
func (m *Machine) joinNew(g *group, j *joining) {
	instance := j.req.InstanceID
	switch {
	case instance != nil:
		id := *instance + "-" + j.newID
		if old := g.live.members[g.live.static[*instance]]; old != nil {
			m.replaceStatic(g, j, old, id)
		} else {
			m.addMember(g, j, id)
		}
	case j.caller.Version >= memberIDRequiredFrom:
		id := j.caller.ClientID + "-" + j.newID
		t := &timer{}
		g.live.invited[id] = t
		m.timers.schedule(t, m.now+int64(j.req.SessionTimeoutMillis), func() {
			delete(g.live.invited, id)
			m.completeIfAllJoined(g)
		})
		m.refuseJoin(j.token, id, kerr.MemberIDRequired)
	default:
		m.addMember(g, j, j.caller.ClientID+"-"+j.newID)
	}
}

// joinAgain takes a member that has an id: one that was given out a moment ago, or one that rejoins.
func (m *Machine) joinAgain(g *group, j *joining) {
	l, id := g.live, j.req.MemberID
	if l.invited[id] != nil {
		if j.req.InstanceID != nil {
			// Ids are given out to dynamic members only.
			m.refuseJoin(j.token, id, kerr.UnknownMemberID)
			return
		}
		m.addMember(g, j, id)
		return
	}
	mb, err := l.member(id, j.req.InstanceID)
	if err != nil {
		m.refuseJoin(j.token, id, err)
		return
	}
	switch {
	case l.state == PreparingRebalance:
	case l.state == Stable && l.leader == id:
		// A leader that joins again wants a rebalance, for a reason that need not show in its subscription, such as
		// more partitions of a topic.
	case !mb.offers(j.protocols):
	default:
		// It may have missed the reply, or it follows a leader and has nothing new to say.
		r := l.admit(id)
		if l.state == CompletingRebalance && l.leader == id {
			r.Members = l.roster()
		}
		m.out.ReplyNow(j.token, r)
		return
	}
	m.updateMember(g, mb, j)
	m.rebalanceOrComplete(g, "member "+id+" joins again"+reasonOf(j.req.Reason))
}

func reasonOf(said *string) string {
	if said == nil || *said == "" {
		return ""
	}
	return "; it says: " + *said
}

// member finds a member by its id, and for a static one checks that the id is still the one of that instance: two
// processes with one instance id must not both be members (KIP-345).
func (l *live) member(id string, instance *string) (*member, *kerr.Error) {
	if instance != nil {
		current, ok := l.static[*instance]
		if !ok {
			return nil, kerr.UnknownMemberID
		}
		if current != id {
			return nil, kerr.FencedInstanceID
		}
	}
	mb := l.members[id]
	if mb == nil {
		return nil, kerr.UnknownMemberID
	}
	return mb, nil
}

func (m *Machine) addMember(g *group, j *joining, id string) {
	l := g.live
	m.uninvite(g, id)
	if len(l.members) == 0 {
		l.protocolType = j.req.ProtocolType
	}
	if l.state == PreparingRebalance && l.previous == Empty {
		l.newMemberAdded = true
	}
	mb := &member{
		id: id, instanceID: j.req.InstanceID, clientID: j.caller.ClientID, clientHost: j.caller.ClientHost,
		rebalanceTimeoutMs: j.req.RebalanceTimeoutMillis, sessionTimeoutMs: j.req.SessionTimeoutMillis,
		protocols: j.protocols, join: j.token, isNew: true,
	}
	l.add(mb)
	m.expectHeartbeat(g, mb, newMemberTimeoutMs)
	m.rebalanceOrComplete(g, "member "+id+" joins"+reasonOf(j.req.Reason))
}

// updateMember takes over what a member says when it joins again, and has its request wait.
func (m *Machine) updateMember(g *group, mb *member, j *joining) {
	l := g.live
	l.countProtocols(mb, -1)
	mb.protocols = j.protocols
	l.countProtocols(mb, 1)
	mb.rebalanceTimeoutMs = j.req.RebalanceTimeoutMillis
	mb.sessionTimeoutMs = j.req.SessionTimeoutMillis
	if mb.awaitsJoin() {
		// The client gave up waiting and asks again; the older request has no listener any more.
		m.refuseJoin(mb.join, mb.id, kerr.RebalanceInProgress)
	} else {
		l.awaitJoin++
	}
	mb.join = j.token
}

// answerJoin ends a member's wait for the join phase.
func (m *Machine) answerJoin(g *group, mb *member, r *kmsg.JoinGroupResponse) {
	if mb.awaitsJoin() {
		if len(m.out.Records) > 0 {
			m.out.Reply(mb.join, r)
		} else {
			m.out.ReplyNow(mb.join, r) // a generation in the making is in no record yet
		}
		mb.join = 0
		g.live.awaitJoin--
	}
}

// failJoin ends it with an error.
func (m *Machine) failJoin(g *group, mb *member, memberID string, err *kerr.Error) {
	if mb.awaitsJoin() {
		m.refuseJoin(mb.join, memberID, err)
		mb.join = 0
		g.live.awaitJoin--
	}
}
