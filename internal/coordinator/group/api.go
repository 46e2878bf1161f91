package group

import (
	"crypto/rand"
	"fmt"

	"gregor/internal/coordinator"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ask submits a request about one group. fail makes the reply of an error that did not come from the machine.
func ask[R kmsg.Response](s *Service, group string, e Event, done func(R), fail func(*kerr.Error) R) {
	s.runtime.Submit(s.PartitionFor(group), e, func(r kmsg.Response, err error) {
		if err != nil {
			done(fail(coordinator.Code(err)))
			return
		}
		done(r.(R))
	})
}

// JoinGroup waits until the member belongs to a generation (KIP-394 member ids, KIP-345 static members).
func (s *Service) JoinGroup(c Caller, req *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	memberID := req.MemberID // and not the request, which would be kept for as long as the member waits
	refuse := func(err *kerr.Error) *kmsg.JoinGroupResponse {
		r := kmsg.NewPtrJoinGroupResponse()
		r.ErrorCode, r.Generation, r.MemberID = err.Code, noGeneration, memberID
		return r
	}
	config := s.config()
	switch {
	case req.Group == "":
		done(refuse(kerr.InvalidGroupID))
		return
	case req.SessionTimeoutMillis < config.MinSessionTimeoutMs, req.SessionTimeoutMillis > config.MaxSessionTimeoutMs:
		done(refuse(kerr.InvalidSessionTimeout))
		return
	case !memberIDFits(c, req):
		done(refuse(kerr.InvalidRequest))
		return
	}
	if c.Version == 0 || req.RebalanceTimeoutMillis < 0 {
		req.RebalanceTimeoutMillis = req.SessionTimeoutMillis
	}
	e := Event{Caller: c, Request: req}
	if req.MemberID == "" {
		e.NewMemberID = randomUUID()
	}
	ask(s, req.Group, e, done, refuse)
}

// memberIDFits tells whether the id that a new member would get fits into a string of the protocol. In a group's record
// its length is an int16, so that a longer one would make the record unreadable, for us and for Apache Kafka.
func memberIDFits(c Caller, req *kmsg.JoinGroupRequest) bool {
	const uuid, limit = 36, 1<<15 - 1
	prefix := c.ClientID
	if req.InstanceID != nil {
		prefix = *req.InstanceID
	}
	return req.MemberID != "" || len(prefix)+len("-")+uuid <= limit
}

// randomUUID is a UUID of version 4, as Kafka ends its member ids with.
func randomUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// SyncGroup waits for the leader's assignment to be committed.
func (s *Service) SyncGroup(c Caller, req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	refuse := func(err *kerr.Error) *kmsg.SyncGroupResponse {
		r := kmsg.NewPtrSyncGroupResponse()
		r.ErrorCode = err.Code
		return r
	}
	switch {
	case req.Group == "":
		done(refuse(kerr.InvalidGroupID))
	case c.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		done(refuse(kerr.InconsistentGroupProtocol)) // KIP-559
	default:
		ask(s, req.Group, Event{Caller: c, Request: req}, done, refuse)
	}
}

// Heartbeat keeps a member alive. While the group is loading it succeeds: its deadline is set anew afterwards anyway.
func (s *Service) Heartbeat(c Caller, req *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
	refuse := func(err *kerr.Error) *kmsg.HeartbeatResponse {
		r := kmsg.NewPtrHeartbeatResponse()
		if err != kerr.CoordinatorLoadInProgress {
			r.ErrorCode = err.Code
		}
		return r
	}
	if req.Group == "" {
		done(refuse(kerr.InvalidGroupID))
		return
	}
	ask(s, req.Group, Event{Caller: c, Request: req}, done, refuse)
}

// leaveBatchFrom is the version of LeaveGroup with a list of members.
const leaveBatchFrom = 3

// LeaveGroup removes members.
func (s *Service) LeaveGroup(c Caller, req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	refuse := func(err *kerr.Error) *kmsg.LeaveGroupResponse {
		r := kmsg.NewPtrLeaveGroupResponse()
		r.ErrorCode = err.Code
		return r
	}
	if req.Group == "" {
		done(refuse(kerr.InvalidGroupID))
		return
	}
	reply := done
	if c.Version < leaveBatchFrom {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = req.MemberID
		req.Members = []kmsg.LeaveGroupRequestMember{one}
		reply = func(r *kmsg.LeaveGroupResponse) {
			if len(r.Members) == 1 {
				r.ErrorCode, r.Members = r.Members[0].ErrorCode, nil
			}
			done(r)
		}
	}
	ask(s, req.Group, Event{Caller: c, Request: req}, reply, refuse)
}

// OffsetCommit stores offsets. The caller has left only topics that exist, with both name and id set.
func (s *Service) OffsetCommit(c Caller, req *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse)) {
	ask(s, req.Group, Event{Caller: c, Request: req}, done, func(err *kerr.Error) *kmsg.OffsetCommitResponse {
		return refuseCommit(req, err)
	})
}

// OffsetDelete removes offsets of topics that the group is not subscribed to.
func (s *Service) OffsetDelete(c Caller, req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
	refuse := func(err *kerr.Error) *kmsg.OffsetDeleteResponse {
		r := kmsg.NewPtrOffsetDeleteResponse()
		r.ErrorCode = err.Code
		return r
	}
	if req.Group == "" {
		done(refuse(kerr.InvalidGroupID))
		return
	}
	ask(s, req.Group, Event{Caller: c, Request: req}, done, refuse)
}
