package coordinator

import "gregor/internal/record"

// batch is the records decided but not appended, and which positions wait for which offset to be committed.
type batch struct {
	builder   *record.Builder
	size      int   // an upper bound of the encoded size in bytes, header apart; 0 without records
	position  int64 // the last record applied
	committed int64 // the last position committed
	marks     []mark
	pending   []Record
}

// mark says that the records up to position lie below the offset next.
type mark struct{ next, position int64 }

// recordOverhead is an upper bound of what a record needs beside key and value: length, attributes, deltas, lengths.
const recordOverhead = 32

// sizeOf is an upper bound of what records need in a batch, its header apart.
func sizeOf(records []Record) int {
	size := 0
	for i := range records {
		size += recordOverhead + len(records[i].Key) + len(records[i].Value)
	}
	return size
}

func (b *batch) add(records []Record, size int) {
	b.pending = append(b.pending, records...)
	b.size += size
}

// encode gives the batch its bytes. All its records carry the time of the append.
func (b *batch) encode(now int64) []byte { return b.encodeAs(record.BuilderOptions{}, b.pending, now) }

func (b *batch) encodeAs(o record.BuilderOptions, records []Record, now int64) []byte {
	if b.builder == nil {
		b.builder = record.NewBuilder(o)
	} else {
		b.builder.Reset(o)
	}
	for i := range records {
		b.builder.Append(now, records[i].Key, records[i].Value)
	}
	return b.builder.Build()
}

// appended empties the batch, whose last record lies below the offset next.
func (b *batch) appended(next int64) {
	b.marks = append(b.marks, mark{next, b.position})
	clear(b.pending)
	b.pending = b.pending[:0]
	b.size = 0
}

// commit takes a new high watermark and says how far the positions are committed.
func (b *batch) commit(watermark int64) (position int64, moved bool) {
	n := 0
	for n < len(b.marks) && b.marks[n].next <= watermark {
		b.committed = b.marks[n].position
		n++
	}
	if n > 0 {
		b.marks = b.marks[:copy(b.marks, b.marks[n:])]
	}
	return b.committed, n > 0
}
