package controller

import (
	"cmp"
	"iter"
	"slices"
	"strconv"

	"gregor/internal/metadata"
)

// partitionAt is one partition, where it is, and what its topic's configuration says about its leaders.
type partitionAt struct {
	topic *metadata.Topic
	id    int32
	p     *metadata.Partition
	rules
}

// rules are what a topic's configuration says about its leaders.
type rules struct {
	unclean bool // unclean.leader.election.enable
	minISR  int  // min.insync.replicas; a partition with fewer replicas wants all of them
}

// at finds a partition; false if it is not there.
func (m *machine) at(e env, topic *metadata.Topic, id int32) (partitionAt, bool) {
	if id < 0 || int(id) >= len(topic.Partitions) {
		return partitionAt{}, false
	}
	return partitionAt{topic, id, topic.Partitions[id], m.rules(e, topic)}, true
}

// partitions gives the partitions of a set, in the order of names and ids.
func (m *machine) partitions(e env, set partitionSet) iter.Seq[partitionAt] {
	return func(yield func(partitionAt) bool) {
		for _, topic := range m.sortedTopics(set) {
			rules := m.rules(e, topic)
			for id := range set[topic.ID].all() {
				if !yield(partitionAt{topic, id, topic.Partitions[id], rules}) {
					return
				}
			}
		}
	}
}

func (m *machine) sortedTopics(set partitionSet) []*metadata.Topic {
	sorted := make([]*metadata.Topic, 0, len(set))
	for id := range set {
		sorted = append(sorted, m.hard.image.TopicByID(id))
	}
	slices.SortFunc(sorted, func(a, b *metadata.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return sorted
}

const (
	keyUnclean = "unclean.leader.election.enable"
	keyMinISR  = "min.insync.replicas"
)

// rules looks at the newest configuration, which may not have reached this node's own yet.
func (m *machine) rules(e env, topic *metadata.Topic) rules {
	r := rules{unclean: e.config.Bool(keyUnclean), minISR: e.config.Int(keyMinISR)}
	if v, ok := m.setting(e, topic.Name, keyUnclean); ok {
		r.unclean = v == "true"
	}
	if v, ok := m.setting(e, topic.Name, keyMinISR); ok {
		if n, err := strconv.Atoi(v); err == nil {
			r.minISR = n
		}
	}
	return r
}

// setting is what was set by request for a topic, or for this broker, or for all; false leaves it to the file.
func (m *machine) setting(e env, topic, key string) (string, bool) {
	image := m.hard.image
	if v, ok := image.Config(metadata.TopicConfig, topic)[key]; ok {
		return v, true
	}
	if v, ok := image.Config(metadata.BrokerConfig, strconv.Itoa(e.config.Int("node.id")))[key]; ok {
		return v, true
	}
	v, ok := image.Config(metadata.BrokerConfig, "")[key]
	return v, ok
}
