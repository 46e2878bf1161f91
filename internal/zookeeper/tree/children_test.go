package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestChildren compares a large directory with a map, through growth and decline.
func TestChildren(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		r := rand.New(rand.NewPCG(1, 2))
		var c children
		want := map[string]*node{}
		check := func() {
			t.Helper()
			names := slices.Sorted(maps.Keys(want))
			if got := c.names(); !slices.Equal(got, names) || c.n != len(names) {
				t.Fatalf("%d names, want %d", len(got), len(names))
			}
			for i, name := range names {
				if c.get(name) != want[name] {
					t.Fatalf("%s is not found", name)
				}
				next := c.after(name)
				if i+1 < len(names) && (next == nil || next.name != names[i+1]) || i+1 == len(names) && next != nil {
					t.Fatalf("after %s comes %v", name, next)
				}
				if between := c.after(name + "\x00"); between != next {
					t.Fatalf("after %s\\x00 comes %v", name, between)
				}
				if c.get(name+"\x00") != nil {
					t.Fatalf("%s\\x00 is found", name)
				}
			}
			for i, chunk := range c.chunks {
				if len(chunk) == 0 || len(chunk) > maxChunk {
					t.Fatalf("chunk %d has %d", i, len(chunk))
				}
			}
		}
		for i := range 5000 {
			name := fmt.Sprintf("n%010d", i)
			if !sequential {
				name = fmt.Sprintf("n%d", r.IntN(100_000))
			}
			if want[name] != nil {
				continue
			}
			n := &node{name: name}
			c.add(n)
			want[name] = n
		}
		check()
		if full := 5000/maxChunk + 1; sequential && len(c.chunks) > full {
			t.Errorf("names that grow fill %d chunks, want %d", len(c.chunks), full)
		}
		for i, name := range slices.Sorted(maps.Keys(want)) {
			if i%20 > 0 {
				c.remove(name)
				delete(want, name)
			}
		}
		check()
		if len(c.chunks) > 8 {
			t.Errorf("%d children lie in %d chunks", c.n, len(c.chunks))
		}
		for name := range maps.Clone(want) {
			c.remove(name)
			delete(want, name)
		}
		check()
	}
}
