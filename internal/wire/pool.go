package wire

import (
	"math/bits"
	"sync"
)

// Buffers are pooled in classes, four to each doubling, so that at most a fifth of one is wasted. What is larger than the
// largest class is left to the garbage collector: one 100 MB request must not stay resident because it came once.
const (
	minClass    = 512
	maxClass    = 4 << 20
	minBits     = 9 // log2 of minClass
	classes     = 13*perDoubling + 1
	perDoubling = 4
)

// Pool hands out byte slices and takes them back. The zero value is ready; it is safe for concurrent use.
type Pool struct {
	classes [classes]sync.Pool
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
	return make([]byte, n, classSize(c))
}

// Put gives a slice back. The caller must hold the only reference.
func (p *Pool) Put(b []byte) {
	n := cap(b)
	if n < minClass || n > maxClass {
		return
	}
	c := class(n) // or the one below, whose Get is always satisfied by n
	if classSize(c) > n {
		c--
	}
	box, ok := p.boxes.Get().(*[]byte)
	if !ok {
		box = new([]byte)
	}
	*box = b[:0]
	p.classes[c].Put(box)
}

// class returns the smallest class that holds n bytes, -1 if none does.
func class(n int) int {
	if n <= minClass {
		return 0
	}
	if n > maxClass {
		return -1
	}
	doubling := bits.Len(uint(n-1)) - 1 // n is in (1<<doubling, 2<<doubling]
	quarter := (n - 1 - 1<<doubling) >> (doubling - 2)
	return (doubling-minBits)*perDoubling + quarter + 1
}

func classSize(c int) int {
	return (perDoubling + c%perDoubling) << (c/perDoubling + minBits - 2)
}
