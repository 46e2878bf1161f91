package log

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// trust is which bytes of a segment are known to be good. What this process wrote was checked when it was appended, and
// what a recovery walked was checked then. The rest is checked before it is first given to a reader: a bit that a disk
// flipped must never be served. So that the readers of the log's end pay one comparison, the bytes from own on are good
// without a look at anything else.
type trust struct {
	own atomic.Int64 // from this position on
	// transactional: records of transactions were among those that were checked, or may have been.
	transactional atomic.Bool
	spans         []span    // checked below own; ascending, apart from each other; guarded by the segment's mu
	damaged       []*Damage // known to be bad, ascending; guarded by the segment's mu
	holes         bool      // the indexes were built without the damaged batches; guarded by the segment's mu
}

// span is a range of positions.
type span struct{ from, to int64 }

// trusted tells whether a range may be given to a reader.
func (s *segment) trusted(from, to int64) bool {
	own := s.trust.own.Load()
	if from >= own {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.trust.spans {
		if p.from <= from && min(to, own) <= p.to {
			return true
		}
	}
	return false
}

// checked notes that a range is good. Once everything is, nothing has to be remembered.
func (s *segment) checked(from, to int64) {
	own := s.trust.own.Load()
	to = min(to, own)
	if from >= to {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.trust
	t.spans = slices.DeleteFunc(t.spans, func(p span) bool {
		touches := p.from <= to && from <= p.to
		if touches {
			from, to = min(from, p.from), max(to, p.to)
		}
		return touches
	})
	at, _ := slices.BinarySearchFunc(t.spans, from, func(p span, from int64) int { return int(min(max(p.from-from, -1), 1)) })
	t.spans = slices.Insert(t.spans, at, span{from, to})
	if len(t.spans) > maxSpans {
		t.spans = slices.Delete(t.spans, 1, 2) // checked again when it is read again
	}
	if from == 0 && to >= t.own.Load() {
		t.spans = nil
		t.own.Store(0)
	}
}

// maxSpans bounds what is remembered of readers at random places.
const maxSpans = 64

// distrust forgets what was checked: nobody read it for long, so it comes from the disk the next time. mu is held.
func (s *segment) distrust() {
	s.trust.spans = nil
	s.trust.own.Store(s.size.Load())
}

// cut takes over that the segment ends at a position and is appended to from there. mu is held.
func (t *trust) cut(position int64) {
	t.own.Store(min(t.own.Load(), position))
	t.damaged = slices.DeleteFunc(t.damaged, func(d *Damage) bool { return d.Position >= position })
	t.spans = slices.DeleteFunc(t.spans, func(p span) bool { return p.from >= position })
	for i := range t.spans {
		t.spans[i].to = min(t.spans[i].to, position)
	}
}

// window gives the range between damaged ones in which the batch with an offset lies, and the offset at its beginning; bad
// is set if the offset lies in a damaged one. mu is held.
func (t *trust) window(base, offset, size int64) (lo, hi, first int64, bad *Damage) {
	first = base
	for _, d := range t.damaged {
		if offset < d.Offset {
			return lo, min(size, d.Position), first, nil
		}
		if offset < d.EndOffset {
			return lo, lo, first, d
		}
		lo, first = d.End, d.EndOffset
	}
	return lo, size, first, nil
}

// at finds the damage that starts at a position. mu is held.
func (t *trust) at(position int64) *Damage {
	for _, d := range t.damaged {
		if d.Position == position {
			return d
		}
	}
	return nil
}

// errBadIndex: an index entry does not name the batch that is there.
var errBadIndex = fmt.Errorf("%w: an index entry does not fit the segment", ErrCorrupt)

// checkRead checks the batches of a read that found, or did not find, a slice by their headers from a position on. lo and
// first are the beginning of the whole batches around, and its offset.
func (l *Log) checkRead(r *rangeSearch, f *segmentFile, found Slice, cause error, from, lo, first int64) (Slice, error) {
	s := r.s
	to := min(max(r.reach, found.position+int64(found.n)), r.size)
	switch {
	case cause != nil && !isBadBatch(cause):
		return Slice{}, cause
	case cause == nil && s.trusted(from, to):
		return found, nil
	case cause == nil:
		top, _, err := l.topOf(s)
		if err != nil {
			return Slice{}, err
		}
		next := int64(-1)
		if from == lo {
			next = first
		}
		n := l.inspect(s, f, r.size, top, next)
		reached, _, bad, err := n.run(from, to, nil)
		n.w.close()
		if err != nil {
			return Slice{}, err
		}
		if bad == nil && (reached == to || found.n == 0) {
			s.checked(from, reached)
			return found, nil
		}
	}
	return Slice{}, l.findDamage(s, f, r.size, lo, first, r.size)
}
