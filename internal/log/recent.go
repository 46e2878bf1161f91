package log

import "gregor/internal/record"

// recent remembers where the last appended batches lie in their segment, so that readers at the log's end, consumers and
// followers, need not look for them in the file. It is nil in a segment that nothing was appended to since it was opened.
type recent struct {
	places [recentBatches]place
	next   int // where the next one goes
}

// recentBatches is how many are remembered: it bounds the memory of ten thousand partitions that are written in turn.
const recentBatches = 32

// place is where a batch lies, relative to its segment. size is 0 if there is none.
type place struct {
	first, last int32 // offsets
	position    int32
	size        int32
}

func (p place) end() int64 { return int64(p.position) + int64(p.size) }

// add notes a batch behind the others. base is the segment's.
func (r *recent) add(b record.Batch, size int, position, base int64) {
	r.places[r.next%recentBatches] = place{
		first: int32(b.BaseOffset() - base), last: int32(b.LastOffset() - base), position: int32(position), size: int32(size),
	}
	r.next++
}

// at gives the batch that holds a relative offset and ends at a position or before.
func (r *recent) at(offset, limit int64) (place, bool) {
	if r == nil {
		return place{}, false
	}
	for i := r.next - 1; i >= 0 && i >= r.next-recentBatches; i-- { // mostly it is one of the last
		p := r.places[i%recentBatches]
		if offset > int64(p.last) {
			break
		}
		if offset >= int64(p.first) {
			return p, p.end() <= limit
		}
	}
	return place{}, false
}

// before gives the last batch that ends at a position or before and has only offsets below a relative one.
func (r *recent) before(stop, limit int64) (place, bool) {
	if r == nil {
		return place{}, false
	}
	for i := r.next - 1; i >= 0 && i >= r.next-recentBatches; i-- {
		if p := r.places[i%recentBatches]; p.end() <= stop && int64(p.last) < limit {
			return p, true
		}
	}
	return place{}, false
}
