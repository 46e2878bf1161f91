package group

import (
	"cmp"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// fetchOffsets answers for the groups of req.Groups. Topics come by name; an id, if there is one, must be that of the
// topic the offset was committed for.
//
// With RequireStable the newest offsets count, those of open transactions make their partitions UNSTABLE_OFFSET_COMMIT,
// and the answer waits until what it says is committed (KIP-447). Without, the answer comes at once from what is
// committed.
func (m *Machine) fetchOffsets(t coordinator.Token, req *kmsg.OffsetFetchRequest) {
	r := kmsg.NewPtrOffsetFetchResponse()
	f := fetchingOffsets{Machine: m, stable: req.RequireStable}
	for i := range req.Groups {
		r.Groups = append(r.Groups, f.group(&req.Groups[i]))
	}
	if req.RequireStable {
		m.out.Reply(t, r)
	} else {
		m.out.ReplyNow(t, r)
	}
}

// fetchingOffsets is one OffsetFetch. What is asked again is answered with less: all offsets of a group come once, and an
// offset's metadata too. Four bytes that name a partition would else give four thousand, and a request would give more
// than there is memory.
type fetchingOffsets struct {
	*Machine
	stable bool
	all    map[string]bool  // groups of which all offsets were given
	told   map[*offset]bool // offsets whose metadata was given
}

func (m *fetchingOffsets) group(req *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	r := kmsg.NewOffsetFetchResponseGroup()
	r.Group = req.Group
	if req.Topics == nil {
		if !m.all[req.Group] {
			r.Topics = m.fetchAll(req.Group)
			note(&m.all, req.Group)
		}
		return r
	}
	for i := range req.Topics {
		topic := &req.Topics[i]
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			rt.Partitions = append(rt.Partitions, m.fetchPartition(place{req.Group, topic.Topic, p}, topic.TopicID))
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// note adds to a set that is made when it is needed.
func note[K comparable](set *map[K]bool, k K) {
	if *set == nil {
		*set = map[K]bool{}
	}
	(*set)[k] = true
}

func (m *fetchingOffsets) fetchAll(group string) []kmsg.OffsetFetchResponseGroupTopic {
	var topics []kmsg.OffsetFetchResponseGroupTopic
	for _, name := range slices.Sorted(maps.Keys(m.offsets[group])) {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic = name
		for p, s := range m.offsets[group][name] {
			if s.seen(m.stable) != nil {
				rt.Partitions = append(rt.Partitions, m.fetchPartition(place{group, name, p}, [16]byte{}))
			}
		}
		if len(rt.Partitions) > 0 {
			slices.SortFunc(rt.Partitions, func(a, b kmsg.OffsetFetchResponseGroupTopicPartition) int {
				return cmp.Compare(a.Partition, b.Partition)
			})
			topics = append(topics, rt)
		}
	}
	return topics
}

// seen is the offset that a fetch sees.
func (s *slot) seen(stable bool) *offset {
	switch {
	case s == nil:
		return nil
	case stable:
		return s.latest
	}
	return s.visible
}

// fetchPartition answers for one partition: offset -1 if there is none.
func (m *fetchingOffsets) fetchPartition(p place, id [16]byte) kmsg.OffsetFetchResponseGroupTopicPartition {
	r := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	none := ""
	r.Partition, r.Offset, r.LeaderEpoch, r.Metadata = p.partition, -1, -1, &none
	if g := m.groups[p.group]; g != nil && m.stable && m.unsettled(g, p.topic, p.partition) {
		r.ErrorCode = kerr.UnstableOffsetCommit.Code
		return r
	}
	o := m.offsets[p.group].get(p.topic, p.partition).seen(m.stable)
	if o == nil || id != [16]byte{} && o.topicID != [16]byte{} && o.topicID != id {
		return r
	}
	r.Offset, r.LeaderEpoch = o.at, o.leaderEpoch
	if o.metadata != "" && !m.told[o] {
		r.Metadata = &o.metadata
		note(&m.told, o)
	}
	return r
}
