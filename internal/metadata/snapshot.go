package metadata

import (
	"iter"
	"maps"
	"slices"
)

// Records returns records that make the image from nothing, in the order of Kafka's snapshots: features first, because
// they say in which versions the others are written.
func (i *Image) Records() iter.Seq[Versioned] {
	return func(yield func(Versioned) bool) {
		i.eachRecord(func(r Record) bool { return yield(Versioned{r, i.VersionFor(r)}) })
	}
}

func (i *Image) eachRecord(yield func(Record) bool) bool {
	return i.featureRecords(yield) &&
		all(i.Brokers(), yield, func(b *Broker) Record { return b.Record() }) &&
		all(i.Controllers(), yield, func(c *Controller) Record { return c.Record() }) &&
		i.topicRecords(yield) &&
		i.configRecords(yield) &&
		i.quotaRecords(yield) &&
		(i.nextProducerID == 0 || yield(&ProducerIdsRecord{BrokerID: -1, BrokerEpoch: -1, NextProducerID: i.nextProducerID})) &&
		all(i.ACLs(), yield, func(r *AccessControlEntryRecord) Record { return r }) &&
		all(i.ScramCredentials(), yield, func(r *UserScramCredentialRecord) Record { return r }) &&
		all(i.DelegationTokens(), yield, func(r *DelegationTokenRecord) Record { return r })
}

func all[T any](items iter.Seq[T], yield func(Record) bool, record func(T) Record) bool {
	for item := range items {
		if !yield(record(item)) {
			return false
		}
	}
	return true
}

func (i *Image) featureRecords(yield func(Record) bool) bool {
	names := slices.Sorted(maps.Keys(i.features))
	if level, ok := i.features[MetadataVersionFeature]; ok { // always the first
		if !yield(&FeatureLevelRecord{MetadataVersionFeature, level}) {
			return false
		}
	}
	for _, name := range names {
		if name != MetadataVersionFeature && !yield(&FeatureLevelRecord{name, i.features[name]}) {
			return false
		}
	}
	return true
}

func (i *Image) topicRecords(yield func(Record) bool) bool {
	for t := range i.Topics() {
		if !yield(&TopicRecord{Name: t.Name, TopicID: t.ID}) {
			return false
		}
		for id, p := range t.Partitions {
			if !yield(p.Record(t.ID, int32(id))) {
				return false
			}
		}
	}
	return true
}

func (i *Image) configRecords(yield func(Record) bool) bool {
	for resource, values := range i.Configs() {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			value := values[name]
			if !yield(&ConfigRecord{int8(resource.Kind), resource.Name, name, &value}) {
				return false
			}
		}
	}
	return true
}

func (i *Image) quotaRecords(yield func(Record) bool) bool {
	for q := range i.Quotas() {
		for _, key := range slices.Sorted(maps.Keys(q.Values)) {
			if !yield(&ClientQuotaRecord{Entity: q.Entity, Key: key, Value: q.Values[key]}) {
				return false
			}
		}
	}
	return true
}

// DeltaFromEmpty returns the delta that makes the image from the empty one.
func (i *Image) DeltaFromEmpty() (*Delta, error) {
	d := NewDelta(NewImage(i.clusterID))
	var err error
	i.eachRecord(func(r Record) bool {
		err = d.Apply(r)
		return err == nil
	})
	return d, err
}
