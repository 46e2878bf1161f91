package cli

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The formatters of this file print the records of __consumer_offsets as one JSON object each, without a line end
// between them, as Kafka's do. A record of another type is passed over.

// offsetsFormatter prints committed offsets (record types 0 and 1).
type offsetsFormatter struct{}

// groupFormatter prints the states of classic groups (record type 2).
type groupFormatter struct{}

// coordinatorRecord is the JSON form: the key carries the record's type, the value its version.
type coordinatorRecord struct {
	Key   keyJSON    `json:"key"`
	Value *valueJSON `json:"value"` // null: a tombstone
}

type keyJSON struct {
	Type int16 `json:"type"`
	Data any   `json:"data"`
}

type valueJSON struct {
	Version int16 `json:"version"`
	Data    any   `json:"data"`
}

func recordType(r *kgo.Record) int16 {
	if len(r.Key) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(r.Key))
}

// writeCoordinator prints a record, its value read by decode.
func writeCoordinator(w io.Writer, r *kgo.Record, key any, decode func(version int16) (any, error)) error {
	out := coordinatorRecord{Key: keyJSON{recordType(r), key}}
	if len(r.Value) >= 2 {
		version := int16(binary.BigEndian.Uint16(r.Value))
		data, err := decode(version)
		if err != nil {
			return fmt.Errorf("%s-%d offset %d: the value cannot be read: %w", r.Topic, r.Partition, r.Offset, err)
		}
		out.Value = &valueJSON{version, data}
	}
	text, err := json.Marshal(out)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

func (offsetsFormatter) Write(w io.Writer, r *kgo.Record) error {
	if t := recordType(r); t != 0 && t != 1 {
		return nil
	}
	var key kmsg.OffsetCommitKey
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("%s-%d offset %d: the key cannot be read: %w", r.Topic, r.Partition, r.Offset, err)
	}
	name := struct {
		Group     string `json:"group"`
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
	}{key.Group, key.Topic, key.Partition}
	return writeCoordinator(w, r, name, func(version int16) (any, error) {
		if version > 4 {
			return "unknown", nil
		}
		return offsetValue(r.Value)
	})
}

// offsetValue is OffsetCommitValue with the fields of its version.
func offsetValue(value []byte) (any, error) {
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	out := struct {
		Offset          int64   `json:"offset"`
		LeaderEpoch     *int32  `json:"leaderEpoch,omitempty"`
		Metadata        string  `json:"metadata"`
		CommitTimestamp int64   `json:"commitTimestamp"`
		ExpireTimestamp *int64  `json:"expireTimestamp,omitempty"`
		TopicID         *string `json:"topicId,omitempty"`
	}{Offset: v.Offset, Metadata: v.Metadata, CommitTimestamp: v.CommitTimestamp}
	if v.Version >= 3 {
		out.LeaderEpoch = &v.LeaderEpoch
	}
	if v.Version == 1 {
		out.ExpireTimestamp = &v.ExpireTimestamp
	}
	if v.Version >= 4 && v.TopicID != [16]byte{} {
		id := topicIDString(v.TopicID)
		out.TopicID = &id
	}
	return out, nil
}

func (groupFormatter) Write(w io.Writer, r *kgo.Record) error {
	if recordType(r) != 2 {
		return nil
	}
	var key kmsg.GroupMetadataKey
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("%s-%d offset %d: the key cannot be read: %w", r.Topic, r.Partition, r.Offset, err)
	}
	name := struct {
		Group string `json:"group"`
	}{key.Group}
	return writeCoordinator(w, r, name, func(version int16) (any, error) {
		if version > 4 {
			return "unknown", nil
		}
		return groupValue(r.Value)
	})
}

// groupValue is GroupMetadataValue with the fields of its version.
func groupValue(value []byte) (any, error) {
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	members := []any{}
	for _, m := range v.Members {
		members = append(members, orderedJSON{
			{"memberId", m.MemberID, true},
			{"groupInstanceId", m.InstanceID, v.Version >= 3},
			{"clientId", m.ClientID, true},
			{"clientHost", m.ClientHost, true},
			{"rebalanceTimeout", m.RebalanceTimeoutMillis, v.Version >= 1},
			{"sessionTimeout", m.SessionTimeoutMillis, true},
			{"subscription", base64.StdEncoding.EncodeToString(m.Subscription), true},
			{"assignment", base64.StdEncoding.EncodeToString(m.Assignment), true},
		})
	}
	return orderedJSON{
		{"protocolType", v.ProtocolType, true},
		{"generation", v.Generation, true},
		{"protocol", v.Protocol, true},
		{"leader", v.Leader, true},
		{"currentStateTimestamp", v.CurrentStateTimestamp, v.Version >= 2},
		{"members", members, true},
	}, nil
}

// orderedJSON is an object whose fields keep their order; one that its version does not have is left out.
type orderedJSON []struct {
	name  string
	value any
	has   bool
}

func (o orderedJSON) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for _, field := range o {
		if !field.has {
			continue
		}
		value, err := json.Marshal(field.value)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		name, _ := json.Marshal(field.name)
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}
