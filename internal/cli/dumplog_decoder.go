package cli

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gregor/internal/metadata"
	"gregor/internal/record"
)

// dumpedText is a key or a payload as it is printed. A nil *dumpedText is not printed at all.
type dumpedText struct {
	text string
	json bool // the text is JSON
}

// dumpDecoder makes text of a record that holds no control information.
type dumpDecoder func(r record.Record) (key, payload *dumpedText, err error)

// plainDecoder is for topics of users.
func plainDecoder(key, value func([]byte) (string, error)) dumpDecoder {
	return func(r record.Record) (k, v *dumpedText, err error) {
		if r.Key != nil {
			text, err := key(r.Key)
			if err != nil {
				return nil, nil, fmt.Errorf("key at offset %d: %w", r.Offset, err)
			}
			k = &dumpedText{text: text}
		}
		if r.Value != nil {
			text, err := value(r.Value)
			if err != nil {
				return nil, nil, fmt.Errorf("value at offset %d: %w", r.Offset, err)
			}
			v = &dumpedText{text: text}
		}
		return k, v, nil
	}
}

// fieldDecoder finds one of the decoders that Kafka brings along by its class name.
func fieldDecoder(class string) (func([]byte) (string, error), error) {
	switch class[strings.LastIndex(class, ".")+1:] {
	case "StringDecoder":
		return func(b []byte) (string, error) { return javaText(b), nil }, nil
	case "DefaultDecoder":
		return func(b []byte) (string, error) { return hex.EncodeToString(b), nil }, nil
	case "IntegerDecoder":
		return func(b []byte) (string, error) {
			if len(b) < 4 {
				return "", fmt.Errorf("an integer takes 4 bytes, not %d", len(b))
			}
			return strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(b))), 10), nil
		}, nil
	case "LongDecoder":
		return func(b []byte) (string, error) {
			if len(b) < 8 {
				return "", fmt.Errorf("a long takes 8 bytes, not %d", len(b))
			}
			return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10), nil
		}, nil
	}
	return nil, fmt.Errorf("There is no decoder %s: classes cannot be loaded; known are StringDecoder, DefaultDecoder (prints hex), IntegerDecoder and LongDecoder of org.apache.kafka.tools.api.", class) //nolint:staticcheck // shown to the user as it is
}

func metadataDecoder(r record.Record) (key, payload *dumpedText, err error) {
	// Kafka's words for what is no metadata record at all: every record begins with this frame version.
	if frame, n := binary.Uvarint(r.Value); n > 0 && frame != 1 {
		return nil, &dumpedText{text: fmt.Sprintf("Error at %d, skipping. Could not deserialize metadata record due to unknown frame version %d(only frame version 1 is supported)", r.Offset, frame)}, nil
	}
	v, err := metadata.Parse(r.Value)
	if err != nil {
		return nil, &dumpedText{text: fmt.Sprintf("Error at %d, skipping. %v", r.Offset, err)}, nil
	}
	return nil, &dumpedText{v.JSON(), true}, nil
}

// coordinatorDecoder is for the topics of the coordinators. Keys begin with
// the record's type, values with the version; names[type] is the record's name
// without Key or Value.
type coordinatorDecoder struct {
	topic string // for the message about a missing key
	names map[int16]string
	// inside renders what a bytes field holds; nil if none is rendered.
	inside func(group []byte) func(field string, value []byte) (string, bool)
}

func newCoordinatorDecoder(topic string, names ...string) *coordinatorDecoder {
	d := &coordinatorDecoder{topic: topic, names: map[int16]string{}}
	for _, name := range names {
		d.names[loadRecordSchemas()[name+"Key"].id] = name
	}
	return d
}

func offsetsDecoder() *coordinatorDecoder {
	d := newCoordinatorDecoder("offset topic")
	inOffsets := false
	for line := range strings.Lines(recordFacts) {
		if strings.HasPrefix(line, "# ") {
			inOffsets = strings.HasPrefix(line, "# __consumer_offsets")
		}
		if name, _, ok := strings.Cut(line, "Key "); ok && inOffsets {
			d.names[loadRecordSchemas()[name+"Key"].id] = name
		}
	}
	d.inside = embeddedProtocol
	return d
}

func transactionDecoder() *coordinatorDecoder {
	return newCoordinatorDecoder("transaction topic", "TransactionLog")
}

func shareStateDecoder() *coordinatorDecoder {
	return newCoordinatorDecoder("share group state topic", "ShareSnapshot", "ShareUpdate")
}

var errUnknownRecordType = errors.New("unknown record type")

func (d *coordinatorDecoder) decode(r record.Record) (key, payload *dumpedText, err error) {
	if r.Key == nil {
		return nil, nil, fmt.Errorf("Failed to decode message at offset %d using %s decoder (message had a missing key)", r.Offset, d.topic) //nolint:staticcheck // Kafka's words
	}
	k, v, kind, err := d.parse(r)
	switch {
	case errors.Is(err, errUnknownRecordType):
		return &dumpedText{text: fmt.Sprintf("Unknown record type %d at offset %d, skipping.", kind, r.Offset)}, nil, nil
	case err != nil:
		return &dumpedText{text: fmt.Sprintf("Error at offset %d, skipping. %v", r.Offset, err)}, nil, nil
	}
	return k, v, nil
}

func (d *coordinatorDecoder) parse(r record.Record) (key, payload *dumpedText, kind int16, err error) {
	if len(r.Key) < 2 {
		return nil, nil, 0, errShortRecord
	}
	kind = int16(binary.BigEndian.Uint16(r.Key))
	name, known := d.names[kind]
	if !known {
		return nil, nil, kind, errUnknownRecordType
	}
	schemas := loadRecordSchemas()
	data, err := recordJSON(schemas[name+"Key"].versions[0], r.Key[2:], nil)
	if err != nil {
		return nil, nil, kind, fmt.Errorf("key: %w", err)
	}
	key = &dumpedText{fmt.Sprintf(`{"type":"%d","data":%s}`, kind, data), true}
	if r.Value == nil {
		return key, &dumpedText{text: "<DELETE>"}, kind, nil
	}
	if len(r.Value) < 2 {
		return nil, nil, kind, errShortRecord
	}
	version := int16(binary.BigEndian.Uint16(r.Value))
	s := schemas[name+"Value"].versions[version]
	if s == nil {
		return nil, nil, kind, fmt.Errorf("%sValue has no version %d", name, version)
	}
	var inside func(string, []byte) (string, bool)
	if d.inside != nil && name == "GroupMetadata" {
		inside = d.inside(r.Value)
	}
	if data, err = recordJSON(s, r.Value[2:], inside); err != nil {
		return nil, nil, kind, fmt.Errorf("value: %w", err)
	}
	return key, &dumpedText{fmt.Sprintf(`{"version":"%d","data":%s}`, version, data), true}, kind, nil
}

// embeddedProtocol renders the members' subscriptions and assignments of a
// classic group whose protocol type is consumer. Bytes that are nothing of the
// kind stay bytes.
func embeddedProtocol(group []byte) func(string, []byte) (string, bool) {
	head := &schema{kind: "struct", fields: []schemaField{{name: "protocolType", tag: -1, schema: &schema{kind: "string"}}}}
	if binary.BigEndian.Uint16(group) >= 4 { // the first flexible version
		head.fields[0].schema.compact = true
	}
	if json, err := recordJSON(head, group[2:], nil); err != nil || json != `{"protocolType":"consumer"}` {
		return nil
	}
	names := map[string]string{"subscription": "ConsumerProtocolSubscription", "assignment": "ConsumerProtocolAssignment"}
	return func(field string, value []byte) (string, bool) {
		if len(value) < 2 {
			return "", false
		}
		s := loadRecordSchemas()[names[field]]
		version := int16(binary.BigEndian.Uint16(value))
		if s == nil || s.versions[version] == nil {
			return "", false
		}
		json, err := recordJSON(s.versions[version], value[2:], nil)
		return json, err == nil
	}
}
