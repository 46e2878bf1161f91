package groups

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// script plays one scene against one broker and writes down what it answers.
type script struct {
	transcript
	open    func() *conn
	group   string // of this scene and run alone
	topic   string
	topicID [16]byte
	calls   map[string]*conn // a connection for each actor
}

// as is the connection of an actor; a request that waits does not hold up the others.
func (s *script) as(actor string) *conn {
	if s.calls[actor] == nil {
		s.calls[actor] = s.open()
	}
	return s.calls[actor]
}

// do asks and writes down.
func (s *script) do(actor, what string, version int16, req kmsg.Request) kmsg.Response {
	return s.finish(what, s.as(actor).send(version, req))
}

func (s *script) finish(what string, p call) kmsg.Response {
	r := p.reply()
	s.reply(what, r)
	return r
}

func ptr[T any](v T) *T { return &v }

// consumer is a member's metadata.
func consumer(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = topics
	return m.AppendTo(nil)
}

type joinOptions struct {
	member    string
	instance  *string
	kind      string // protocol type
	protocols []string
	session   int32
	metadata  []byte
}

func (s *script) join(o joinOptions) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = s.group, o.member, o.instance, "consumer"
	if o.kind != "" {
		req.ProtocolType = o.kind
	}
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
	if o.session != 0 {
		req.SessionTimeoutMillis = o.session
	}
	if o.metadata == nil {
		o.metadata = consumer(s.topic)
	}
	if o.protocols == nil {
		o.protocols = []string{"range"}
	}
	for _, name := range o.protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, o.metadata
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

func (s *script) sync(member string, generation int32, assign ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = s.group, member, generation
	req.ProtocolType, req.Protocol = ptr("consumer"), ptr("range")
	for i := 0; i < len(assign); i += 2 {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = assign[i], []byte(assign[i+1])
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func (s *script) heartbeat(member string, generation int32, instance *string) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = s.group, member, generation, instance
	return req
}

// leave removes members named "id" or "id@instance".
func (s *script) leave(members ...kmsg.LeaveGroupRequestMember) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = s.group, members
	if len(members) > 0 {
		req.MemberID = members[0].MemberID
	}
	return req
}

func who(id string, instance *string) kmsg.LeaveGroupRequestMember {
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = id, instance
	return m
}

func (s *script) commit(member string, generation int32, topic string, id [16]byte, offsets map[int32]int64, metadata *string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = s.group, member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	for p := int32(0); p < 100; p++ {
		if at, ok := offsets[p]; ok {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, at, 3, metadata
			t.Partitions = append(t.Partitions, rp)
		}
	}
	req.Topics = append(req.Topics, t)
	return req
}

// fetch asks for offsets in whatever form the version has. No partitions means all.
func (s *script) fetch(version int16, topic string, id [16]byte, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	if version < 8 {
		req.Group = s.group
		if len(partitions) > 0 {
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: partitions}}
		}
		return req
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = s.group
	if len(partitions) > 0 {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: partitions}}
	}
	req.Groups = append(req.Groups, g)
	return req
}

func (s *script) describe(groups ...string) *kmsg.DescribeGroupsRequest {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = groups
	return req
}

// list asks for this scene's group alone: others may be there.
func (s *script) list(version int16, states, types []string) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	r := s.as("lister").send(version, req).reply().(*kmsg.ListGroupsResponse)
	var mine []kmsg.ListGroupsResponseGroup
	for _, g := range r.Groups {
		if g.Group == s.group {
			mine = append(mine, g)
		}
	}
	r.Groups = mine
	s.reply(fmt.Sprintf("list states=%q types=%q", states, types), r)
}

func (s *script) deleteGroups(groups ...string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = groups
	return req
}

func (s *script) offsetDelete(topic string, partitions ...int32) *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = s.group
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
	}
	req.Topics = append(req.Topics, t)
	return req
}

// member joins as a dynamic member by the two steps of KIP-394 and returns the call that waits, and the id.
func (s *script) member(actor string, protocols ...string) (call, string) {
	r := s.as(actor).send(9, s.join(joinOptions{protocols: protocols})).reply().(*kmsg.JoinGroupResponse)
	s.reply("invite "+actor, r)
	return s.as(actor).send(9, s.join(joinOptions{member: r.MemberID, protocols: protocols})), r.MemberID
}

// stable brings about a stable generation 1 of one member.
func (s *script) stable(actor string) string {
	p, id := s.member(actor)
	s.finish("join "+actor, p)
	s.do(actor, "sync "+actor, 5, s.sync(id, 1, id, "a1"))
	return id
}
