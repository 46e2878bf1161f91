package metadata

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// ErrInconsistent is wrapped when a record does not fit the image that it is applied to. The log is then not the one
// that the image came from.
var ErrInconsistent = fmt.Errorf("metadata record does not fit the image")

// Delta is what a run of records changes in an image. It belongs to one goroutine until Image was called, after which
// it is only read.
type Delta struct {
	base *Image
	next *Image // the image under construction, a shallow copy of base

	topics   map[UUID]*TopicDelta
	brokers  map[int32]*BrokerDelta
	configs  map[ConfigResource]map[string]string // owned copies
	features map[string]int16                     // new levels; 0 is removed
	quotas   bool
	acls     bool
	scram    bool
}

// TopicDelta is what changed in one topic.
type TopicDelta struct {
	Old *Topic // nil when the topic is new
	New *Topic // nil when the topic was deleted

	changed map[int32]struct{}
}

// BrokerDelta is what changed in one broker.
type BrokerDelta struct {
	Old *Broker // nil when the broker is new
	New *Broker // nil when the broker was unregistered
}

// NewDelta returns the empty delta over an image.
func NewDelta(base *Image) *Delta {
	next := *base
	return &Delta{
		base:     base,
		next:     &next,
		topics:   map[UUID]*TopicDelta{},
		brokers:  map[int32]*BrokerDelta{},
		configs:  map[ConfigResource]map[string]string{},
		features: map[string]int16{},
	}
}

// Base is the image that the delta starts from.
func (d *Delta) Base() *Image { return d.base }

// Image finishes the delta: the image with all records applied, as of an offset and leader epoch.
func (d *Delta) Image(offset int64, epoch int32) *Image {
	for resource, values := range d.configs {
		key := resource.key()
		if len(values) == 0 {
			d.next.configs, _, _ = d.next.configs.Delete(key)
		} else {
			d.next.configs, _, _ = d.next.configs.Insert(key, values)
		}
	}
	d.next.offset, d.next.epoch = offset, epoch
	return d.next
}

// IsEmpty reports whether no record changed anything.
func (d *Delta) IsEmpty() bool {
	return len(d.topics)+len(d.brokers)+len(d.configs)+len(d.features) == 0 && !d.quotas && !d.acls && !d.scram
}

// Topics returns the changed topics: first the deleted ones, so that a name that was deleted and made again comes in
// the order in which it happened, then the others, each by name.
func (d *Delta) Topics() iter.Seq[*TopicDelta] {
	return slices.Values(slices.SortedFunc(maps.Values(d.topics), func(a, b *TopicDelta) int {
		if a.Deleted() != b.Deleted() {
			if a.Deleted() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name(), b.Name())
	}))
}

// Topic returns what changed in a topic, or nil.
func (d *Delta) Topic(id UUID) *TopicDelta { return d.topics[id] }

// Brokers returns the changed brokers by id.
func (d *Delta) Brokers() iter.Seq2[int32, *BrokerDelta] {
	return func(yield func(int32, *BrokerDelta) bool) {
		for _, id := range slices.Sorted(maps.Keys(d.brokers)) {
			if !yield(id, d.brokers[id]) {
				return
			}
		}
	}
}

// Configs returns the resources whose configuration changed, by kind and name.
func (d *Delta) Configs() iter.Seq[ConfigResource] {
	return slices.Values(slices.SortedFunc(maps.Keys(d.configs), func(a, b ConfigResource) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	}))
}

// ConfigChanged reports whether the configuration of a resource changed.
func (d *Delta) ConfigChanged(kind ConfigKind, name string) bool {
	_, ok := d.configs[ConfigResource{kind, name}]
	return ok
}

// Features returns the changed feature levels; 0 is a feature that was removed.
func (d *Delta) Features() map[string]int16 { return d.features }

// ID is the topic's id.
func (t *TopicDelta) ID() UUID { return t.any().ID }

// Name is the topic's name.
func (t *TopicDelta) Name() string { return t.any().Name }

// Created reports whether the topic is new.
func (t *TopicDelta) Created() bool { return t.Old == nil }

// Deleted reports whether the topic is gone.
func (t *TopicDelta) Deleted() bool { return t.New == nil }

func (t *TopicDelta) any() *Topic {
	if t.New != nil {
		return t.New
	}
	return t.Old
}

// Changed returns the ids of the partitions that are new or changed, in order. A deleted topic has none; its
// partitions are those of Old.
func (t *TopicDelta) Changed() []int32 {
	if t.New == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(t.changed))
}

// OldPartition returns a partition as it was, or nil when it is new.
func (t *TopicDelta) OldPartition(id int32) *Partition {
	if t.Old == nil || int(id) >= len(t.Old.Partitions) {
		return nil
	}
	return t.Old.Partitions[id]
}

// Publisher is a part of a process that follows the metadata.
type Publisher interface {
	// Publish is called for each step of the metadata, in order, on the loader's goroutine, and must return soon. The
	// first call's delta starts from the empty image.
	Publish(delta *Delta, image *Image)
}
