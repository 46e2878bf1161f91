package metadata

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Apply adds one record. It errs with ErrInconsistent when the record contradicts what came before it.
func (d *Delta) Apply(record Record) error {
	switch r := record.(type) {
	case *TopicRecord:
		return d.addTopic(r)
	case *PartitionRecord:
		return d.setPartition(r)
	case *PartitionChangeRecord:
		return d.changePartition(r)
	case *RemoveTopicRecord:
		return d.removeTopic(r)
	case *ClearElrRecord:
		return d.clearELR(r)
	case *RegisterBrokerRecord:
		d.setBroker(r.BrokerID, brokerOf(r))
	case *UnregisterBrokerRecord:
		return d.removeBroker(r)
	case *FenceBrokerRecord:
		return d.editBroker(r.ID, r.Epoch, func(b *Broker) { b.Fenced = true })
	case *UnfenceBrokerRecord:
		return d.editBroker(r.ID, r.Epoch, func(b *Broker) { b.Fenced = false })
	case *BrokerRegistrationChangeRecord:
		return d.editBroker(r.BrokerID, r.BrokerEpoch, func(b *Broker) { changeBroker(b, r) })
	case *RegisterControllerRecord:
		c := &Controller{ID: r.ControllerID, Incarnation: r.IncarnationID, Endpoints: endpointsOf(r.EndPoints), Features: featuresOf(r.Features)}
		d.next.controllers, _, _ = d.next.controllers.Insert(intKey(c.ID), c)
	case *ConfigRecord:
		d.setConfig(r)
	case *FeatureLevelRecord:
		d.setFeature(r)
	case *ClientQuotaRecord:
		d.setQuota(r)
	case *ProducerIdsRecord:
		d.next.nextProducerID = r.NextProducerID
	case *AccessControlEntryRecord:
		d.acls = true
		d.next.acls, _, _ = d.next.acls.Insert(slices.Clone(r.ID[:]), r)
	case *RemoveAccessControlEntryRecord:
		d.acls = true
		d.next.acls, _, _ = d.next.acls.Delete(r.ID[:])
	case *UserScramCredentialRecord:
		d.scram = true
		d.next.scram, _, _ = d.next.scram.Insert(scramKey(r.Mechanism, r.Name), r)
	case *RemoveUserScramCredentialRecord:
		d.scram = true
		d.next.scram, _, _ = d.next.scram.Delete(scramKey(r.Mechanism, r.Name))
	case *DelegationTokenRecord:
		d.next.tokens, _, _ = d.next.tokens.Insert([]byte(r.TokenID), r)
	case *RemoveDelegationTokenRecord:
		d.next.tokens, _, _ = d.next.tokens.Delete([]byte(r.TokenID))
	case *NoOpRecord, *ZkMigrationStateRecord:
	case *BeginTransactionRecord, *EndTransactionRecord, *AbortTransactionRecord:
		// Whoever reads the log decides what is applied; see Loader.
	default:
		return fmt.Errorf("%w: %s is not known", ErrInconsistent, record.TypeName())
	}
	return nil
}

func (d *Delta) addTopic(r *TopicRecord) error {
	if d.next.Topic(r.Name) != nil || d.next.TopicByID(r.TopicID) != nil {
		return fmt.Errorf("%w: topic %s (%s) is there already", ErrInconsistent, r.Name, r.TopicID)
	}
	t := &Topic{Name: r.Name, ID: r.TopicID}
	d.topics[t.ID] = &TopicDelta{New: t, changed: map[int32]struct{}{}}
	d.storeTopic(t)
	return nil
}

func (d *Delta) storeTopic(t *Topic) {
	d.next.topics, _, _ = d.next.topics.Insert([]byte(t.Name), t)
	d.next.topicsByID, _, _ = d.next.topicsByID.Insert(bytes.Clone(t.ID[:]), t)
}

// ownTopic returns the delta of a topic, whose New is a copy that only this delta holds and may still change.
func (d *Delta) ownTopic(id UUID) (*TopicDelta, error) {
	if t := d.topics[id]; t != nil && t.New != nil {
		return t, nil
	}
	old := d.next.TopicByID(id)
	if old == nil {
		return nil, fmt.Errorf("%w: no topic has id %s", ErrInconsistent, id)
	}
	t := &TopicDelta{
		Old:     old,
		New:     &Topic{Name: old.Name, ID: old.ID, Partitions: slices.Clone(old.Partitions)},
		changed: map[int32]struct{}{},
	}
	d.topics[id] = t
	d.storeTopic(t.New)
	return t, nil
}

func (d *Delta) setPartition(r *PartitionRecord) error {
	t, err := d.ownTopic(r.TopicID)
	if err != nil {
		return err
	}
	switch n := len(t.New.Partitions); {
	case r.PartitionID < 0 || int(r.PartitionID) > n:
		return fmt.Errorf("%w: partition %s-%d after %d partitions", ErrInconsistent, t.Name(), r.PartitionID, n)
	case int(r.PartitionID) == n:
		t.New.Partitions = append(t.New.Partitions, partitionOf(r))
		d.next.partitions++
	default:
		t.New.Partitions[r.PartitionID] = partitionOf(r)
	}
	t.changed[r.PartitionID] = struct{}{}
	return nil
}

func (d *Delta) changePartition(r *PartitionChangeRecord) error {
	t, err := d.ownTopic(r.TopicID)
	if err != nil {
		return err
	}
	if r.PartitionID < 0 || int(r.PartitionID) >= len(t.New.Partitions) {
		return fmt.Errorf("%w: no partition %s-%d", ErrInconsistent, t.Name(), r.PartitionID)
	}
	t.New.Partitions[r.PartitionID] = t.New.Partitions[r.PartitionID].Merge(r)
	t.changed[r.PartitionID] = struct{}{}
	return nil
}

// removeTopic drops the topic and its configuration, as Kafka's controller replays it.
func (d *Delta) removeTopic(r *RemoveTopicRecord) error {
	topic := d.next.TopicByID(r.TopicID)
	if topic == nil {
		return fmt.Errorf("%w: no topic has id %s", ErrInconsistent, r.TopicID)
	}
	d.next.topics, _, _ = d.next.topics.Delete([]byte(topic.Name))
	d.next.topicsByID, _, _ = d.next.topicsByID.Delete(r.TopicID[:])
	d.next.partitions -= len(topic.Partitions)
	old := topic
	if t := d.topics[r.TopicID]; t != nil {
		old = t.Old
	}
	if old == nil {
		delete(d.topics, r.TopicID) // made and removed within this delta
	} else {
		d.topics[r.TopicID] = &TopicDelta{Old: old}
	}
	resource := ConfigResource{TopicConfig, topic.Name}
	if _, changed := d.configs[resource]; changed || d.base.Config(TopicConfig, topic.Name) != nil {
		d.configs[resource] = nil
	}
	return nil
}

// clearELR forgets the eligible leader replicas of one topic, or of all when it has no name (KIP-966).
func (d *Delta) clearELR(r *ClearElrRecord) error {
	if r.TopicName != "" {
		topic := d.next.Topic(r.TopicName)
		if topic == nil {
			return fmt.Errorf("%w: no topic %s", ErrInconsistent, r.TopicName)
		}
		return d.clearTopicELR(topic)
	}
	for topic := range d.next.Topics() {
		if err := d.clearTopicELR(topic); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delta) clearTopicELR(topic *Topic) error {
	for id, p := range topic.Partitions {
		if len(p.ELR)+len(p.LastKnownELR) == 0 {
			continue
		}
		t, err := d.ownTopic(topic.ID)
		if err != nil {
			return err
		}
		cleared := *p
		cleared.ELR, cleared.LastKnownELR = nil, nil
		t.New.Partitions[id] = &cleared
		t.changed[int32(id)] = struct{}{}
	}
	return nil
}

func (d *Delta) setConfig(r *ConfigRecord) {
	resource := ConfigResource{ConfigKind(r.ResourceType), r.ResourceName}
	values, owned := d.configs[resource]
	if !owned {
		values = maps.Clone(d.base.Config(resource.Kind, resource.Name))
	}
	if r.Value == nil {
		delete(values, r.Name)
	} else {
		if values == nil {
			values = map[string]string{}
		}
		values[r.Name] = *r.Value
	}
	d.configs[resource] = values
}

func (d *Delta) setFeature(r *FeatureLevelRecord) {
	features := maps.Clone(d.next.features)
	if features == nil {
		features = map[string]int16{}
	}
	if r.FeatureLevel == 0 {
		delete(features, r.Name)
	} else {
		features[r.Name] = r.FeatureLevel
	}
	d.next.features = features
	d.features[r.Name] = r.FeatureLevel
}

func (d *Delta) setQuota(r *ClientQuotaRecord) {
	d.quotas = true
	next := &Quota{Entity: sortedEntity(r.Entity), Values: map[string]float64{}}
	if old := d.next.Quota(r.Entity); old != nil {
		next.Values = maps.Clone(old.Values)
	}
	if r.Remove {
		delete(next.Values, r.Key)
	} else {
		next.Values[r.Key] = r.Value
	}
	if key := quotaKey(r.Entity); len(next.Values) == 0 {
		d.next.quotas, _, _ = d.next.quotas.Delete(key)
	} else {
		d.next.quotas, _, _ = d.next.quotas.Insert(key, next)
	}
}
