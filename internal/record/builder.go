package record

import (
	"fmt"
	"math"
)

// Producer is the idempotent producer that a batch belongs to.
type Producer struct {
	ID           int64
	Epoch        int16
	BaseSequence int32 // of the batch's first record
}

// BuilderOptions say what the header of a new batch holds. The zero value is
// an uncompressed batch at offset 0 without a producer.
type BuilderOptions struct {
	BaseOffset      int64
	LeaderEpoch     int32
	Codec           Codec
	Level           int // compression level, 0 for the codec's default
	Producer        *Producer
	Transactional   bool
	Control         bool
	LogAppendTime   bool  // every record has the timestamp LogAppendTimeMs
	LogAppendTimeMs int64 //

	// DeleteHorizon says that DeleteHorizonMs, from when the cleaner may drop the batch's tombstones, stands in the place of
	// the base timestamp (KIP-534).
	DeleteHorizon   bool
	DeleteHorizonMs int64
}

// Builder puts records into one batch. It is not safe for concurrent use.
// The zero value is not usable: see NewBuilder.
type Builder struct {
	o       BuilderOptions
	buf     []byte // header and uncompressed records
	n       int32
	baseTs  int64
	maxTs   int64
	lastOff int64
}

// NewBuilder starts a batch.
func NewBuilder(o BuilderOptions) *Builder {
	b := &Builder{}
	b.Reset(o)
	return b
}

// Reset starts another batch and keeps the buffer, unless Build gave it away.
func (b *Builder) Reset(o BuilderOptions) {
	buf := b.buf
	if cap(buf) < HeaderSize {
		buf = make([]byte, HeaderSize, 512)
	}
	*b = Builder{o: o, buf: buf[:HeaderSize], baseTs: NoTimestamp, maxTs: NoTimestamp, lastOff: o.BaseOffset - 1}
	if o.DeleteHorizon {
		b.baseTs = o.DeleteHorizonMs
	}
}

// Append adds a record at the next offset. A nil key or value is null. ts is in milliseconds.
func (b *Builder) Append(ts int64, key, value []byte, headers ...Header) {
	b.AppendRecord(Record{Offset: b.lastOff + 1, Timestamp: ts, Key: key, Value: value, Headers: headers})
}

// AppendRecord adds a record with its own offset, which lies behind the last
// one and within 2^31 of the base offset: anything else is a mistake of the
// caller and panics. Compaction leaves such gaps.
func (b *Builder) AppendRecord(r Record) {
	delta := r.Offset - b.o.BaseOffset
	if r.Offset <= b.lastOff || delta < 0 || delta > math.MaxInt32 || b.n == math.MaxInt32 {
		panic(fmt.Sprintf("record: offset %d after %d in a batch at %d", r.Offset, b.lastOff, b.o.BaseOffset))
	}
	if b.o.LogAppendTime {
		r.Timestamp = b.o.LogAppendTimeMs
	}
	if b.n == 0 && !b.o.DeleteHorizon {
		b.baseTs = r.Timestamp
	}
	b.maxTs = max(b.maxTs, r.Timestamp)
	b.buf = appendRecord(b.buf, r.Attributes, r.Timestamp-b.baseTs, int32(delta), r.Key, r.Value, r.Headers)
	b.lastOff = r.Offset
	b.n++
}

// ReachTo makes offset the batch's last one, as if records up to there had been removed. A lower one changes nothing.
func (b *Builder) ReachTo(offset int64) {
	if offset-b.o.BaseOffset <= math.MaxInt32 {
		b.lastOff = max(b.lastOff, offset)
	}
}

// Len is the size in bytes that the batch has so far, before compression.
func (b *Builder) Len() int { return len(b.buf) }

// Count is how many records were appended.
func (b *Builder) Count() int { return int(b.n) }

// Build finishes the batch and gives it away; the builder needs a Reset before
// it is used again. It panics on a codec or level that does not exist:
// configuration was checked long before.
func (b *Builder) Build() Batch {
	batch := b.BuildShared()
	if b.o.Codec == None {
		b.buf = nil
	}
	return batch
}

// BuildShared is Build of a batch that is valid until the next Reset.
func (b *Builder) BuildShared() Batch {
	batch := Batch(b.buf)
	if b.o.Codec != None {
		out := make([]byte, HeaderSize, HeaderSize+len(b.buf)/2)
		out, err := compress(out, b.o.Codec, b.o.Level, b.buf[HeaderSize:])
		if err != nil {
			panic("record: " + err.Error())
		}
		batch = Batch(out)
	}
	attributes := int16(b.o.Codec)
	if b.o.LogAppendTime {
		attributes |= AttrLogAppendTime
	}
	if b.o.Transactional {
		attributes |= AttrTransactional
	}
	if b.o.Control {
		attributes |= AttrControl
	}
	if b.o.DeleteHorizon {
		attributes |= AttrDeleteHorizon
	}
	p := b.o.Producer
	if p == nil {
		p = &Producer{NoProducerID, NoProducerEpoch, NoSequence}
	}
	batch.put64(baseOffsetAt, b.o.BaseOffset)
	batch.put32(lengthAt, int32(len(batch)-LogOverhead))
	batch.put32(leaderEpochAt, b.o.LeaderEpoch)
	batch[magicAt] = Magic
	batch.put16(attributesAt, attributes)
	batch.put32(lastOffsetDeltaAt, int32(b.lastOff-b.o.BaseOffset))
	batch.put64(baseTimestampAt, b.baseTs)
	batch.put64(maxTimestampAt, b.maxTs)
	batch.put64(producerIDAt, p.ID)
	batch.put16(producerEpochAt, p.Epoch)
	batch.put32(baseSequenceAt, p.BaseSequence)
	batch.put32(numRecordsAt, b.n)
	batch.sum()
	return batch
}
