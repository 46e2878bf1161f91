package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// leaveGroup removes members, each with its own result. The service has turned the single member of versions before 3
// into a list.
func (m *Machine) leaveGroup(t coordinator.Token, req *kmsg.LeaveGroupRequest) {
	r := kmsg.NewPtrLeaveGroupResponse()
	g := m.groups[req.Group]
	left := false
	for i := range req.Members {
		who := &req.Members[i]
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID = who.MemberID, who.InstanceID
		if err := m.leave(g, who); err != nil {
			rm.ErrorCode = err.Code
		} else {
			left = true
		}
		r.Members = append(r.Members, rm)
	}
	if left {
		switch g.live.state {
		case Stable, CompletingRebalance:
			m.prepareRebalance(g, "members left")
		case PreparingRebalance:
			m.completeIfRebalanced(g)
		}
	}
	m.out.Reply(t, r)
}

func (m *Machine) leave(g *group, who *kmsg.LeaveGroupRequestMember) *kerr.Error {
	if g == nil {
		return kerr.UnknownMemberID
	}
	l, id := g.live, who.MemberID
	if l.invited[id] != nil {
		m.uninvite(g, id)
		return nil
	}
	if id == "" && who.InstanceID != nil {
		// An administrator removes a static member, whose id it does not know.
		id = l.static[*who.InstanceID]
	}
	mb, err := l.member(id, who.InstanceID)
	if err != nil {
		return err
	}
	m.failJoin(g, mb, "", kerr.UnknownMemberID)
	m.failSync(mb, kerr.UnknownMemberID)
	m.timers.cancel(&mb.heartbeat)
	l.remove(mb)
	m.logger.Info("member leaves", "group", g.id, "member", id, "reason", reasonOf(who.Reason))
	return nil
}
