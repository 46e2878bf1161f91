package metadata

import (
	"maps"
	"reflect"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// DeltaBetween returns the delta that leads from one image to another which was loaded from a snapshot: for a node that
// was so far behind that the log it lacks is gone. The image that the delta makes shares with base what is the same in
// both. It costs what both images hold.
func DeltaBetween(base, target *Image) *Delta {
	d := NewDelta(base)
	d.topicsTo(target)
	d.brokersTo(target)
	d.configsTo(target)
	for name, level := range target.features {
		if base.features[name] != level {
			d.setFeature(&FeatureLevelRecord{name, level})
		}
	}
	for name := range base.features {
		if _, ok := target.features[name]; !ok {
			d.setFeature(&FeatureLevelRecord{name, 0})
		}
	}
	d.quotas = !sameTree(base.quotas, target.quotas)
	d.acls = !sameTree(base.acls, target.acls)
	d.scram = !sameTree(base.scram, target.scram)
	d.next.quotas, d.next.acls, d.next.scram = target.quotas, target.acls, target.scram
	d.next.controllers, d.next.tokens, d.next.nextProducerID = target.controllers, target.tokens, target.nextProducerID
	return d
}

func (d *Delta) topicsTo(target *Image) {
	for old := range d.base.Topics() {
		// A topic that was deleted and made again has its name under another id.
		if target.TopicByID(old.ID) == nil {
			_ = d.removeTopic(&RemoveTopicRecord{TopicID: old.ID}) // it is there, so it can be removed
		}
	}
	for want := range target.Topics() {
		old := d.base.TopicByID(want.ID)
		if old == nil {
			t := &TopicDelta{New: want, changed: make(map[int32]struct{}, len(want.Partitions))}
			for id := range want.Partitions {
				t.changed[int32(id)] = struct{}{}
			}
			d.topics[want.ID] = t
			d.next.partitions += len(want.Partitions)
			d.storeTopic(want)
			continue
		}
		for id, p := range want.Partitions {
			if id < len(old.Partitions) && old.Partitions[id].same(p) {
				continue
			}
			t, _ := d.ownTopic(want.ID) // it is there
			if id < len(t.New.Partitions) {
				t.New.Partitions[id] = p
			} else {
				t.New.Partitions = append(t.New.Partitions, p)
				d.next.partitions++
			}
			t.changed[int32(id)] = struct{}{}
		}
	}
}

// same reports whether two partitions are alike in everything.
func (p *Partition) same(o *Partition) bool {
	return p.Leader == o.Leader && p.LeaderEpoch == o.LeaderEpoch && p.PartitionEpoch == o.PartitionEpoch &&
		p.RecoveryState == o.RecoveryState &&
		slices.Equal(p.Replicas, o.Replicas) && slices.Equal(p.ISR, o.ISR) &&
		slices.Equal(p.ELR, o.ELR) && slices.Equal(p.LastKnownELR, o.LastKnownELR) &&
		slices.Equal(p.Adding, o.Adding) && slices.Equal(p.Removing, o.Removing) && slices.Equal(p.Dirs, o.Dirs)
}

func (d *Delta) brokersTo(target *Image) {
	for old := range d.base.Brokers() {
		if target.Broker(old.ID) == nil {
			d.setBroker(old.ID, nil)
		}
	}
	for want := range target.Brokers() {
		if old := d.base.Broker(want.ID); old == nil || !reflect.DeepEqual(old, want) {
			d.setBroker(want.ID, want)
		}
	}
}

func (d *Delta) configsTo(target *Image) {
	for resource := range d.base.Configs() {
		if target.Config(resource.Kind, resource.Name) == nil {
			d.configs[resource] = nil
		}
	}
	for resource, values := range target.Configs() {
		_, removed := d.configs[resource] // with its topic
		if removed || !maps.Equal(values, d.base.Config(resource.Kind, resource.Name)) {
			d.configs[resource] = maps.Clone(values)
		}
	}
}

func sameTree[T any](a, b *iradix.Tree[T]) bool {
	if a.Len() != b.Len() {
		return false
	}
	left, right := a.Root().Iterator(), b.Root().Iterator()
	for {
		k, v, ok := left.Next()
		k2, v2, _ := right.Next()
		if !ok {
			return true
		}
		if !slices.Equal(k, k2) || !reflect.DeepEqual(v, v2) {
			return false
		}
	}
}
