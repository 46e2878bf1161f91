package group

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// The types of keys in __consumer_offsets, an int16 at their start. For those of newer group protocols see foreign.
const (
	keyLegacyOffset = 0
	keyOffset       = 1
	keyGroup        = 2
)

// The versions written, as Apache Kafka 4.3 writes them.
const (
	offsetValueVersion           = 4 // the first with the topic's id
	offsetValueVersionWithExpiry = 1 // the only one that holds the expire timestamp OffsetCommit v2-v4 can ask for
	groupValueVersion            = 3
)

// ErrBadRecord is a record of a known type that does not parse.
var ErrBadRecord = errors.New("group: malformed record")

// entry is one record of __consumer_offsets, decoded. Nothing in it aliases the record's bytes.
type entry struct {
	keyType int16
	group   string
	// For offsets.
	topic     string
	partition int32
	offset    *offset // nil: tombstone
	// For groups.
	stored *stored // nil: tombstone
	// For groups of other protocols: not a tombstone.
	exists bool
}

// decode reads a record. A type that is not known gives an entry with nothing but its keyType.
func decode(key, value []byte) (entry, error) {
	if len(key) < 2 {
		return entry{}, fmt.Errorf("%w: key of %d bytes", ErrBadRecord, len(key))
	}
	e := entry{keyType: int16(key[0])<<8 | int16(key[1])}
	switch e.keyType {
	case keyLegacyOffset, keyOffset:
		return e, e.decodeOffset(key, value)
	case keyGroup:
		return e, e.decodeGroup(key, value)
	}
	if foreignKinds[e.keyType] == "" {
		return e, nil
	}
	// Such a key begins like a group's.
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(key); err != nil {
		return e, fmt.Errorf("%w: key type %d: %w", ErrBadRecord, e.keyType, err)
	}
	e.group, e.exists = k.Group, value != nil
	return e, nil
}

func (e *entry) decodeOffset(key, value []byte) error {
	k := kmsg.NewOffsetCommitKey()
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("%w: offset key: %w", ErrBadRecord, err)
	}
	e.group, e.topic, e.partition = k.Group, k.Topic, k.Partition
	if value == nil {
		return nil
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(value); err != nil {
		return fmt.Errorf("%w: offset of group %q, %s-%d: %w", ErrBadRecord, k.Group, k.Topic, k.Partition, err)
	}
	if v.Version < 0 || v.Version > 4 {
		return fmt.Errorf("%w: offset of group %q, %s-%d: version %d", ErrBadRecord, k.Group, k.Topic, k.Partition, v.Version)
	}
	e.offset = &offset{
		at: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata,
		committedMs: v.CommitTimestamp, expiresMs: -1, topicID: v.TopicID,
	}
	if v.Version < 3 {
		e.offset.leaderEpoch = -1
	}
	if v.Version == 1 {
		e.offset.expiresMs = v.ExpireTimestamp
	}
	return nil
}

func (e *entry) decodeGroup(key, value []byte) error {
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("%w: group key: %w", ErrBadRecord, err)
	}
	e.group = k.Group
	if value == nil {
		return nil
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(value); err != nil {
		return fmt.Errorf("%w: group %q: %w", ErrBadRecord, k.Group, err)
	}
	if v.Version < 0 || v.Version > 4 {
		return fmt.Errorf("%w: group %q: version %d", ErrBadRecord, k.Group, v.Version)
	}
	s := &stored{
		protocolType: v.ProtocolType, generation: v.Generation, protocol: v.Protocol, leader: v.Leader,
		timestampMs: v.CurrentStateTimestamp,
	}
	if v.Version < 2 {
		s.timestampMs = -1
	}
	seen := make(map[string]bool, len(v.Members))
	for i := range v.Members {
		m := &v.Members[i]
		if seen[m.MemberID] {
			return fmt.Errorf("%w: group %q: member %q twice", ErrBadRecord, k.Group, m.MemberID)
		}
		seen[m.MemberID] = true
		rebalanceTimeoutMs := m.RebalanceTimeoutMillis
		if v.Version < 1 || rebalanceTimeoutMs == -1 {
			rebalanceTimeoutMs = m.SessionTimeoutMillis
		}
		s.members = append(s.members, storedMember{
			id: m.MemberID, instanceID: m.InstanceID, clientID: m.ClientID, clientHost: m.ClientHost,
			rebalanceTimeoutMs: rebalanceTimeoutMs, sessionTimeoutMs: m.SessionTimeoutMillis,
			subscription: bytes.Clone(m.Subscription), assignment: bytes.Clone(m.Assignment),
		})
	}
	e.stored = s
	return nil
}

func offsetKey(group, topic string, partition int32) []byte {
	k := kmsg.OffsetCommitKey{Version: keyOffset, Group: group, Topic: topic, Partition: partition}
	return k.AppendTo(make([]byte, 0, 2+2+len(group)+2+len(topic)+4))
}

func offsetRecord(group, topic string, partition int32, o *offset) coordinator.Record {
	v := kmsg.OffsetCommitValue{
		Version: offsetValueVersion, Offset: o.at, LeaderEpoch: o.leaderEpoch, Metadata: o.metadata,
		CommitTimestamp: o.committedMs, ExpireTimestamp: o.expiresMs, TopicID: o.topicID,
	}
	if o.expiresMs != -1 {
		v.Version = offsetValueVersionWithExpiry
	}
	return coordinator.Record{
		Key:   offsetKey(group, topic, partition),
		Value: v.AppendTo(make([]byte, 0, 48+len(o.metadata))),

		ProducerID: coordinator.NoProducer,
	}
}

func offsetTombstone(group, topic string, partition int32) coordinator.Record {
	return coordinator.Record{Key: offsetKey(group, topic, partition), ProducerID: coordinator.NoProducer}
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: keyGroup, Group: group}
	return k.AppendTo(nil)
}

func groupTombstone(group string) coordinator.Record {
	return coordinator.Record{Key: groupKey(group), ProducerID: coordinator.NoProducer}
}

// groupRecord is the record of the present generation.
func groupRecord(id string, l *live) coordinator.Record {
	v := kmsg.GroupMetadataValue{
		Version: groupValueVersion, ProtocolType: l.protocolType, Generation: l.generation, Protocol: l.protocol,
		CurrentStateTimestamp: l.timestampMs,
	}
	if l.leader != "" {
		v.Leader = &l.leader
	}
	for _, m := range l.order {
		sm := kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMillis: m.rebalanceTimeoutMs, SessionTimeoutMillis: m.sessionTimeoutMs, Assignment: m.assignment,
		}
		if l.protocol != nil {
			sm.Subscription = m.metadata(*l.protocol)
		}
		v.Members = append(v.Members, sm)
	}
	return coordinator.Record{Key: groupKey(id), Value: v.AppendTo(nil), ProducerID: coordinator.NoProducer}
}
