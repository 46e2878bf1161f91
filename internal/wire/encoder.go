package wire

import (
	"encoding/binary"
	"slices"
)

// encoder appends the fields of a response to b, in the old or the flexible encoding (KIP-482).
type encoder struct {
	b        []byte
	flexible bool
}

func (w *encoder) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *encoder) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *encoder) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

func (w *encoder) noTags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}

// arrayLen writes the count of an array; -1 is null.
func (w *encoder) arrayLen(n int) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(n+1))
	} else {
		w.int32(int32(n))
	}
}

func (w *encoder) str(s string) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(len(s)+1))
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

func (w *encoder) nullableStr(s *string) {
	switch {
	case s != nil:
		w.str(*s)
	case w.flexible:
		w.b = append(w.b, 0)
	default:
		w.int16(-1)
	}
}

// tag writes a tagged field whose size is known only after its content.
func (w *encoder) tag(key byte, content func()) {
	w.b = append(w.b, key)
	at := len(w.b)
	content()
	var size [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(size[:], uint64(len(w.b)-at))
	w.b = slices.Insert(w.b, at, size[:n]...)
}

// frame sets the length of the frame that begins at start.
func (w *encoder) frame(start int) {
	binary.BigEndian.PutUint32(w.b[start:], uint32(len(w.b)-start-4))
}
