package tree

import (
	"slices"
	"strings"
)

// children are a node's children by name, sorted: 8 bytes a child, no hashing, an order that is the same everywhere,
// and a place to go on from for a snapshot that is taken in steps. They lie in chunks, so that an insertion into a
// million moves little.
type children struct {
	chunks [][]*node // none is empty
	n      int
}

const maxChunk = 256

func compareName(c *node, name string) int { return strings.Compare(c.name, name) }

// chunk gives the chunk in which a name is or would be: the last one that does not begin after it.
func (c *children) chunk(name string) int {
	i, found := slices.BinarySearchFunc(c.chunks, name, func(chunk []*node, name string) int {
		return strings.Compare(chunk[0].name, name)
	})
	if found || i == 0 {
		return i
	}
	return i - 1
}

func (c *children) get(name string) *node {
	if c.n == 0 {
		return nil
	}
	chunk := c.chunks[c.chunk(name)]
	if j, found := slices.BinarySearchFunc(chunk, name, compareName); found {
		return chunk[j]
	}
	return nil
}

// add puts in a child whose name is not there.
func (c *children) add(n *node) {
	c.n++
	if len(c.chunks) == 0 {
		c.chunks = [][]*node{{n}}
		return
	}
	i := c.chunk(n.name)
	chunk := c.chunks[i]
	j, _ := slices.BinarySearchFunc(chunk, n.name, compareName)
	switch {
	case len(chunk) < maxChunk:
		c.chunks[i] = slices.Insert(chunk, j, n)
	case j == len(chunk) && i == len(c.chunks)-1: // names that grow, as sequential ones do, fill their chunks
		c.chunks = append(c.chunks, []*node{n})
	default:
		right := slices.Clone(chunk[maxChunk/2:])
		clear(chunk[maxChunk/2:])
		left := chunk[:maxChunk/2]
		if j <= len(left) {
			left = slices.Insert(left, j, n)
		} else {
			right = slices.Insert(right, j-len(left), n)
		}
		c.chunks[i] = left
		c.chunks = slices.Insert(c.chunks, i+1, right)
	}
}

// remove takes out the child of a name that is there.
func (c *children) remove(name string) {
	i := c.chunk(name)
	j, _ := slices.BinarySearchFunc(c.chunks[i], name, compareName)
	c.n--
	chunk := slices.Delete(c.chunks[i], j, j+1)
	if len(chunk) == 0 {
		c.chunks = slices.Delete(c.chunks, i, i+1)
		return
	}
	c.chunks[i] = chunk
	if !c.merge(i) && i > 0 {
		c.merge(i - 1)
	}
}

// merge makes one of a chunk and the next if together they are small, so that what was a large directory gives its
// memory back.
func (c *children) merge(i int) bool {
	if i+1 == len(c.chunks) || len(c.chunks[i])+len(c.chunks[i+1]) > maxChunk/2 {
		return false
	}
	c.chunks[i] = append(c.chunks[i], c.chunks[i+1]...)
	c.chunks = slices.Delete(c.chunks, i+1, i+2)
	return true
}

func (c *children) first() *node { return c.chunks[0][0] }

// after gives the child that follows a name, which need not be there; nil at the end.
func (c *children) after(name string) *node {
	if c == nil || c.n == 0 {
		return nil
	}
	i := c.chunk(name)
	j, found := slices.BinarySearchFunc(c.chunks[i], name, compareName)
	if found {
		j++
	}
	if j < len(c.chunks[i]) {
		return c.chunks[i][j]
	}
	if i+1 < len(c.chunks) {
		return c.chunks[i+1][0]
	}
	return nil
}

func (c *children) names() []string {
	if c == nil {
		return nil
	}
	names := make([]string, 0, c.n)
	for _, chunk := range c.chunks {
		for _, n := range chunk {
			names = append(names, n.name)
		}
	}
	return names
}
