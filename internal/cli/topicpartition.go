package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// topicPartition names a partition.
type topicPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

func (p topicPartition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Partition) }

func comparePartitions(a, b topicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// sortedKeys are the partitions of a map in order.
func sortedKeys[V any](m map[topicPartition]V) []topicPartition {
	keys := make([]topicPartition, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, comparePartitions)
	return keys
}

// join writes items apart by a separator.
func join[T any](items []T, separator string) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = fmt.Sprint(item)
	}
	return strings.Join(words, separator)
}

// duplicates are the items that come more than once, each once, in the order of their first repetition.
func duplicates[T comparable](items []T) []T {
	seen := map[T]int{}
	var twice []T
	for _, item := range items {
		if seen[item]++; seen[item] == 2 {
			twice = append(twice, item)
		}
	}
	return twice
}

// byTopic groups partitions, which are in order, for requests that want them by topic.
func byTopic(partitions []topicPartition, each func(topic string, partitions []int32)) {
	for len(partitions) > 0 {
		topic := partitions[0].Topic
		var ids []int32
		for len(partitions) > 0 && partitions[0].Topic == topic {
			ids = append(ids, partitions[0].Partition)
			partitions = partitions[1:]
		}
		each(topic, ids)
	}
}
