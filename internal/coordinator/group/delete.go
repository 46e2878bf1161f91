package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// deleteGroups removes empty groups and all their offsets.
func (m *Machine) deleteGroups(t coordinator.Token, req *kmsg.DeleteGroupsRequest) {
	r := kmsg.NewPtrDeleteGroupsResponse()
	m.out.Divisible = true
	for _, id := range req.Groups {
		rg := kmsg.NewDeleteGroupsResponseGroup()
		rg.Group = id
		f, occupied := m.occupied(id)
		switch g := m.groups[id]; {
		case occupied:
			rg.ErrorCode = kerr.NonEmptyGroup.Code
		case g == nil && f == nil, f != nil && f.kind != consumerKind:
			rg.ErrorCode = kerr.GroupIDNotFound.Code
		case g == nil:
			m.retire(id)
		case g.live.state != Empty:
			rg.ErrorCode = kerr.NonEmptyGroup.Code
		default:
			for invited := range g.live.invited {
				m.uninvite(g, invited)
			}
			for _, p := range m.places(g, nil) {
				m.out.Append(offsetTombstone(p.group, p.topic, p.partition))
			}
			m.retire(id)
			m.out.Append(groupTombstone(id))
			m.logger.Info("group is deleted", "group", id)
		}
		r.Groups = append(r.Groups, rg)
	}
	m.out.Reply(t, r)
}

// places are where the group has offsets, committed or in an open transaction; of some topics only, if topics is not nil.
func (m *Machine) places(g *group, topics []string) []place {
	found := map[place]struct{}{}
	named := make(map[string]bool, len(topics))
	for _, topic := range topics {
		named[topic] = true
	}
	wanted := func(topic string) bool { return topics == nil || named[topic] }
	for topic, partitions := range m.offsets[g.id] {
		if wanted(topic) {
			for p, s := range partitions {
				if s.latest != nil {
					found[place{g.id, topic, p}] = struct{}{}
				}
			}
		}
	}
	for producer := range g.openTxn {
		for p := range m.transactions[producer] {
			if p.group == g.id && wanted(p.topic) {
				found[p] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), place.compare)
}

// deleteOffsets removes offsets of topics that no member reads.
func (m *Machine) deleteOffsets(t coordinator.Token, req *kmsg.OffsetDeleteRequest) {
	r := kmsg.NewPtrOffsetDeleteResponse()
	g := m.groups[req.Group]
	if g == nil {
		r.ErrorCode = kerr.GroupIDNotFound.Code
	} else if g.live.state != Empty && !g.live.usesConsumerProtocol() {
		r.ErrorCode = kerr.NonEmptyGroup.Code
	}
	if r.ErrorCode != 0 {
		m.out.ReplyNow(t, r)
		return
	}
	m.out.Divisible = true
	for i := range req.Topics {
		topic := &req.Topics[i]
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = topic.Topic
		read := g.live.subscribes(topic.Topic)
		for j := range topic.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = topic.Partitions[j].Partition
			s := m.offsets[g.id].get(topic.Topic, rp.Partition)
			switch {
			case read:
				rp.ErrorCode = kerr.GroupSubscribedToTopic.Code
			case s != nil && s.latest != nil || m.unsettled(g, topic.Topic, rp.Partition):
				m.out.Append(offsetTombstone(g.id, topic.Topic, rp.Partition))
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	m.out.Reply(t, r)
}

// topicsDeleted forgets the offsets of topics that are gone: a topic made later under the same name is another one.
func (m *Machine) topicsDeleted(topics []string) {
	m.out.Divisible = true
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		for _, p := range m.places(m.groups[id], topics) {
			m.out.Append(offsetTombstone(p.group, p.topic, p.partition))
		}
	}
}
