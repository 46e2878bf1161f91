package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
)

// replaceStatic gives the place of a static member to a new process with the same instance id (KIP-345). In a stable
// group whose choice of protocol does not change by it, nobody else notices.
func (m *Machine) replaceStatic(g *group, j *joining, old *member, id string) {
	l := g.live
	formerLeader := l.leader
	m.failJoin(g, old, old.id, kerr.FencedInstanceID)
	m.failSync(old, kerr.FencedInstanceID)
	m.timers.cancel(&old.heartbeat)

	mb := &member{
		id: id, instanceID: old.instanceID, clientID: old.clientID, clientHost: old.clientHost,
		protocols: old.protocols, assignment: old.assignment,
	}
	l.rename(old, mb)
	m.updateMember(g, mb, j)
	m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))

	switch {
	case l.state == CompletingRebalance:
		// The leader may have been told of the old id already and would assign to it.
		m.prepareRebalance(g, "static member "+id+" replaces "+old.id+reasonOf(j.req.Reason))
	case l.state != Stable:
		m.completeIfRebalanced(g)
	case l.protocol == nil || l.selectProtocol() != *l.protocol:
		m.rebalanceOrComplete(g, "static member "+id+" changes the choice of protocol"+reasonOf(j.req.Reason))
	default:
		record := groupRecord(g.id, l)
		if len(record.Value) > m.maxRecordBytes() {
			m.failJoin(g, mb, "", kerr.UnknownServerError)
			m.prepareRebalance(g, "the group's metadata became too large")
			return
		}
		m.out.Append(record)
		r := l.admit(id)
		if j.caller.Version >= skipAssignmentFrom {
			if l.leader == id {
				r.Members, r.SkipAssignment = l.roster(), true
			}
		} else {
			// If it was the leader, it is told of its own former id, so that it does not assign.
			r.LeaderID = formerLeader
		}
		m.answerJoin(g, mb, r)
	}
}

// rename puts mb where old was.
func (l *live) rename(old, mb *member) {
	delete(l.members, old.id)
	l.members[mb.id] = mb
	for i, o := range l.order {
		if o == old {
			l.order[i] = mb
		}
	}
	if l.leader == old.id {
		l.leader = mb.id
	}
	l.static[*mb.instanceID] = mb.id
	if _, ok := l.unsynced[old.id]; ok {
		delete(l.unsynced, old.id)
		l.unsynced[mb.id] = struct{}{}
	}
}
