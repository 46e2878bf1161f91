package group

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

func (m *Machine) refuseSync(t coordinator.Token, err *kerr.Error) {
	r := kmsg.NewPtrSyncGroupResponse()
	r.ErrorCode = err.Code
	m.out.ReplyNow(t, r)
}

func (m *Machine) failSync(mb *member, err *kerr.Error) {
	if mb.awaitsSync() {
		m.refuseSync(mb.sync, err)
		mb.sync = 0
	}
}

// answerSync gives a member its assignment, once that is committed.
func (m *Machine) answerSync(g *group, t coordinator.Token, mb *member) {
	r := kmsg.NewPtrSyncGroupResponse()
	if g.live.protocolType != "" {
		r.ProtocolType = &g.live.protocolType
	}
	r.Protocol = g.live.protocol
	r.MemberAssignment = mb.assignment
	m.out.Reply(t, r)
}

func (m *Machine) syncGroup(t coordinator.Token, req *kmsg.SyncGroupRequest) {
	g := m.groups[req.Group]
	if g == nil || g.live.state == Empty {
		m.refuseSync(t, kerr.UnknownMemberID)
		return
	}
	l := g.live
	mb, err := l.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		m.refuseSync(t, err)
	case req.Generation != l.generation:
		m.refuseSync(t, kerr.IllegalGeneration)
	case differ(req.ProtocolType, &l.protocolType), differ(req.Protocol, l.protocol):
		m.refuseSync(t, kerr.InconsistentGroupProtocol)
	case l.state == PreparingRebalance:
		m.refuseSync(t, kerr.RebalanceInProgress)
	case l.state == Stable:
		m.synced(g, mb)
		m.answerSync(g, t, mb)
	default:
		m.failSync(mb, kerr.RebalanceInProgress) // an older request of this member, which nobody waits for
		mb.sync = t
		m.synced(g, mb)
		if mb.id == l.leader {
			m.assign(g, req.GroupAssignment)
		}
	}
}

// differ tells whether a request contradicts the group. Versions before 5 say nothing.
func differ(said, is *string) bool { return said != nil && is != nil && *is != "" && *said != *is }

// synced notes that a member has asked for its assignment.
func (m *Machine) synced(g *group, mb *member) {
	delete(g.live.unsynced, mb.id)
	if len(g.live.unsynced) == 0 {
		m.timers.cancel(&g.live.syncTimer)
	}
}

// assign takes the leader's assignment: it is written, and all who wait for it are answered when it is committed.
func (m *Machine) assign(g *group, assignments []kmsg.SyncGroupRequestGroupAssignment) {
	l := g.live
	for _, mb := range l.order {
		mb.assignment = nil
	}
	for i := range assignments {
		if mb := l.members[assignments[i].MemberID]; mb != nil {
			mb.assignment = bytes.Clone(assignments[i].MemberAssignment)
		}
	}
	record := groupRecord(g.id, l)
	if len(record.Value) > m.maxRecordBytes() {
		m.logger.Error("group's metadata does not fit into a record", "group", g.id, "bytes", len(record.Value),
			"limit", m.maxRecordBytes(), "setting", "max.message.bytes of "+Topic)
		m.cancelAssignment(g, kerr.UnknownServerError)
		m.rebalanceOrComplete(g, "its metadata became too large")
		return
	}
	m.out.Append(record)
	l.become(Stable, m.now)
	for _, mb := range l.order {
		if mb.awaitsSync() {
			m.answerSync(g, mb.sync, mb)
			mb.sync = 0
			m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
		}
	}
}

// maxRecordBytes is how large a record's value may be, with room for the key and the batch around it.
func (m *Machine) maxRecordBytes() int { return m.config().OffsetsTopicMaxBatchSize - 1024 }
