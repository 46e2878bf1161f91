package log

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// timeIndex maps times to offsets, sparsely. The file is a row of 12-byte entries
//
//	int64 timestamp in ms: the largest in the segment so far
//	int32 offset of the last record of the batch that has it, relative to the segment's base offset
//
// with timestamps increasing and offsets not decreasing. The last entry of a rolled or closed segment has the largest
// timestamp of the segment. Sizes are as in offsetIndex.
type timeIndex struct {
	entries []timeEntry
	written int
}

type timeEntry struct {
	timestampMs int64
	offset      int32 // relative
}

const timeEntrySize = 12

// String is for messages.
func (e timeEntry) String() string {
	return fmt.Sprintf("timestamp: %d offset: %d", e.timestampMs, e.offset)
}

// add appends an entry if its timestamp is above the last.
func (x *timeIndex) add(timestampMs int64, offset int32) {
	if timestampMs < 0 {
		return
	}
	if n := len(x.entries); n > 0 && (x.entries[n-1].timestampMs >= timestampMs || x.entries[n-1].offset > offset) {
		return
	}
	x.entries = append(x.entries, timeEntry{timestampMs, offset})
}

// entry is the last entry at or before a time; timestamp -1 if there is none.
func (x *timeIndex) entry(timestampMs int64) timeEntry {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].timestampMs > timestampMs })
	if i == 0 {
		return timeEntry{timestampMs: -1}
	}
	return x.entries[i-1]
}

// last gives the last entry; timestamp -1 if there is none.
func (x *timeIndex) last() timeEntry {
	if len(x.entries) == 0 {
		return timeEntry{timestampMs: -1}
	}
	return x.entries[len(x.entries)-1]
}

// truncateTo drops the entries at or above a relative offset.
func (x *timeIndex) truncateTo(offset int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) >= offset })
	x.entries = x.entries[:i]
	x.written = min(x.written, i)
}

// full keeps one place free for the entry that is added when the segment is rolled.
func (x *timeIndex) full(maxBytes int) bool { return len(x.entries) >= maxBytes/timeEntrySize-1 }

// encode appends the entries from the i-th on.
func (x *timeIndex) encode(dst []byte, i int) []byte {
	for _, e := range x.entries[i:] {
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.timestampMs))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.offset))
	}
	return dst
}

// decodeTimeIndex reads a file's content. Error: ErrCorrupt if the entries do not increase.
func decodeTimeIndex(path string, b []byte) (timeIndex, error) {
	if len(b)%timeEntrySize != 0 {
		return timeIndex{}, corrupt(path, "%d bytes are not a multiple of %d", len(b), timeEntrySize)
	}
	x := timeIndex{entries: make([]timeEntry, 0, countEntries(b, timeEntrySize))}
	for i := range cap(x.entries) {
		at := b[i*timeEntrySize:]
		e := timeEntry{int64(binary.BigEndian.Uint64(at)), int32(binary.BigEndian.Uint32(at[8:]))}
		if e.timestampMs < 0 || e.offset < 0 {
			return timeIndex{}, corrupt(path, "entry %d (%v) is negative", i, e)
		}
		if i > 0 && (e.timestampMs <= x.entries[i-1].timestampMs || e.offset < x.entries[i-1].offset) {
			return timeIndex{}, corrupt(path, "entry %d (%v) does not follow %v", i, e, x.entries[i-1])
		}
		x.entries = append(x.entries, e)
	}
	x.written = len(x.entries)
	return x, nil
}
