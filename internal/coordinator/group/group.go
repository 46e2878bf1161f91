package group

import "slices"

// group is a consumer group: what the log says of it, and what is going on in it.
type group struct {
	id      string
	stored  *stored            // nil: offsets only, nobody has ever joined (a simple group)
	live    *live              // nil while loading
	openTxn map[int64]struct{} // producers with offsets in a transaction that has not ended
}

// stored is the group's metadata as last written, by the sync of a generation's leader or when the group became empty.
type stored struct {
	protocolType string // "" if unknown
	generation   int32
	protocol     *string
	leader       *string
	timestampMs  int64 // when the group came to its state, -1 if unknown
	members      []storedMember
}

type storedMember struct {
	id, clientID, clientHost             string
	instanceID                           *string
	rebalanceTimeoutMs, sessionTimeoutMs int32
	subscription, assignment             []byte
}

// live is the present generation and the next one in the making. It is soft state: a failover sets it back to what is
// stored. That costs the members who are joining or syncing another round of JoinGroup, and sets all heartbeat deadlines
// anew; a rebalance under way begins again. Members of a stored generation keep their place.
type live struct {
	state       State
	previous    State
	timestampMs int64 // of the last change of state, -1 if unknown

	generation   int32
	protocolType string // "" if no member has ever joined
	protocol     *string
	leader       string // a member's id, "" without members

	members   map[string]*member
	order     []*member         // in the order of joining: what the log and replies list
	static    map[string]string // instance id -> member id
	offered   map[string]int    // protocol -> how many members offer it
	awaitJoin int               // how many members wait for the join phase to end

	invited  map[string]*timer   // member ids that were given out (KIP-394) and have not joined yet
	unsynced map[string]struct{} // members of the generation that have not sent SyncGroup
	topics   map[string]struct{} // subscribed by the generation's members; nil: not known

	newMemberAdded bool // since the initial rebalance delay began, or was last prolonged
	joinTimer      timer
	syncTimer      timer
}

func newLive(now int64) *live {
	return &live{
		state: Empty, previous: Dead, timestampMs: now,
		members: map[string]*member{}, static: map[string]string{}, offered: map[string]int{},
		invited: map[string]*timer{}, unsynced: map[string]struct{}{},
	}
}

// revive is the live state of a group that was read from the log.
func revive(s *stored) *live {
	l := newLive(-1)
	if s == nil {
		return l
	}
	l.timestampMs = s.timestampMs
	l.generation = s.generation
	l.protocol = s.protocol
	for _, sm := range s.members {
		m := &member{
			id: sm.id, instanceID: sm.instanceID, clientID: sm.clientID, clientHost: sm.clientHost,
			rebalanceTimeoutMs: sm.rebalanceTimeoutMs, sessionTimeoutMs: sm.sessionTimeoutMs, assignment: sm.assignment,
		}
		if s.protocol != nil {
			m.protocols = []protocol{{*s.protocol, sm.subscription}}
		}
		l.add(m)
	}
	l.protocolType = s.protocolType
	if len(l.members) > 0 {
		l.state = Stable
		if s.leader != nil && l.members[*s.leader] != nil {
			l.leader = *s.leader
		}
	}
	l.topics = l.subscribedTopics()
	return l
}

// become changes the state.
func (l *live) become(next State, now int64) {
	if !l.state.mayBecome(next) {
		panic("group: " + l.state.String() + " cannot become " + next.String())
	}
	l.previous, l.state, l.timestampMs = l.state, next, now
}

// canRebalance tells whether a rebalance may begin.
func (l *live) canRebalance() bool { return l.state.mayBecome(PreparingRebalance) }

func (l *live) add(m *member) {
	if m.instanceID != nil {
		l.static[*m.instanceID] = m.id
	}
	if l.leader == "" {
		l.leader = m.id
	}
	l.members[m.id] = m
	l.order = append(l.order, m)
	l.countProtocols(m, 1)
	if m.awaitsJoin() {
		l.awaitJoin++
	}
}

func (l *live) remove(m *member) {
	delete(l.members, m.id)
	l.order = slices.DeleteFunc(l.order, func(o *member) bool { return o == m })
	l.countProtocols(m, -1)
	if m.awaitsJoin() {
		l.awaitJoin--
	}
	if m.instanceID != nil {
		delete(l.static, *m.instanceID)
	}
	if l.leader == m.id {
		l.leader = ""
		if len(l.order) > 0 {
			l.leader = l.order[0].id
		}
	}
	delete(l.unsynced, m.id)
}

func (l *live) countProtocols(m *member, by int) {
	for i := range m.protocols {
		name := m.protocols[i].name
		if l.offered[name] += by; l.offered[name] == 0 {
			delete(l.offered, name)
		}
	}
}

// allJoined tells whether nobody is missing from the join phase.
func (l *live) allJoined() bool { return l.awaitJoin == len(l.members) && len(l.invited) == 0 }

// rebalanceTimeoutMs is how long members have to join: the longest any of them asks for.
func (l *live) rebalanceTimeoutMs() int64 {
	var longest int32
	for _, m := range l.order {
		longest = max(longest, m.rebalanceTimeoutMs)
	}
	return int64(longest)
}

// electJoined makes sure that the leader is a member who has joined. It says false if there is none.
func (l *live) electJoined() bool {
	if leader := l.members[l.leader]; leader != nil && leader.awaitsJoin() {
		return true
	}
	for _, m := range l.order {
		if m.awaitsJoin() {
			l.leader = m.id
			return true
		}
	}
	return false
}

// supports tells whether a member with these protocols could belong to the group.
func (l *live) supports(protocolType string, ps []protocol) bool {
	if l.state == Empty {
		return protocolType != "" && len(ps) > 0
	}
	return l.protocolType == protocolType && slices.ContainsFunc(ps, func(p protocol) bool {
		return l.offered[p.name] == len(l.members)
	})
}

// usesConsumerProtocol tells whether the members' metadata are subscriptions of consumers.
func (l *live) usesConsumerProtocol() bool { return l.protocolType == consumerProtocolType }

// subscribes tells whether a consumer of the group may read topic. Not knowing counts as yes.
func (l *live) subscribes(topic string) bool {
	if l.topics == nil {
		return l.usesConsumerProtocol()
	}
	_, ok := l.topics[topic]
	return ok
}
