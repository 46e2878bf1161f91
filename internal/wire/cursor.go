package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errShort  = errors.New("too few bytes")
	errNull   = errors.New("null where a value is required")
	errVarint = errors.New("variable-length number of more than 5 bytes")
	errNested = errors.New("tagged field has another size than its content")
)

const (
	tagMemory  = 64        // a map entry for a tag that nobody knows
	sliceGrain = 16        // an allocation's rounding
	maxDecoded = 256 << 20 // decoded bytes of one request; Kafka's largest real ones decode to a few MB
)

// cursor walks bytes. After the first error everything it returns is zero.
type cursor struct {
	b      []byte
	memory int
	err    error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cursor) skip(n int) {
	if c.err != nil {
		return
	}
	if n > len(c.b) {
		c.fail(fmt.Errorf("%w: %d wanted, %d left", errShort, n, len(c.b)))
		return
	}
	c.b = c.b[n:]
}

func (c *cursor) uvarint() uint32 {
	if c.err != nil {
		return 0
	}
	var x uint64
	for i := 0; i < 5; i++ {
		if i >= len(c.b) {
			c.fail(errShort)
			return 0
		}
		x |= uint64(c.b[i]&0x7f) << (7 * i)
		if c.b[i] < 0x80 {
			if x > 1<<32-1 {
				break
			}
			c.b = c.b[i+1:]
			return uint32(x)
		}
	}
	c.fail(errVarint)
	return 0
}

// length reads a length prefix: -1 for null. wide means four bytes in the old encoding.
func (c *cursor) length(compact, wide bool) int {
	if compact {
		return int(c.uvarint()) - 1
	}
	n := 2
	if wide {
		n = 4
	}
	if c.err != nil || len(c.b) < n {
		c.fail(errShort)
		return -1
	}
	var v int
	if wide {
		v = int(int32(binary.BigEndian.Uint32(c.b)))
	} else {
		v = int(int16(binary.BigEndian.Uint16(c.b)))
	}
	c.b = c.b[n:]
	return v
}

// present checks a length against null and reports whether a value follows.
func (c *cursor) present(sh *shape, n int) bool { return c.presentOr(sh.nullable, n) }

func (c *cursor) presentOr(nullable bool, n int) bool {
	switch {
	case c.err != nil:
		return false
	case n >= 0:
		return true
	case n < -1 || !nullable:
		c.fail(errNull)
	}
	return false
}

func (c *cursor) walk(sh *shape) {
	if c.err != nil {
		return
	}
	switch sh.kind {
	case shapeFixed:
		c.skip(sh.size)
	case shapeString:
		if n := c.length(sh.compact, false); c.present(sh, n) {
			if n > 1<<15-1 {
				c.fail(fmt.Errorf("string of %d bytes", n))
				return
			}
			c.skip(n)
			c.memory += n + sliceGrain
		}
	case shapeBytes, shapeRecords: // decoded as a slice of the body
		if n := c.length(sh.compact, true); c.present(sh, n) {
			c.skip(n)
		}
	case shapeArray:
		c.array(sh)
	case shapeStruct:
		c.structure(sh)
	case shapeTags:
		c.tags(sh)
	}
}

func (c *cursor) structure(sh *shape) {
	if sh.nullable { // one byte says whether it is there
		if len(c.b) == 0 {
			c.fail(errShort)
			return
		}
		there := int8(c.b[0]) >= 0
		c.b = c.b[1:]
		if !there {
			return
		}
		for _, f := range sh.fields {
			c.memory += f.memory
		}
	}
	for _, f := range sh.fields {
		c.walk(f)
	}
}

func (c *cursor) array(sh *shape) {
	n := c.length(sh.compact, true)
	if !c.present(sh, n) {
		return
	}
	// What is left must hold n of the smallest elements.
	if n > len(c.b)/max(sh.elem.minSize, 1) {
		c.fail(fmt.Errorf("%w: array of %d elements, %d bytes left", errShort, n, len(c.b)))
		return
	}
	c.memory += n*sh.elem.memory + sliceGrain
	if c.memory > maxDecoded {
		c.fail(fmt.Errorf("decodes to more than %d bytes", maxDecoded))
		return
	}
	if sh.elem.kind == shapeFixed {
		c.skip(n * sh.elem.size)
		return
	}
	for i := 0; i < n && c.err == nil; i++ {
		c.walk(sh.elem)
	}
}

// tags walks tagged fields; those that sh (may be nil) does not know are skipped.
func (c *cursor) tags(sh *shape) {
	n := c.uvarint()
	for ; n > 0 && c.err == nil; n-- {
		key, size := c.uvarint(), c.uvarint()
		if uint64(size) > uint64(len(c.b)) {
			c.fail(errShort)
			return
		}
		if sh == nil || sh.tags[key] == nil {
			c.skip(int(size))
			c.memory += tagMemory
			continue
		}
		inner := cursor{b: c.b[:size], memory: c.memory}
		inner.walk(sh.tags[key])
		if inner.err == nil && len(inner.b) > 0 {
			inner.fail(errNested)
		}
		if inner.err != nil {
			c.fail(inner.err)
			return
		}
		c.memory = inner.memory
		c.skip(int(size))
	}
}
