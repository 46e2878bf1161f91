package proto

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of decoding. A server answers such a request with MarshallingError.
var ErrMalformed = errors.New("zookeeper: malformed record")

// Decoder reads jute from a byte slice. The first error stays; reads after it give zero values.
type Decoder struct {
	buf  []byte
	size int // of the whole, for offsets in errors
	err  error
}

// NewDecoder reads b. Buffers that it gives alias b.
func NewDecoder(b []byte) *Decoder { return &Decoder{buf: b, size: len(b)} }

// Err is the first error, wrapping ErrMalformed, or nil.
func (d *Decoder) Err() error { return d.err }

// Left is how many bytes were not read.
func (d *Decoder) Left() int { return len(d.buf) }

// Rest gives what was not read.
func (d *Decoder) Rest() []byte { return d.buf }

func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s at byte %d of %d", ErrMalformed, fmt.Sprintf(format, args...), d.size-len(d.buf), d.size)
		d.buf = nil
	}
}

func (d *Decoder) take(n int, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.buf) {
		d.fail("%s of %d bytes with %d left", what, n, len(d.buf))
		return nil
	}
	b := d.buf[:n:n]
	d.buf = d.buf[n:]
	return b
}

// Bool reads a boolean: any byte but 0 is true, as Java reads it.
func (d *Decoder) Bool() bool {
	b := d.take(1, "boolean")
	return b != nil && b[0] != 0
}

// Int32 reads an int.
func (d *Decoder) Int32() int32 {
	b := d.take(4, "int")
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

// Int64 reads a long.
func (d *Decoder) Int64() int64 {
	b := d.take(8, "long")
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// Buffer reads a buffer; a null one is nil, an empty one is not. It aliases what is decoded.
func (d *Decoder) Buffer() []byte {
	n := d.Int32()
	if d.err != nil || n == -1 {
		return nil
	}
	if n < 0 {
		d.fail("a buffer of length %d", n)
		return nil
	}
	return d.take(int(n), "buffer")
}

// String reads a string. A null string is read as an empty one; see Path.
func (d *Decoder) String() string {
	n := d.Int32()
	if d.err != nil || n == -1 {
		return ""
	}
	if n < 0 {
		d.fail("a string of length %d", n)
		return ""
	}
	return string(d.take(int(n), "string"))
}

// Path reads a string that may not be null.
func (d *Decoder) Path() string {
	if d.err == nil && len(d.buf) >= 4 && int32(binary.BigEndian.Uint32(d.buf)) == -1 {
		d.fail("a null path")
		return ""
	}
	return d.String()
}

// count reads the length of a vector whose elements take minSize bytes or more. A null vector, and any negative length,
// is an empty one, as Java reads it.
func (d *Decoder) count(minSize int) int {
	n := d.Int32()
	if d.err != nil || n <= 0 {
		return 0
	}
	if int64(n)*int64(minSize) > int64(len(d.buf)) {
		d.fail("a vector of %d elements with %d bytes left", n, len(d.buf))
		return 0
	}
	return int(n)
}

// Strings reads a vector of strings.
func (d *Decoder) Strings() []string {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	all := make([]string, 0, n)
	for range n {
		all = append(all, d.String())
		if d.err != nil {
			return nil
		}
	}
	return all
}
