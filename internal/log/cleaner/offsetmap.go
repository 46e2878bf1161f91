package cleaner

import (
	"hash/maphash"
	"math/bits"
)

// OffsetMap has the last offset of each key of a part of the log, in memory of a fixed size: it keeps 128 bits of hash for
// a key. The hashes depend on two random seeds, so nobody can choose keys that collide; that two of a billion keys do by
// chance has a probability of 10^-21.
type OffsetMap struct {
	seeds [2]maphash.Seed
	slots []slot
	size  int
	limit int   // keys that it takes
	last  int64 // the last offset that it covers; -1 if none
}

type slot struct {
	hash [2]uint64
	next int64 // the key's last offset, and one more; 0: empty
}

const (
	slotBytes = 24

	// MinMapKeys is how many keys a map takes at least.
	MinMapKeys = 8
)

// NewOffsetMap makes a map that takes up to keys keys, or as many as fit the bytes with the load factor (0 to 1, as
// log.cleaner.io.buffer.load.factor: how full the table may be).
func NewOffsetMap(keys int64, bytes int64, loadFactor float64) *OffsetMap {
	if !(loadFactor > 0 && loadFactor <= 1) {
		loadFactor = 0.9
	}
	// Where there is memory the table is emptier than it has to be: searches get long in a full one.
	slots := max(int64(float64(max(keys, MinMapKeys))/min(loadFactor, 0.6))+1, 2)
	slots = min(slots, max(bytes/slotBytes, MinMapKeys))
	// At least one slot stays empty, so that a search ends.
	limit := min(int64(float64(slots)*loadFactor), slots-1)
	return &OffsetMap{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, slots: make([]slot, slots), limit: int(limit), last: -1}
}

// Len is how many keys it has.
func (m *OffsetMap) Len() int { return m.size }

// Bytes is the memory it takes.
func (m *OffsetMap) Bytes() int64 { return int64(len(m.slots)) * slotBytes }

// LastOffset is the last offset that it covers: every record up to there was put in. -1 if none was.
func (m *OffsetMap) LastOffset() int64 { return m.last }

// Cover notes that everything up to an offset was put in.
func (m *OffsetMap) Cover(offset int64) { m.last = max(m.last, offset) }

// find gives the slot of a key, or the empty one where it belongs.
func (m *OffsetMap) find(key []byte) (*slot, [2]uint64) {
	h := [2]uint64{maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)}
	at, _ := bits.Mul64(h[0], uint64(len(m.slots)))
	for {
		s := &m.slots[at]
		if s.next == 0 || s.hash == h {
			return s, h
		}
		if at++; at == uint64(len(m.slots)) {
			at = 0
		}
	}
}

// Put notes a key's offset. Offsets are put in ascending. It returns false, and does nothing, if the map is full.
func (m *OffsetMap) Put(key []byte, offset int64) bool {
	s, h := m.find(key)
	if s.next == 0 {
		if m.size >= m.limit {
			return false
		}
		m.size++
		s.hash = h
	}
	s.next = max(s.next, offset+1)
	return true
}

// Get is a key's last offset; -1 if it is not in the map.
func (m *OffsetMap) Get(key []byte) int64 {
	s, _ := m.find(key)
	return s.next - 1
}
