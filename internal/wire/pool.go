package wire

import (
	"math/bits"
	"sync"
)

// Buffers are pooled in classes of powers of two. What is larger than the largest class is left to the garbage
// collector: one 100 MB request must not stay resident because it came once.
const (
	minClassBits = 9  // 512 bytes
	maxClassBits = 22 // 4 MiB
)

// Pool hands out byte slices and takes them back. The zero value is ready; it is safe for concurrent use.
type Pool struct {
	classes [maxClassBits - minClassBits + 1]sync.Pool
	boxes   sync.Pool // empty *[]byte, so that Put allocates nothing
}

// Get returns a slice of length n whose content is undefined.
func (p *Pool) Get(n int) []byte {
	c := class(n)
	if c < 0 {
		return make([]byte, n)
	}
	if box, ok := p.classes[c].Get().(*[]byte); ok {
		b := *box
		*box = nil
		p.boxes.Put(box)
		return b[:n]
	}
	return make([]byte, n, 1<<(c+minClassBits))
}

// Put gives a slice back. The caller must hold the only reference.
func (p *Pool) Put(b []byte) {
	n := cap(b)
	if n < 1<<minClassBits || n > 1<<maxClassBits {
		return
	}
	c := bits.Len(uint(n)) - 1 - minClassBits // the class whose Get is always satisfied by n
	box, ok := p.boxes.Get().(*[]byte)
	if !ok {
		box = new([]byte)
	}
	*box = b[:0]
	p.classes[c].Put(box)
}

// class returns the smallest class that holds n bytes, -1 if none does.
func class(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	if n > 1<<maxClassBits {
		return -1
	}
	return bits.Len(uint(n-1)) - minClassBits
}
