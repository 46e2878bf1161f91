package log

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// offsetIndex maps offsets to positions in the segment file, sparsely: about one entry in index.interval.bytes. The
// file is a row of 8-byte entries
//
//	int32 offset of the last record of a batch, relative to the segment's base offset
//	int32 position of that batch in the segment file
//
// both increasing. An active segment's file has its full size (segment.index.bytes) from the start, zeros behind the
// entries, and is cut to its entries when the segment is rolled or closed.
//
// The entries live in memory; the file is brought up to date when the segment is flushed, rolled or closed. That is
// enough, since the index of every segment past the recovery point is rebuilt after a crash.
type offsetIndex struct {
	entries []offsetEntry
	written int // entries that are in the file
}

type offsetEntry struct {
	offset   int32 // relative
	position int32
}

const offsetEntrySize = 8

// String is for messages.
func (e offsetEntry) String() string {
	return fmt.Sprintf("offset: %d position: %d", e.offset, e.position)
}

// add appends an entry; an offset that is not above the last is left out.
func (x *offsetIndex) add(offset, position int32) {
	if n := len(x.entries); n > 0 && x.entries[n-1].offset >= offset {
		return
	}
	x.entries = append(x.entries, offsetEntry{offset, position})
}

// lookup gives a position at or before the batch that holds the relative offset.
func (x *offsetIndex) lookup(offset int64) int64 {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) > offset })
	if i == 0 {
		return 0
	}
	return int64(x.entries[i-1].position)
}

// entry is the entry that lookup goes by.
func (x *offsetIndex) entry(offset int64) (e offsetEntry, ok bool) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) > offset })
	if i == 0 {
		return offsetEntry{}, false
	}
	return x.entries[i-1], true
}

// floor gives the largest indexed batch position at or below a position.
func (x *offsetIndex) floor(position int64) int64 {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) > position })
	if i == 0 {
		return 0
	}
	return int64(x.entries[i-1].position)
}

// ceiling gives the relative offset of the first entry at or above a position.
func (x *offsetIndex) ceiling(position int64) (offset int32, ok bool) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) >= position })
	if i == len(x.entries) {
		return 0, false
	}
	return x.entries[i].offset, true
}

// truncateTo drops the entries at or above a relative offset.
func (x *offsetIndex) truncateTo(offset int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) >= offset })
	x.entries = x.entries[:i]
	x.written = min(x.written, i)
}

// full tells that a file of maxBytes has no place for another entry.
func (x *offsetIndex) full(maxBytes int) bool { return len(x.entries) >= maxBytes/offsetEntrySize }

// encode appends the entries from the i-th on.
func (x *offsetIndex) encode(dst []byte, i int) []byte {
	for _, e := range x.entries[i:] {
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.offset))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.position))
	}
	return dst
}

// decodeOffsetIndex reads a file's content for a segment of segmentSize bytes. The zeros behind the entries of a file
// that was not cut are left out. Error: ErrCorrupt if the entries do not increase or lie outside the segment.
func decodeOffsetIndex(path string, b []byte, segmentSize int64) (offsetIndex, error) {
	if len(b)%offsetEntrySize != 0 {
		return offsetIndex{}, corrupt(path, "%d bytes are not a multiple of %d", len(b), offsetEntrySize)
	}
	x := offsetIndex{entries: make([]offsetEntry, 0, countEntries(b, offsetEntrySize))}
	for i := range cap(x.entries) {
		e := offsetEntry{int32(binary.BigEndian.Uint32(b[i*8:])), int32(binary.BigEndian.Uint32(b[i*8+4:]))}
		if e.offset < 0 || e.position < 0 || int64(e.position) >= segmentSize {
			return offsetIndex{}, corrupt(path, "entry %d (%v) lies outside the segment of %d bytes", i, e, segmentSize)
		}
		if i > 0 && (e.offset <= x.entries[i-1].offset || e.position <= x.entries[i-1].position) {
			return offsetIndex{}, corrupt(path, "entry %d (%v) does not follow %v", i, e, x.entries[i-1])
		}
		x.entries = append(x.entries, e)
	}
	x.written = len(x.entries)
	return x, nil
}

// countEntries is the number of entries before the zeros that end an index file of full size.
func countEntries(b []byte, size int) int {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return (n + size - 1) / size
}
