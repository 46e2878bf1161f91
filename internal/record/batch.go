package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Where the fields of a batch header begin. The checksum covers everything
// from the attributes on, so base offset and leader epoch, which only a broker
// knows, can be written without touching it.
const (
	baseOffsetAt      = 0
	lengthAt          = 8
	leaderEpochAt     = 12
	magicAt           = 16
	crcAt             = 17
	attributesAt      = 21
	lastOffsetDeltaAt = 23
	baseTimestampAt   = 27
	maxTimestampAt    = 35
	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	numRecordsAt      = 57
)

const (
	// HeaderSize is the size in bytes of a batch header; the records follow it.
	HeaderSize = 61
	// LogOverhead is the size of base offset and length, which precede what the length counts.
	LogOverhead = 12

	// Magic is the format version this package writes.
	Magic = 2

	// NoTimestamp, NoProducerID, NoProducerEpoch, NoSequence and NoLeaderEpoch are what the fields hold when unset.
	NoTimestamp     int64 = -1
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoLeaderEpoch   int32 = -1
)

// Bits of the attributes field.
const (
	AttrCodecMask     int16 = 0x07
	AttrLogAppendTime int16 = 0x08
	AttrTransactional int16 = 0x10
	AttrControl       int16 = 0x20
	AttrDeleteHorizon int16 = 0x40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is exactly one magic-2 batch, header and payload, as on the wire and
// on disk. Its methods expect a value that Next or Builder.Build returned: at
// least HeaderSize bytes, with a length field that fits.
type Batch []byte

// Next splits the first batch off buf; b aliases buf. It checks length and
// magic, not the checksum.
//
// Errors: io.EOF when buf is empty, ErrTruncated when it ends before the batch
// does, ErrOldMagic for formats 0 and 1, ErrCorrupt for bytes that cannot be a
// batch. On an error rest is buf.
func Next(buf []byte) (b Batch, rest []byte, err error) {
	if len(buf) == 0 {
		return nil, buf, io.EOF
	}
	if len(buf) < LogOverhead {
		return nil, buf, fmt.Errorf("%w: %d bytes, a batch starts with %d", ErrTruncated, len(buf), LogOverhead)
	}
	length := int64(int32(binary.BigEndian.Uint32(buf[lengthAt:])))
	if length < minLegacyLength {
		return nil, buf, corruptf("batch length %d", length)
	}
	if len(buf) <= magicAt {
		return nil, buf, fmt.Errorf("%w: %d bytes of %d", ErrTruncated, len(buf), length+LogOverhead)
	}
	switch magic := int8(buf[magicAt]); {
	case magic == 0 || magic == 1:
		return nil, buf, fmt.Errorf("%w: magic %d", ErrOldMagic, magic)
	case magic != Magic:
		return nil, buf, corruptf("magic %d", magic)
	}
	if length < HeaderSize-LogOverhead {
		return nil, buf, corruptf("batch length %d is smaller than the header's %d", length, HeaderSize-LogOverhead)
	}
	size := length + LogOverhead
	if int64(len(buf)) < size {
		return nil, buf, fmt.Errorf("%w: %d bytes of %d", ErrTruncated, len(buf), size)
	}
	return Batch(buf[:size:size]), buf[size:], nil
}

// minLegacyLength is the smallest length a message of format 0 can have:
// checksum, magic, attributes, key length, value length.
const minLegacyLength = 4 + 1 + 1 + 4 + 4

// SizeOf returns the size in bytes that the batch or message starting at head
// claims for itself. head needs LogOverhead bytes. It serves readers that look
// at a file piece by piece and must know how much to read; the claim is not
// checked beyond being positive.
func SizeOf(head []byte) (int64, error) {
	if len(head) < LogOverhead {
		return 0, fmt.Errorf("%w: %d bytes, a batch starts with %d", ErrTruncated, len(head), LogOverhead)
	}
	length := int64(int32(binary.BigEndian.Uint32(head[lengthAt:])))
	if length < minLegacyLength {
		return 0, corruptf("batch length %d", length)
	}
	return length + LogOverhead, nil
}

func (b Batch) i64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
func (b Batch) i32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) i16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }

func (b Batch) put64(at int, v int64) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }
func (b Batch) put32(at int, v int32) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
func (b Batch) put16(at int, v int16) { binary.BigEndian.PutUint16(b[at:], uint16(v)) }

// BaseOffset is the offset of the first record the batch was written with.
func (b Batch) BaseOffset() int64 { return b.i64(baseOffsetAt) }

// LastOffset is the offset of the last record the batch was written with; compaction may have removed it.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// LeaderEpoch is the epoch of the leader that appended the batch, -1 if unset.
func (b Batch) LeaderEpoch() int32 { return b.i32(leaderEpochAt) }

// CRC is the stored CRC32C of everything from the attributes on.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

// Attributes are the batch's flag bits: see the Attr constants.
func (b Batch) Attributes() int16 { return b.i16(attributesAt) }

// LastOffsetDelta is LastOffset minus BaseOffset.
func (b Batch) LastOffsetDelta() int32 { return b.i32(lastOffsetDeltaAt) }

// BaseTimestamp is what the records' timestamp deltas count from, in
// milliseconds: the first record's timestamp, or, when HasDeleteHorizon, the
// time from which the cleaner may drop the batch's tombstones.
func (b Batch) BaseTimestamp() int64 { return b.i64(baseTimestampAt) }

// MaxTimestamp is the largest timestamp in the batch in milliseconds, -1 if there is none.
func (b Batch) MaxTimestamp() int64 { return b.i64(maxTimestampAt) }

// ProducerID is the idempotent producer's id, -1 if there is none.
func (b Batch) ProducerID() int64 { return b.i64(producerIDAt) }

// ProducerEpoch is the idempotent producer's epoch, -1 if there is none.
func (b Batch) ProducerEpoch() int16 { return b.i16(producerEpochAt) }

// BaseSequence is the sequence number of the first record, -1 if there is none.
func (b Batch) BaseSequence() int32 { return b.i32(baseSequenceAt) }

// LastSequence is the sequence number of the last record; numbers wrap from
// 2^31-1 to 0. It is -1 when the batch has none.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == NoSequence {
		return NoSequence
	}
	return int32((int64(base) + int64(b.LastOffsetDelta())) & 0x7fffffff)
}

// NumRecords is how many records the header claims.
func (b Batch) NumRecords() int32 { return b.i32(numRecordsAt) }

// Codec is the compression of the records. It may be a value nobody defined: see Codec.Valid.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & AttrCodecMask) }

// IsControl tells whether the batch holds control records (transaction markers, quorum records) and no user data.
func (b Batch) IsControl() bool { return b.Attributes()&AttrControl != 0 }

// IsTransactional tells whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&AttrTransactional != 0 }

// HasLogAppendTime tells whether the records' timestamp is the broker's append time, which is then MaxTimestamp for all of them.
func (b Batch) HasLogAppendTime() bool { return b.Attributes()&AttrLogAppendTime != 0 }

// HasDeleteHorizon tells whether BaseTimestamp holds the delete horizon (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&AttrDeleteHorizon != 0 }

// HasProducerID tells whether an idempotent or transactional producer wrote the batch.
func (b Batch) HasProducerID() bool { return b.ProducerID() > NoProducerID }

// Payload is what follows the header: the records, compressed if Codec says so.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// SetBaseOffset writes the base offset, which the checksum does not cover.
func (b Batch) SetBaseOffset(offset int64) { b.put64(baseOffsetAt, offset) }

// SetLeaderEpoch writes the leader epoch, which the checksum does not cover.
func (b Batch) SetLeaderEpoch(epoch int32) { b.put32(leaderEpochAt, epoch) }

// SetLogAppendTime makes ms the timestamp of every record in the batch, and
// computes the checksum anew.
func (b Batch) SetLogAppendTime(ms int64) {
	b.put16(attributesAt, b.Attributes()|AttrLogAppendTime)
	b.put64(maxTimestampAt, ms)
	b.sum()
}

// SetMaxTimestamp writes the largest timestamp of a batch whose records carry
// their producer's time, and computes the checksum anew.
func (b Batch) SetMaxTimestamp(ms int64) {
	b.put16(attributesAt, b.Attributes()&^AttrLogAppendTime)
	b.put64(maxTimestampAt, ms)
	b.sum()
}

// ComputeCRC is the CRC32C that the content has.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[attributesAt:], castagnoli) }

func (b Batch) sum() { binary.BigEndian.PutUint32(b[crcAt:], b.ComputeCRC()) }

// CheckCRC returns ErrCorrupt when the stored checksum is not that of the content.
func (b Batch) CheckCRC() error {
	if got := b.ComputeCRC(); got != b.CRC() {
		return corruptf("batch at offset %d: stored crc %d, computed crc %d", b.BaseOffset(), b.CRC(), got)
	}
	return nil
}
