package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

func (m *Machine) heartbeat(t coordinator.Token, req *kmsg.HeartbeatRequest) {
	r := kmsg.NewPtrHeartbeatResponse()
	if err := m.beat(req); err != nil {
		r.ErrorCode = err.Code
	}
	m.out.ReplyNow(t, r)
}

func (m *Machine) beat(req *kmsg.HeartbeatRequest) *kerr.Error {
	g := m.groups[req.Group]
	if g == nil {
		return kerr.UnknownMemberID
	}
	mb, err := g.live.member(req.MemberID, req.InstanceID)
	if err != nil {
		return err
	}
	if req.Generation != g.live.generation {
		return kerr.IllegalGeneration
	}
	m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
	if g.live.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// expectHeartbeat gives a member timeoutMs from now to be heard of.
func (m *Machine) expectHeartbeat(g *group, mb *member, timeoutMs int64) {
	t := &mb.heartbeat
	if t.fire == nil {
		t.fire = func() { m.missed(g, mb) }
	}
	m.timers.schedule(t, m.now+timeoutMs, nil)
}

// missed is called when a member was not heard of in time.
func (m *Machine) missed(g *group, mb *member) {
	if mb.excused() {
		return // its deadline is set anew when it is answered
	}
	m.failJoin(g, mb, "", kerr.UnknownMemberID)
	g.live.remove(mb)
	m.afterRemoval(g, "member "+mb.id+" was not heard of within its session timeout")
}

// afterRemoval rebalances what is left of a group.
func (m *Machine) afterRemoval(g *group, reason string) {
	switch g.live.state {
	case Stable, CompletingRebalance:
		m.prepareRebalance(g, reason)
	case PreparingRebalance:
		m.completeIfAllJoined(g)
	}
}
