package group

import "github.com/twmb/franz-go/pkg/kmsg"

// JoinGroup (KIP-394 member ids, KIP-345 static members).
func (s *Service) JoinGroup(c Caller, req *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	panic("not yet")
}

// SyncGroup waits for the leader's assignment.
func (s *Service) SyncGroup(c Caller, req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	panic("not yet")
}

// Heartbeat keeps a member alive.
func (s *Service) Heartbeat(c Caller, req *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
	panic("not yet")
}

// LeaveGroup removes members.
func (s *Service) LeaveGroup(c Caller, req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	panic("not yet")
}

// OffsetCommit stores offsets. The caller has left only topics that exist, with both name and id set.
func (s *Service) OffsetCommit(c Caller, req *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse)) {
	panic("not yet")
}

// OffsetFetch answers the groups of req.Groups (versions before 8: the caller converts), topics by name and id as asked.
func (s *Service) OffsetFetch(c Caller, req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	panic("not yet")
}

// OffsetDelete removes offsets of topics that the group is not subscribed to.
func (s *Service) OffsetDelete(c Caller, req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
	panic("not yet")
}

// DescribeGroups describes each group.
func (s *Service) DescribeGroups(c Caller, req *kmsg.DescribeGroupsRequest, done func(*kmsg.DescribeGroupsResponse)) {
	panic("not yet")
}

// ListGroups lists the groups of the partitions this broker leads.
func (s *Service) ListGroups(c Caller, req *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
	panic("not yet")
}

// DeleteGroups removes empty groups with their offsets.
func (s *Service) DeleteGroups(c Caller, req *kmsg.DeleteGroupsRequest, done func(*kmsg.DeleteGroupsResponse)) {
	panic("not yet")
}
