package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
)

// Where the fields of a message of format 0 or 1 lie. Format 1 (KIP-32) has a
// timestamp between attributes and key. The checksum is CRC32 (IEEE) and
// covers everything from the magic on.
const (
	messageCRCAt        = 12
	messageAttributesAt = 17
	messageFieldsAt     = 18
)

// maxMessageSetBytes bounds what a compressed message of format 0 or 1 may
// hold. Its offsets are known only after the last one, so it is opened whole.
const maxMessageSetBytes = 64 << 20

// Message is one entry of a message set of format 0 or 1, as NextMessage returned it: a record, or a wrapper around
// a compressed message set.
type Message []byte

// NextMessage splits the first message of format 0 or 1 off buf; m aliases
// buf. It checks that the lengths of all fields fit, not the checksum. Errors
// are those of Next; a batch of magic 2 is ErrCorrupt here.
func NextMessage(buf []byte) (m Message, rest []byte, err error) {
	if len(buf) == 0 {
		return nil, buf, io.EOF
	}
	size, err := SizeOf(buf)
	if err != nil {
		return nil, buf, err
	}
	if int64(len(buf)) < size {
		return nil, buf, fmt.Errorf("%w: %d bytes of %d", ErrTruncated, len(buf), size)
	}
	m = Message(buf[:size:size])
	if m.Magic() != 0 && m.Magic() != 1 {
		return nil, buf, corruptf("magic %d in a message set of format 0 or 1", m.Magic())
	}
	if _, _, ok := m.fields(); !ok {
		return nil, buf, corruptf("message at offset %d: lengths do not fit its %d bytes", m.Offset(), size)
	}
	return m, buf[size:], nil
}

// Offset is the message's offset; of a wrapper, that of its last record. Inside a wrapper of format 1 it is relative.
func (m Message) Offset() int64 { return int64(binary.BigEndian.Uint64(m)) }

// Magic is the format, 0 or 1.
func (m Message) Magic() int8 { return int8(m[magicAt]) }

// CRC is the stored checksum.
func (m Message) CRC() uint32 { return binary.BigEndian.Uint32(m[messageCRCAt:]) }

// ComputeCRC is the checksum that the content has.
func (m Message) ComputeCRC() uint32 { return crc32.ChecksumIEEE(m[magicAt:]) }

// CheckCRC returns ErrCorrupt when the stored checksum is not that of the content.
func (m Message) CheckCRC() error {
	if got := m.ComputeCRC(); got != m.CRC() {
		return corruptf("message at offset %d: stored crc %d, computed crc %d", m.Offset(), m.CRC(), got)
	}
	return nil
}

// Attributes hold the codec in the low three bits and, in format 1, the timestamp type in the fourth.
func (m Message) Attributes() int8 { return int8(m[messageAttributesAt]) }

// Codec is the compression of a wrapper, None for a record. Zstd does not exist in these formats.
func (m Message) Codec() Codec { return Codec(int16(m.Attributes()) & AttrCodecMask) }

// HasLogAppendTime tells whether the broker set the timestamp.
func (m Message) HasLogAppendTime() bool {
	return m.Magic() == 1 && int16(m.Attributes())&AttrLogAppendTime != 0
}

// Timestamp is in milliseconds; NoTimestamp in format 0.
func (m Message) Timestamp() int64 {
	if m.Magic() == 0 {
		return NoTimestamp
	}
	return int64(binary.BigEndian.Uint64(m[messageFieldsAt:]))
}

// Key is nil for null.
func (m Message) Key() []byte {
	key, _, _ := m.fields()
	return key
}

// Value is nil for null; of a wrapper, the compressed message set.
func (m Message) Value() []byte {
	_, value, _ := m.fields()
	return value
}

func (m Message) fields() (key, value []byte, ok bool) {
	p := []byte(m[messageFieldsAt:])
	if m.Magic() == 1 {
		if len(p) < 8 {
			return nil, nil, false
		}
		p = p[8:]
	}
	key, p, ok = bytes32(p)
	if !ok {
		return nil, nil, false
	}
	value, p, ok = bytes32(p)
	return key, value, ok && len(p) == 0
}

// bytes32 reads a length of four bytes and what it counts; a negative length is null.
func bytes32(p []byte) (b, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := int64(int32(binary.BigEndian.Uint32(p)))
	p = p[4:]
	if n < 0 {
		return nil, p, true
	}
	if n > int64(len(p)) {
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}

// Records gives what the message holds: itself, or the records of the
// compressed set inside, with absolute offsets. Format 0 wraps absolute
// offsets. Format 1 wraps relative ones, counted so that the last record has
// the wrapper's offset. When a broker stamped the wrapper, its timestamp is
// that of every record. The checksum of every inner message is checked.
//
// Errors are those of Batch.Records.
func (m Message) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for o, err := range m.Messages() {
			if !yield(o.Record, err) {
				return
			}
		}
	}
}

// OpenMessage is a record of a message set and the message that holds it.
type OpenMessage struct {
	Record  Record
	Message Message
}

// Messages is Records with the message around each record, for its checksum.
func (m Message) Messages() iter.Seq2[OpenMessage, error] {
	return func(yield func(OpenMessage, error) bool) {
		if m.Codec() == None {
			yield(OpenMessage{m.record(), m}, nil)
			return
		}
		if err := m.unwrap(yield); err != nil {
			yield(OpenMessage{}, fmt.Errorf("message at offset %d: %w", m.Offset(), err))
		}
	}
}

func (m Message) record() Record {
	key, value, _ := m.fields()
	return Record{Offset: m.Offset(), Timestamp: m.Timestamp(), Key: key, Value: value}
}

func (m Message) unwrap(yield func(OpenMessage, error) bool) error {
	payload := m.Value()
	if payload == nil || !m.Codec().Valid() || m.Codec() == Zstd {
		return unsupported(m.Codec())
	}
	if m.Codec() == LZ4 && m.Magic() == 0 {
		payload = repairLZ4Header(payload)
	}
	s, err := openSource(m.Codec(), payload, maxMessageSetBytes)
	if err != nil {
		return err
	}
	defer s.close()
	set, err := s.all()
	if err != nil {
		return err
	}
	var last int64
	for rest := set; len(rest) > 0; {
		var inner Message
		if inner, rest, err = NextMessage(rest); err != nil {
			return corruptf("in the compressed set: %v", err)
		}
		if err := inner.CheckCRC(); err != nil {
			return fmt.Errorf("in the compressed set: %w", err)
		}
		if inner.Codec() != None || inner.Magic() != m.Magic() {
			return invalidf("a compressed set holds a message of magic %d and codec %s", inner.Magic(), inner.Codec())
		}
		last = inner.Offset()
	}
	if len(set) == 0 {
		return invalidf("a compressed set without a message")
	}
	shift := int64(0)
	if m.Magic() == 1 {
		shift = m.Offset() - last
	}
	for rest := set; len(rest) > 0; {
		var inner Message
		inner, rest, _ = NextMessage(rest)
		r := inner.record()
		r.Offset += shift
		if m.HasLogAppendTime() {
			r.Timestamp = m.Timestamp()
		}
		if !yield(OpenMessage{r, inner}, nil) {
			return nil
		}
	}
	return nil
}
