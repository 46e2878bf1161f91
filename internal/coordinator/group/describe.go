package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// typeName is the group type of ListGroups (KIP-848) that this coordinator keeps.
const typeName = "classic"

// describeNotFoundFrom is the version of DescribeGroups from which a group that does not exist is an error (KIP-1043)
// and not a group in state Dead.
const describeNotFoundFrom = 6

func (m *Machine) describeGroups(t coordinator.Token, c Caller, req *kmsg.DescribeGroupsRequest) {
	r := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		r.Groups = append(r.Groups, m.describe(id, c.Version))
	}
	m.out.ReplyNow(t, r)
}

func (m *Machine) describe(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	r := kmsg.NewDescribeGroupsResponseGroup()
	r.Group = id
	g := m.groups[id]
	if m.foreign[id] != nil || g == nil {
		r.State = Dead.String()
		if version >= describeNotFoundFrom {
			text := "Group " + id + " not found."
			r.ErrorCode, r.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		}
		return r
	}
	l := g.live
	r.State = l.state.String()
	r.ProtocolType = l.protocolType
	settled := l.state == Stable && l.protocol != nil
	if settled {
		r.Protocol = *l.protocol
	}
	for _, mb := range l.order {
		rm := kmsg.NewDescribeGroupsResponseGroupMember()
		rm.MemberID, rm.InstanceID, rm.ClientID, rm.ClientHost = mb.id, mb.instanceID, mb.clientID, mb.clientHost
		rm.MemberAssignment = mb.assignment
		if settled {
			rm.ProtocolMetadata = mb.metadata(*l.protocol)
		}
		r.Members = append(r.Members, rm)
	}
	return r
}

// listGroups lists the partition's groups that pass the filters. Filters are compared without case; a name that
// nobody knows matches nothing.
func (m *Machine) listGroups(t coordinator.Token, req *kmsg.ListGroupsRequest) {
	r := kmsg.NewPtrListGroupsResponse()
	states, types := map[string]bool{}, map[string]bool{}
	for _, s := range req.StatesFilter {
		states[strings.ToLower(strings.TrimSpace(s))] = true // Kafka trims states, and not types
	}
	for _, s := range req.TypesFilter {
		types[strings.ToLower(s)] = true
	}
	add := func(id, kind, protocolType string, state string) {
		if len(types) > 0 && !types[strings.ToLower(kind)] || len(states) > 0 && !states[strings.ToLower(state)] {
			return
		}
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = id, protocolType, state, kind
		r.Groups = append(r.Groups, rg)
	}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		if m.foreign[id] == nil {
			add(id, typeName, m.groups[id].live.protocolType, m.groups[id].live.state.String())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.foreign)) {
		f, occupied := m.occupied(id)
		state := Empty.String()
		if occupied {
			state = "Unknown"
		}
		add(id, f.kind, f.kind, state)
	}
	m.out.ReplyNow(t, r)
}
