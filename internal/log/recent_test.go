package log

import (
	"fmt"
	"testing"

	"gregor/internal/log/vfs"
)

// TestReadersOfTheEndLookIntoNoFile: where the last batches lie is known from their appends.
func TestReadersOfTheEndLookIntoNoFile(t *testing.T) {
	f := newFixture(t)
	fault := f.faulty()
	l := f.open()
	const n = 3 * recentBatches
	for i := range n {
		f.append(l, batch(fmt.Sprint(i)))
	}
	reads := 0
	fault.Hook = func(op vfs.Op, _ string) error {
		if op == vfs.OpRead {
			reads++
		}
		return nil
	}
	size := len(batch("00"))
	for _, c := range []struct {
		offset, limit int64
		maxBytes      int
		batches       int // of two digits
		looks         bool
	}{
		{n - 1, n, 1 << 20, 1, false},                                // a consumer that keeps up
		{n - recentBatches, n, 1 << 20, recentBatches, false},        // one that does not quite
		{n - 10, n - 4, 1 << 20, 6, false},                           // up to a high watermark below the end
		{n - 10, n, 3*size + 1, 3, false},                            // the room is used up
		{n - 10, n, 1, 1, false},                                     // the first batch in any case
		{n - recentBatches - 1, n, 1 << 20, recentBatches + 1, true}, // too old
		{20, n, 1 << 20, n - 20, true},
	} {
		reads = 0
		s, err := l.Read(c.offset, c.limit, c.maxBytes, true)
		if err != nil {
			t.Fatal(err)
		}
		if s.StartOffset() != c.offset || s.Len() != c.batches*size {
			t.Errorf("%+v: %d bytes from offset %d, want %d", c, s.Len(), s.StartOffset(), c.batches*size)
		}
		if (reads > 0) != c.looks {
			t.Errorf("%+v: %d reads of the file", c, reads)
		}
		s.Close()
	}
	// What was cut off is not there any more, and what is written in its place is.
	if err := l.TruncateTo(n - 5); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Read(n-6, n, 1<<20, true); err != nil || s.Len() != size {
		t.Errorf("%d bytes of the last batch, %v", s.Len(), err)
	} else {
		s.Close()
	}
	f.append(l, batch("another"))
	f.expect(l, n-6, fmt.Sprintf("%d:%d", n-6, n-6), fmt.Sprintf("%d:another", n-5))
	// A segment that is rolled is looked for as every other.
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	f.append(l, batch("next"))
	f.expect(l, n-5, fmt.Sprintf("%d:another", n-5), fmt.Sprintf("%d:next", n-4))
}
