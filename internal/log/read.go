package log

import (
	"errors"
	"fmt"
	"io"

	"gregor/internal/record"
)

// Read gives the batches from the one that holds offset on, as a range of one segment file: whole batches, below the
// exclusive offset limit (the high watermark, the last stable offset, or the end), at most maxBytes; with atLeastOne the
// first batch is given even if it is larger. The first batch may start below offset. The slice is empty if there is
// nothing below limit; one that is not empty must be closed.
//
// Errors: ErrOffsetOutOfRange if offset is below the log start or above the end; ErrDirOffline, ErrClosed, ErrCorrupt.
func (l *Log) Read(offset, limit int64, maxBytes int, atLeastOne bool) (Slice, error) {
	slice, _, err := l.read(offset, limit, maxBytes, atLeastOne, false)
	return slice, err
}

// ReadCommitted is Read for a consumer of committed records, with limit the last stable offset: it also lists the aborted
// transactions in the range, whose records are to be left out. Both are of the same segments, even if these are compacted
// meanwhile.
func (l *Log) ReadCommitted(offset, limit int64, maxBytes int, atLeastOne bool) (Slice, []AbortedTxn, error) {
	return l.read(offset, limit, maxBytes, atLeastOne, true)
}

func (l *Log) read(offset, limit int64, maxBytes int, atLeastOne, committed bool) (Slice, []AbortedTxn, error) {
	looks := 0
	for {
		published := l.segments.Load()
		list := *published
		tail := list[len(list)-1].size.Load()
		end, start := l.end.Load(), l.start.Load()
		if offset < start || offset > end {
			return Slice{}, nil, fmt.Errorf("%w: %d, %s has %d to %d", ErrOffsetOutOfRange, offset, l.dir, start, end)
		}
		if offset >= min(limit, end) {
			return Slice{}, nil, nil
		}
		slice, err := l.readSegments(list, offset, limit, maxBytes, atLeastOne)
		if errors.Is(err, errLookAgain) {
			if looks++; looks < maxLooks {
				continue
			}
			err = corrupt(l.dir, "offset %d: the records or their index change while they are read", offset)
		}
		var txns []AbortedTxn
		if err == nil && committed && slice.n > 0 {
			if txns, err = l.abortedIn(list, offset, min(limit, slice.bound), transactionalAt(list, slice.start)); err != nil {
				slice.Close()
			}
		}
		switch {
		case err == nil && slice.n == 0 && !slice.full &&
			(published != l.segments.Load() || tail != list[len(list)-1].size.Load()):
			// What was asked for was appended after the list was loaded.
		case err == nil:
			return slice, txns, nil
		case errors.Is(err, errGone):
			// Retention or compaction took the segment after the list was loaded, or the log is closed.
			if err := l.gone(); err != nil {
				return Slice{}, nil, err
			}
		case isDiskFailure(err):
			l.Fail(err)
			return Slice{}, nil, l.Err()
		default:
			return Slice{}, nil, err
		}
	}
}

// maxLooks bounds how often a read finds other damage, or damaged indexes, before it gives up.
const maxLooks = 100

// gone tells why a segment is gone: the log is closed, or else it is another list by now.
func (l *Log) gone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usable()
}

func (l *Log) readSegments(list []*segment, offset, limit int64, maxBytes int, atLeastOne bool) (Slice, error) {
	i := floor(list, offset)
	if i < 0 {
		return Slice{}, errGone
	}
	// Compaction may leave a segment without the offset; the next one has what follows.
	for ; i < len(list) && list[i].base < limit; i++ {
		below := i < len(list)-1 && list[i+1].base <= limit
		slice, err := l.readSegment(list[i], offset, limit, below, maxBytes, atLeastOne)
		if err != nil || slice.n > 0 || slice.full {
			if i+1 < len(list) {
				slice.bound = min(slice.bound, list[i+1].base)
			}
			return slice, err
		}
	}
	return Slice{}, nil
}

// readSegment reads from one segment. below tells that all of it lies below limit.
func (l *Log) readSegment(s *segment, offset, limit int64, below bool, maxBytes int, atLeastOne bool) (Slice, error) {
	s.mu.Lock()
	err := s.load()
	if err != nil && !isBadBatch(err) { // without indexes it is found from the beginning
		s.mu.Unlock()
		return Slice{}, err
	}
	// The size may run ahead of the end for a moment, since an append publishes it first: what lies below it need not lie
	// below the limit, even if the limit is the end.
	size := s.size.Load()
	lo, hi, first := int64(0), size, s.base
	if len(s.trust.damaged) > 0 {
		var bad *Damage
		if lo, hi, first, bad = s.trust.window(s.base, offset, size); bad != nil {
			s.mu.Unlock()
			return Slice{}, bad
		}
	}
	var from int64
	var entry offsetEntry
	var indexed bool
	known, isKnown := s.recent.at(offset-s.base, hi)
	if isKnown = isKnown && int64(known.position) >= lo; isKnown {
		from = int64(known.position)
	} else if s.loaded {
		entry, indexed = s.idx.entry(offset - s.base)
		from = int64(entry.position)
	}
	if from < lo {
		from, indexed = lo, false
	}
	f, err := s.acquireLocked()
	s.mu.Unlock()
	if err != nil {
		return Slice{}, err
	}

	w := newWalker(f, lookChunk)
	r := rangeSearch{s: s, w: w, size: hi, offset: offset, limit: limit, below: below, maxBytes: int64(maxBytes), atLeastOne: atLeastOne}
	r.entry, r.indexed = entry, indexed
	var slice Slice
	if isKnown {
		slice, err = r.rest(from, int64(known.size), s.base+int64(known.first), s.base+int64(known.last)+1)
	} else {
		slice, err = r.find(from)
	}
	if from < s.trust.own.Load() || isBadBatch(err) {
		slice, err = l.checkRead(&r, f, slice, err, from, lo, first)
	}
	w.close()
	if err != nil || slice.n == 0 {
		f.release()
		return slice, err
	}
	slice.file = f
	return slice, nil
}

// rangeSearch finds the range of a segment file for a read.
type rangeSearch struct {
	s             *segment
	w             *walker
	size          int64 // of the segment
	offset, limit int64
	below         bool // all of the segment lies below limit
	maxBytes      int64
	atLeastOne    bool
	entry         offsetEntry // of the batch at the beginning of the search, if indexed
	indexed       bool
	reach         int64 // what was looked at ends here
}

// find searches the first batch from a position on, and then the last.
func (r *rangeSearch) find(start int64) (Slice, error) {
	var b record.Batch
	var bytes int64
	for ; ; start += bytes {
		if start >= r.size {
			return Slice{}, nil
		}
		var err error
		if b, bytes, err = r.header(start); err != nil {
			return Slice{}, err
		}
		if r.indexed {
			if b.LastOffset() != r.s.base+int64(r.entry.offset) {
				return Slice{}, errBadIndex
			}
			r.indexed = false
		}
		if b.LastOffset() >= r.offset {
			break
		}
	}
	return r.rest(start, bytes, b.BaseOffset(), b.NextOffset())
}

// rest searches the last batch, when the first one is found: where it starts, its size, its offset and the next one.
func (r *rangeSearch) rest(start, bytes, base, next int64) (Slice, error) {
	if next > r.limit {
		return Slice{}, nil
	}
	slice := Slice{position: start, start: base, bound: r.limit}
	if bytes > r.maxBytes {
		if !r.atLeastOne {
			return Slice{full: true}, nil
		}
		slice.n, slice.bound = int(bytes), next
		return slice, nil
	}
	end, err := r.end(start, start+bytes)
	slice.n = int(end - start)
	if end < r.size {
		slice.bound = r.bound(end)
	}
	return slice, err
}

// bound is an offset that nothing before a position reaches.
func (r *rangeSearch) bound(position int64) int64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.loaded {
		if offset, ok := r.s.idx.ceiling(position); ok {
			return min(r.limit, r.s.base+int64(offset))
		}
	}
	return r.limit
}

// end finds where a range ends that starts at start and reaches at least to end.
func (r *rangeSearch) end(start, end int64) (int64, error) {
	stop := min(start+r.maxBytes, r.size)
	if stop == r.size && r.below {
		return r.size, nil
	}
	// The index gives a batch that starts at or before the end of the range.
	r.s.mu.Lock()
	if last, ok := r.s.recent.before(stop, r.limit-r.s.base); ok && last.end() >= end {
		end = last.end()
		if r.s.base+int64(last.last)+1 == r.limit { // what follows is above the limit
			stop = end
		}
	} else if r.s.loaded {
		near := r.s.idx.floor(stop)
		if !r.below {
			near = min(near, r.s.idx.lookup(r.limit-r.s.base))
		}
		end = max(end, near)
	}
	r.s.mu.Unlock()
	for stop-end >= record.HeaderSize { // else no batch fits
		b, bytes, err := r.header(end)
		if err != nil {
			return 0, err
		}
		if end+bytes > stop || b.NextOffset() > r.limit {
			break
		}
		end += bytes
	}
	return end, nil
}

func (r *rangeSearch) header(pos int64) (record.Batch, int64, error) {
	b, bytes, err := r.w.header(pos, r.size)
	r.reach = max(r.reach, pos+max(bytes, 1))
	if err != nil && (isBadBatch(err) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = corrupt(r.s.path(logSuffix), "%v", err)
	}
	return b, bytes, err
}

// BytesFrom estimates the bytes between two offsets without reading a file, for the min.bytes of a waiting fetch. It
// never says 0 if there is something.
func (l *Log) BytesFrom(offset, limit int64) int64 {
	limit = min(limit, l.end.Load())
	if offset >= limit {
		return 0
	}
	list := *l.segments.Load()
	var n int64
	for i := max(floor(list, offset), 0); i < len(list) && list[i].base < limit; i++ {
		next := l.end.Load()
		if i+1 < len(list) {
			next = list[i+1].base
		}
		n += list[i].bytesBetween(offset, limit, next)
	}
	return max(n, 1)
}

// bytesBetween estimates the bytes from an offset to a limit in one segment that ends at next.
func (s *segment) bytesBetween(offset, limit, next int64) int64 {
	size := s.size.Load()
	from, to := int64(0), size
	s.mu.Lock()
	defer s.mu.Unlock()
	position := func(offset int64) int64 {
		if s.loaded {
			return s.idx.lookup(offset - s.base)
		}
		return size * (offset - s.base) / max(next-s.base, 1)
	}
	if offset > s.base {
		from = position(offset)
	}
	if limit < next {
		to = position(limit)
	}
	return max(to-from, 0)
}
