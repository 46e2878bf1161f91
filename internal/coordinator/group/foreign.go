package group

import (
	"maps"
	"slices"

	"gregor/internal/coordinator"
)

// foreign is a group of a newer protocol (KIP-848 consumer groups, KIP-932 share groups, KIP-1071 streams groups) that
// Apache Kafka left in the log. This coordinator does not speak those protocols: it keeps the group's records and its
// offsets, and lets an abandoned consumer group go over to the classic protocol, as Kafka does.
type foreign struct {
	kind    string              // its type, as ListGroups names it
	keys    map[string]struct{} // of its records
	members int                 // records of members among them
}

// The kinds of foreign groups, by the types of their keys. Every such key begins with the group's id.
var foreignKinds = map[int16]string{
	3: "consumer", 4: "consumer", 5: "consumer", 6: "consumer", 7: "consumer", 8: "consumer", 16: "consumer",
	9: "share", 10: "share", 11: "share", 12: "share", 13: "share", 14: "share", 15: "share",
	17: "streams", 18: "streams", 19: "streams", 20: "streams", 21: "streams", 22: "streams", 23: "streams",
}

// consumerKind is the kind whose members can come as classic ones.
const consumerKind = "consumer"

// isMember tells whether a key type is that of a member's metadata.
func isMember(keyType int16) bool { return keyType == 5 || keyType == 10 || keyType == 19 }

// foreignSessionMs is how long the members of a foreign group count after an election. None can send us heartbeats, so
// after Kafka's session timeout for them (group.consumer.session.timeout.ms) they are gone.
const foreignSessionMs = 45_000

func (m *Machine) applyForeign(e *entry, key []byte) {
	f := m.foreign[e.group]
	known := f.has(key)
	switch {
	case e.exists && !known:
		if f == nil {
			f = &foreign{kind: foreignKinds[e.keyType], keys: map[string]struct{}{}}
			m.foreign[e.group] = f
		}
		f.keys[string(key)] = struct{}{}
		if isMember(e.keyType) {
			f.members++
		}
	case !e.exists && known:
		delete(f.keys, string(key))
		if isMember(e.keyType) {
			f.members--
		}
		if len(f.keys) == 0 {
			delete(m.foreign, e.group)
		}
	}
}

func (f *foreign) has(key []byte) bool {
	if f == nil {
		return false
	}
	_, ok := f.keys[string(key)]
	return ok
}

// occupied is the foreign group of that id, if it still has members, or may have.
func (m *Machine) occupied(id string) (*foreign, bool) {
	f := m.foreign[id]
	return f, f != nil && f.members > 0 && m.now < m.electedMs+foreignSessionMs
}

// retire deletes what the log says of a foreign group, apart from its offsets.
func (m *Machine) retire(id string) {
	f := m.foreign[id]
	if f == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(f.keys)) {
		m.out.Append(coordinator.Record{Key: []byte(key), ProducerID: coordinator.NoProducer})
	}
}
