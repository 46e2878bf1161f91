package group

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A rebalance has two phases. In the join phase (PreparingRebalance) the members' JoinGroup requests wait for each other,
// at most for the longest rebalance timeout. Then a generation begins: everybody is answered, and in the sync phase
// (CompletingRebalance) the SyncGroup requests wait for that of the leader, which brings the assignment. It is written to
// the log, and the group is Stable.

// rebalanceOrComplete begins a rebalance, or ends the join phase of the present one if it waits for nobody any more.
func (m *Machine) rebalanceOrComplete(g *group, reason string) {
	if g.live.canRebalance() {
		m.prepareRebalance(g, reason)
	} else {
		m.completeIfRebalanced(g)
	}
}

// prepareRebalance begins the join phase.
func (m *Machine) prepareRebalance(g *group, reason string) {
	l := g.live
	if l.state == CompletingRebalance {
		m.cancelAssignment(g, kerr.RebalanceInProgress)
	}
	m.endSyncPhase(g)
	initial := l.state == Empty
	l.become(PreparingRebalance, m.now)
	m.logger.Info("group rebalances", "group", g.id, "generation", l.generation, "members", len(l.members), "reason", reason)
	switch {
	case initial:
		// Wait for more members of a group that has just begun: each rebalance costs all of them.
		delay := m.gatherMs()
		m.waitForMore(g, delay, max(l.rebalanceTimeoutMs()-delay, 0))
	case l.allJoined():
		m.completeJoin(g)
	default:
		m.scheduleJoinTimeout(g)
	}
}

// minGatherMs is the least that a new group waits for more members after the last that came, even without an initial rebalance
// delay. Clients that start together are a moment apart, and whoever comes after the first rebalance makes those that were
// in it wait for their next heartbeat: 3 s, with a client's defaults. Apache Kafka takes a delay of 0 at its word.
const minGatherMs = 2

func (m *Machine) gatherMs() int64 {
	return max(int64(m.config().InitialRebalanceDelayMs), minGatherMs)
}

// waitForMore ends the initial join phase after delayMs, or prolongs it if members came meanwhile, by no more than the
// delay at a time and by leftMs altogether.
func (m *Machine) waitForMore(g *group, delayMs, leftMs int64) {
	l := g.live
	m.timers.schedule(&l.joinTimer, m.now+delayMs, func() {
		if !l.newMemberAdded || leftMs == 0 {
			m.completeJoin(g)
			return
		}
		l.newMemberAdded = false
		m.waitForMore(g, min(m.gatherMs(), leftMs), max(leftMs-delayMs, 0))
	})
}

func (m *Machine) scheduleJoinTimeout(g *group) {
	m.timers.schedule(&g.live.joinTimer, m.now+g.live.rebalanceTimeoutMs(), func() { m.completeJoin(g) })
}

// completeIfRebalanced ends the join phase if everybody is there, except that of a new group, which waits out its delay.
func (m *Machine) completeIfRebalanced(g *group) {
	if g.live.previous != Empty {
		m.completeIfAllJoined(g)
	}
}

func (m *Machine) completeIfAllJoined(g *group) {
	if g.live.state == PreparingRebalance && g.live.allJoined() {
		m.completeJoin(g)
	}
}

// completeJoin ends the join phase: dynamic members that have not come are out, and a generation begins with the others,
// or the group is empty.
func (m *Machine) completeJoin(g *group) {
	l := g.live
	m.timers.cancel(&l.joinTimer)
	var absent []*member
	for _, mb := range l.order {
		if !mb.awaitsJoin() && mb.instanceID == nil {
			absent = append(absent, mb)
		}
	}
	for _, mb := range absent {
		m.timers.cancel(&mb.heartbeat)
		l.remove(mb)
	}
	if len(absent) > 0 {
		m.logger.Info("group goes on without members that did not join in time", "group", g.id, "members", names(absent))
	}
	if len(l.members) > 0 && !l.electJoined() {
		// Static members that have not come keep their place until their session ends.
		m.scheduleJoinTimeout(g)
		return
	}
	l.generation++
	clear(l.unsynced)
	l.newMemberAdded = false
	if len(l.members) == 0 {
		l.protocol = nil
		l.topics = l.subscribedTopics()
		l.become(Empty, m.now)
		m.logger.Info("group is empty", "group", g.id, "generation", l.generation)
		m.out.Append(groupRecord(g.id, l))
		return
	}
	chosen := l.selectProtocol()
	l.protocol = &chosen
	l.topics = l.subscribedTopics()
	l.become(CompletingRebalance, m.now)
	m.logger.Info("group begins a generation", "group", g.id, "generation", l.generation, "members", len(l.members),
		"protocol", chosen)
	for _, mb := range l.order {
		r := l.admit(mb.id)
		if mb.id == l.leader {
			r.Members = l.roster()
		}
		m.answerJoin(g, mb, r)
		mb.isNew = false
		m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
		l.unsynced[mb.id] = struct{}{}
	}
	m.scheduleSyncTimeout(g)
}

func names(ms []*member) string {
	ids := make([]string, len(ms))
	for i, mb := range ms {
		ids[i] = mb.id
	}
	return strings.Join(ids, ", ")
}

// scheduleSyncTimeout has the members out that have joined but do not ask for their assignment within the rebalance
// timeout: those partitions would not be read.
func (m *Machine) scheduleSyncTimeout(g *group) {
	l := g.live
	m.timers.schedule(&l.syncTimer, m.now+l.rebalanceTimeoutMs(), func() {
		var absent []*member
		for _, mb := range l.order {
			if _, ok := l.unsynced[mb.id]; ok {
				absent = append(absent, mb)
			}
		}
		if len(absent) == 0 {
			return
		}
		for _, mb := range absent {
			m.timers.cancel(&mb.heartbeat)
			l.remove(mb)
		}
		m.prepareRebalance(g, "members did not ask for their assignment in time: "+names(absent))
	})
}

func (m *Machine) endSyncPhase(g *group) {
	clear(g.live.unsynced)
	m.timers.cancel(&g.live.syncTimer)
}

// cancelAssignment answers the SyncGroup requests that wait with an error.
func (m *Machine) cancelAssignment(g *group, err *kerr.Error) {
	for _, mb := range g.live.order {
		mb.assignment = nil
		if mb.awaitsSync() {
			m.failSync(mb, err)
			m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
		}
	}
}
