package log

import (
	"cmp"
	"errors"
	"slices"

	"gregor/internal/record"
)

// timestampOffset is where a search by time ended; -1 in all fields if nothing was found.
type timestampOffset struct {
	offset, timestampMs int64
	epoch               int32
}

var notFound = timestampOffset{-1, -1, -1}

// OffsetForTimestamp finds the first record, at or above the log start, whose timestamp is at or after ts (ms); offset
// -1 if there is none.
func (l *Log) OffsetForTimestamp(ts int64) (offset, timestamp int64, leaderEpoch int32, err error) {
	found, err := l.search(func(list []*segment) (timestampOffset, error) {
		start := l.start.Load()
		for i, s := range list {
			if i+1 < len(list) && list[i+1].base <= start {
				continue
			}
			largest, err := s.largestTimestamp()
			if err != nil {
				return notFound, err
			}
			if largest < ts {
				continue
			}
			found, err := l.firstAtOrAfter(s, ts, start, l.end.Load())
			if err != nil || found.offset >= 0 {
				return found, err
			}
		}
		return notFound, nil
	})
	return found.offset, found.timestampMs, found.epoch, err
}

// MaxTimestampOffset finds the first record with the largest timestamp (KIP-734); offset -1 if the log is empty.
func (l *Log) MaxTimestampOffset() (offset, timestamp int64, leaderEpoch int32, err error) {
	found, err := l.search(func(list []*segment) (timestampOffset, error) {
		type candidate struct {
			s  *segment
			ts int64
		}
		var all []candidate
		for _, s := range list {
			ts, err := s.largestTimestamp()
			if err != nil {
				return notFound, err
			}
			if ts >= 0 {
				all = append(all, candidate{s, ts})
			}
		}
		slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.ts, a.ts) })
		for _, c := range all {
			// A compacted segment may have lost the records with its largest timestamp.
			found, err := l.firstAtOrAfter(c.s, c.ts, l.start.Load(), l.end.Load())
			if err != nil || found.offset >= 0 {
				return found, err
			}
		}
		return notFound, nil
	})
	return found.offset, found.timestampMs, found.epoch, err
}

// search runs a search over the segments, again if retention takes one of them meanwhile.
func (l *Log) search(do func(list []*segment) (timestampOffset, error)) (timestampOffset, error) {
	for looks := 0; ; looks++ {
		found, err := do(*l.segments.Load())
		switch {
		case errors.Is(err, errLookAgain) && looks < maxLooks:
		case err == nil:
			return found, nil
		case errors.Is(err, errGone):
			if err := l.gone(); err != nil {
				return notFound, err
			}
		case isDiskFailure(err):
			l.Fail(err)
			return notFound, l.Err()
		default:
			return notFound, err
		}
	}
}

// firstAtOrAfter finds the first record from an offset on with a timestamp at or after ts, below end.
func (l *Log) firstAtOrAfter(s *segment, ts, from, end int64) (timestampOffset, error) {
	s.mu.Lock()
	if err := s.load(); err != nil {
		s.mu.Unlock()
		return notFound, err
	}
	size := s.size.Load()
	// The entry says: up to this offset nothing is later than its timestamp. So the search may start there if that
	// timestamp is below ts.
	entry := s.tidx.entry(ts - 1)
	near := max(int64(entry.offset), from-s.base)
	position, own := s.idx.lookup(near), s.trust.own.Load()
	from0 := s.idx.lookup(int64(entry.offset) - 1)
	f, err := s.acquireLocked()
	s.mu.Unlock()
	if err != nil {
		return notFound, err
	}
	defer f.release()
	w := newWalker(f, lookChunk)
	defer w.close()
	if entry.timestampMs >= 0 && !s.hasTimestamp(w, from0, size, entry) {
		return notFound, l.findDamage(s, f, size, 0, s.base, size)
	}
	for position < size {
		s.mu.Lock()
		d := s.trust.at(position)
		s.mu.Unlock()
		if d != nil {
			return notFound, d // it may be there
		}
		b, bytes, err := w.header(position, size)
		if err == nil && position < own {
			if b, err = w.batch(position, size); err == nil {
				err = b.CheckCRC()
			}
		}
		if isBadBatch(err) {
			return notFound, l.findDamage(s, f, size, 0, s.base, size)
		}
		if err != nil {
			return notFound, corruptBatch(s, err)
		}
		if b.BaseOffset() >= end {
			break
		}
		if b.MaxTimestamp() >= ts && b.LastOffset() >= from {
			if b, err = w.batch(position, size); err != nil {
				return notFound, corruptBatch(s, err)
			}
			if found, err := firstInBatch(b, ts, from); err != nil || found.offset >= 0 {
				return found, err
			}
		}
		position += bytes
	}
	return notFound, nil
}

// hasTimestamp tells whether a time index entry is that of a batch at a position or behind.
func (s *segment) hasTimestamp(w *walker, pos, size int64, e timeEntry) bool {
	for pos < size {
		b, bytes, err := w.header(pos, size)
		if err != nil || b.LastOffset() > s.base+int64(e.offset) {
			return false
		}
		if b.LastOffset() == s.base+int64(e.offset) {
			return b.MaxTimestamp() == e.timestampMs
		}
		pos += bytes
	}
	return false
}

func corruptBatch(s *segment, err error) error {
	if isBadBatch(err) {
		return corrupt(s.path(logSuffix), "%v", err)
	}
	return err
}

func firstInBatch(b record.Batch, ts, from int64) (timestampOffset, error) {
	if b.HasLogAppendTime() {
		return timestampOffset{max(b.BaseOffset(), from), b.MaxTimestamp(), b.LeaderEpoch()}, nil
	}
	for r, err := range b.Records() {
		if err != nil {
			return notFound, err
		}
		if r.Timestamp >= ts && r.Offset >= from {
			return timestampOffset{r.Offset, r.Timestamp, b.LeaderEpoch()}, nil
		}
	}
	return notFound, nil
}
