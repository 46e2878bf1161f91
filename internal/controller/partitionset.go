package controller

import (
	"iter"
	"math/bits"

	"gregor/internal/metadata"
)

// partitionSet is a set of partitions. It costs a bit for each partition of a topic up to the highest that is in it.
type partitionSet map[metadata.UUID]idSet

func (s partitionSet) add(topic metadata.UUID, id int32) { s[topic] = s[topic].with(id) }

func (s partitionSet) remove(topic metadata.UUID, id int32) {
	if left := s[topic].without(id); len(left) > 0 {
		s[topic] = left
	} else {
		delete(s, topic)
	}
}

// set adds or removes a partition.
func (s partitionSet) set(topic metadata.UUID, id int32, in bool) {
	if in {
		s.add(topic, id)
	} else {
		s.remove(topic, id)
	}
}

// idSet is a set of partition ids of one topic, a bit each. Its last word is not zero.
type idSet []uint64

func (s idSet) with(id int32) idSet {
	word := int(id) / 64
	for len(s) <= word {
		s = append(s, 0)
	}
	s[word] |= 1 << (id % 64)
	return s
}

func (s idSet) without(id int32) idSet {
	if word := int(id) / 64; word < len(s) {
		s[word] &^= 1 << (id % 64)
	}
	for len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return s
}

// all gives the ids in order. The set may be changed behind the id that was given last.
func (s idSet) all() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(int32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
