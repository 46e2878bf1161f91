package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrBadRecord is wrapped by everything that decoding reports.
var ErrBadRecord = errors.New("bad metadata record")

// encoder appends Kafka's flexible primitives.
type encoder struct{ b []byte }

func (e *encoder) int8(v int8)       { e.b = append(e.b, byte(v)) }
func (e *encoder) int16(v int16)     { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) uint16(v uint16)   { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) int32(v int32)     { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64)     { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }
func (e *encoder) float64(v float64) { e.int64(int64(math.Float64bits(v))) }
func (e *encoder) uuid(v UUID)       { e.b = append(e.b, v[:]...) }
func (e *encoder) uvarint(v int)     { e.b = binary.AppendUvarint(e.b, uint64(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.int8(1)
	} else {
		e.int8(0)
	}
}

// Compact lengths are one more than the length; zero is null.
func (e *encoder) string(v string) { e.uvarint(len(v) + 1); e.b = append(e.b, v...) }
func (e *encoder) bytes(v []byte)  { e.uvarint(len(v) + 1); e.b = append(e.b, v...) }

func (e *encoder) nullString(v *string) {
	if v == nil {
		e.uvarint(0)
		return
	}
	e.string(*v)
}

// array writes items; a nil one is empty.
func array[T any](e *encoder, items []T, item func(*encoder, T)) {
	e.uvarint(len(items) + 1)
	for _, v := range items {
		item(e, v)
	}
}

// nullArray writes items; a nil one is null.
func nullArray[T any](e *encoder, items []T, item func(*encoder, T)) {
	if items == nil {
		e.uvarint(0)
		return
	}
	array(e, items, item)
}

// tagged is one tagged field, already encoded.
type tagged struct {
	tag  int
	data []byte
}

// tags writes the tagged section; fields come in the order of their tags.
func (e *encoder) tags(fields ...tagged) {
	e.uvarint(len(fields))
	for _, f := range fields {
		e.uvarint(f.tag)
		e.uvarint(len(f.data))
		e.b = append(e.b, f.data...)
	}
}

func tag(n int, write func(*encoder)) tagged {
	var e encoder
	write(&e)
	return tagged{n, e.b}
}

// decoder takes primitives off the front of a buffer. The first error sticks and everything after it reads as zero,
// so that a record's ReadFrom checks once.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrBadRecord}, args...)...)
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail("needs %d bytes, %d are left", n, len(d.b))
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) int8() int8 {
	if b := d.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (d *decoder) bool() bool { return d.int8() != 0 }

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) int16() int16 { return int16(d.uint16()) }

func (d *decoder) int32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) int64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) float64() float64 { return math.Float64frombits(uint64(d.int64())) }

func (d *decoder) uuid() (v UUID) { copy(v[:], d.take(16)); return v }

// uvarint reads an unsigned varint of at most 32 bits.
func (d *decoder) uvarint() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > math.MaxInt32 {
		d.fail("varint is cut off or over 31 bits")
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// length reads a compact length: -1 for null. Nothing that follows can be longer than the rest of the buffer, so a
// lying length never makes us allocate more than the sender sent.
func (d *decoder) length() int {
	n := d.uvarint() - 1
	if n > len(d.b) {
		d.fail("length %d is past the end, %d bytes are left", n, len(d.b))
		return 0
	}
	return n
}

func (d *decoder) nullString() *string {
	n := d.length()
	if n < 0 {
		return nil
	}
	s := string(d.take(n))
	return &s
}

func (d *decoder) string() string {
	s := d.nullString()
	if s == nil {
		if d.err == nil {
			d.fail("null where a string must be")
		}
		return ""
	}
	return *s
}

func (d *decoder) bytes() []byte {
	n := d.length()
	if n < 0 {
		if d.err == nil {
			d.fail("null where bytes must be")
		}
		return nil
	}
	return append([]byte(nil), d.take(n)...)
}

// readArray reads an array that cannot be null; an empty one is nil.
func readArray[T any](d *decoder, item func(*decoder) T) []T {
	items := readNullArray(d, item)
	if items == nil && d.err == nil {
		d.fail("null where an array must be")
	}
	if len(items) == 0 {
		return nil
	}
	return items
}

// readNullArray reads an array; null is nil, an empty one is not.
func readNullArray[T any](d *decoder, item func(*decoder) T) []T {
	n := d.length()
	if n < 0 || d.err != nil {
		return nil
	}
	items := make([]T, 0, min(n, 64))
	for range n {
		items = append(items, item(d))
		if d.err != nil {
			return nil
		}
	}
	return items
}

// tags reads the tagged section. field reads the tags that this version knows and reports whether it did; a newer
// sender's are skipped.
func (d *decoder) tags(field func(tag int, d *decoder) bool) {
	last := -1
	for range d.uvarint() {
		tag, size := d.uvarint(), d.uvarint()
		body := decoder{b: d.take(size)}
		if d.err != nil {
			return
		}
		if tag <= last {
			d.fail("tag %d after tag %d", tag, last)
			return
		}
		last = tag
		if !field(tag, &body) {
			continue
		}
		if body.err == nil && len(body.b) > 0 {
			body.fail("%d bytes too many", len(body.b))
		}
		if body.err != nil {
			d.err = fmt.Errorf("tag %d: %w", tag, body.err)
			d.b = nil
			return
		}
	}
}
