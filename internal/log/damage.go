package log

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// ErrDamaged: records that were stored are damaged on disk (KAFKA_STORAGE_ERROR, with which clients ask again, from another
// replica or when the damage is repaired; CORRUPT_MESSAGE would end a Java consumer). It comes in a *Damage, which is an
// ErrCorrupt too.
var ErrDamaged = errors.New("damaged records")

// Damage is a range of a segment file that does not hold what was written. It is the error of reading there.
type Damage struct {
	Topic         string
	Partition     int32
	File          string
	Position, End int64 // bytes; End is where the next intact batch begins, or the segment's end
	Offset        int64 // the first one concerned
	EndOffset     int64 // the first one behind
	Cause         error

	segment int64 // its base offset
	top     int64 // no offset of the segment reaches here; MaxInt64 in the last one of a log that is not open
}

// Tail tells that nothing intact is behind the range in the whole log.
func (d *Damage) Tail() bool { return d.EndOffset == math.MaxInt64 }

func (d *Damage) Error() string {
	last := fmt.Sprintf("to %d", d.EndOffset-1)
	if d.Tail() {
		last = "on"
	}
	return fmt.Sprintf("%v: %v: topic %s partition %d: %s: position %d to %d, offset %d %s: %v", ErrDamaged, ErrCorrupt, d.Topic, d.Partition, d.File, d.Position, d.End, d.Offset, last, d.Cause)
}

// Unwrap makes it an ErrDamaged and an ErrCorrupt.
func (d *Damage) Unwrap() []error { return []error{ErrDamaged, ErrCorrupt} }

// errLookAgain: damage was found where something was to be read, or an index was wrong; what is known of the segment has
// changed.
var errLookAgain = errors.New("look again")

// inspection checks the batches of a segment one after the other: the checksum, and what lies outside of it, by its
// neighbours.
type inspection struct {
	w      *walker
	s      *segment // told of records of transactions; may be nil
	base   int64    // of the segment
	size   int64    // its batches end here
	top    int64    // no offset of it reaches here
	epochs *epochs  // nil: not known
	next   int64    // the offset that the next batch has at least; -1: not known

	before    int64 // position of the last batch
	beforeEnd int64 // and the offset that was expected there
	gap       bool  // it did not follow the one before it directly
	epoch     int32 // of it; -1: not known
	earlier   int32 // that of the one before it
}

// run checks from a position on until one at or behind to. It gives where it stopped: at the bad batch, if bad is set,
// with the offset that was expected there.
func (n *inspection) run(from, to int64, pay func(int) error) (reached, offset int64, bad, err error) {
	n.before, n.epoch, n.earlier = -1, -1, -1
	pos := from
	for pos < to {
		b, err := n.w.batch(pos, n.size)
		if err == nil {
			err = n.check(b)
		}
		switch {
		case errors.Is(err, errBatchBefore), errors.Is(err, errEpochBefore):
			return n.before, n.beforeEnd, err, nil
		case isBadBatch(err) || errors.Is(err, record.ErrOldMagic) || errors.Is(err, io.ErrUnexpectedEOF):
			return pos, n.next, err, nil
		case err != nil:
			return pos, n.next, nil, err
		}
		if n.s != nil && b.IsTransactional() {
			n.s.trust.transactional.Store(true)
		}
		n.gap = n.next >= 0 && b.BaseOffset() > n.next
		n.before, n.beforeEnd = pos, n.next
		if n.next < 0 {
			n.beforeEnd = b.BaseOffset()
		}
		n.next, n.epoch, n.earlier = b.NextOffset(), b.LeaderEpoch(), n.epoch
		pos += int64(len(b))
		if pay != nil {
			if err := pay(len(b)); err != nil {
				return pos, n.next, nil, err
			}
		}
	}
	if n.gap && pos < n.size {
		// Its base offset is not part of the checksum; the one behind tells.
		if b, _, err := n.w.header(pos, n.size); err == nil && b.BaseOffset() < n.next {
			return n.before, n.beforeEnd, errBatchBefore, nil
		}
	}
	return pos, n.next, nil, nil
}

// errEpochBefore: as errBatchBefore, of the leader epoch.
var errEpochBefore = fmt.Errorf("%w: the batch's leader epoch is above that of the next", record.ErrCorrupt)

// errBatchBefore: the batch before the one that was looked at has an offset that cannot be.
var errBatchBefore = fmt.Errorf("%w: the batch's offsets overlap those of the next", record.ErrCorrupt)

func (n *inspection) check(b record.Batch) error {
	if err := b.CheckCRC(); err != nil {
		return err
	}
	first, last := b.BaseOffset(), b.LastOffset()
	switch {
	case n.next >= 0 && first < n.next && n.gap:
		return errBatchBefore
	case n.next >= 0 && first < n.next, first < n.base, b.LastOffsetDelta() < 0, last >= n.top:
		return fmt.Errorf("%w: offsets %d to %d, expected from %d to below %d", record.ErrCorrupt, first, last, max(n.next, n.base), n.top)
	}
	// The epoch is not part of the checksum either. What the checkpoint says is believed only if the neighbours agree; where
	// it cannot say anything, they tell whose it is that goes back.
	switch e := b.LeaderEpoch(); {
	case n.epochs == nil && e >= 0 && e < n.epoch && e >= n.earlier:
		return errEpochBefore
	case n.epochs == nil && e >= 0 && e < n.epoch:
		return fmt.Errorf("%w: leader epoch %d at offset %d after epoch %d", record.ErrCorrupt, e, first, n.epoch)
	case n.epochs != nil:
		if known := n.epochs.forOffset(first); known >= 0 && e != known && (e < n.epoch || e > n.epochs.latest()) {
			return fmt.Errorf("%w: leader epoch %d at offset %d, which was written in %d", record.ErrCorrupt, e, first, known)
		}
	}
	return nil
}

// topOf is an offset that no batch of a segment reaches, and how often the log was truncated when it was so.
func (l *Log) topOf(s *segment) (top int64, truncations int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := *l.segments.Load()
	i := floor(list, s.base)
	switch {
	case i < 0 || list[i] != s:
		return 0, 0, errGone
	case i+1 < len(list):
		return list[i+1].base, l.truncations, nil
	}
	return l.next, l.truncations, nil
}

// inspect makes ready to check a segment's batches, the first of which has at least an offset.
func (l *Log) inspect(s *segment, f vfs.File, size, top, next int64) *inspection {
	return &inspection{w: newWalker(f, walkChunk), s: s, base: s.base, size: size, top: top, epochs: l.epochs, next: next}
}

// findDamage looks from a position on, where a whole batch with at least an offset begins, for what is wrong below another
// one. If there is nothing wrong with the records it is the indexes, which are built again. Error: errLookAgain, or one of
// reading.
func (l *Log) findDamage(s *segment, f vfs.File, size, lo, first, to int64) error {
	top, truncations, err := l.topOf(s)
	if err != nil {
		return err
	}
	for {
		n := l.inspect(s, f, size, top, first)
		reached, offset, bad, err := n.run(lo, to, nil)
		n.w.close()
		if err != nil {
			return err
		}
		s.checked(lo, reached)
		if bad == nil {
			return l.rebuildIndexes(s)
		}
		s.mu.Lock()
		known := s.trust.at(reached)
		s.mu.Unlock()
		if known == nil {
			return l.damagedAt(s, f, size, top, truncations, reached, offset, bad)
		}
		lo, first = known.End, known.EndOffset
	}
}

// damagedAt notes damage that was found. The position is that of the first bad batch.
func (l *Log) damagedAt(s *segment, f vfs.File, size, top int64, truncations int, pos, offset int64, cause error) error {
	d := &Damage{Topic: l.o.Topic, Partition: l.o.Partition, File: s.path(logSuffix), Position: pos, Offset: offset, Cause: cause, segment: s.base, top: top}
	d.End, d.EndOffset = nextIntact(f, pos, size, offset, s.base, top)
	_, now, err := l.topOf(s)
	if err != nil {
		return err
	}
	if now != truncations {
		return errLookAgain // what was read may have been cut meanwhile
	}
	s.mu.Lock()
	if s.gone || s.trust.at(pos) != nil {
		s.mu.Unlock()
		return errLookAgain
	}
	s.trust.damaged = append(s.trust.damaged, d)
	slices.SortFunc(s.trust.damaged, func(a, b *Damage) int { return int(min(max(a.Position-b.Position, -1), 1)) })
	s.mu.Unlock()
	l.slog.Error("damage found in a segment; what it held is not served until it is repaired from another replica", "file", d.File,
		"position", d.Position, "bytes", d.End-d.Position, "offset", d.Offset, "end_offset", d.EndOffset, "cause", d.Cause)
	if l.o.Damaged != nil {
		l.o.Damaged(l)
	}
	return errLookAgain
}

// nextIntact finds the batch behind a damaged one: where it says that it ends if one begins there, else the next one that
// can be found.
func nextIntact(f io.ReaderAt, pos, size, offset, base, top int64) (end, endOffset int64) {
	head := make([]byte, record.LogOverhead)
	if k, _ := f.ReadAt(head, pos); k == len(head) {
		if n, err := record.SizeOf(head); err == nil && n >= record.HeaderSize && pos+n < size {
			next := make([]byte, record.HeaderSize)
			if k, _ := f.ReadAt(next, pos+n); k == len(next) {
				if at, first, ok := findBatch(f, pos+n, min(size, pos+n+sizeOr0(next)), offset, base); ok && at == pos+n && first < top {
					return at, first
				}
			}
		}
	}
	for from := pos + 1; ; {
		at, first, ok := findBatch(f, from, size, offset, base)
		if !ok {
			return size, top
		}
		if first < top {
			return at, first
		}
		from = at + 1
	}
}

// sizeOr0 is the size that a batch's header tells, if it can be one.
func sizeOr0(head []byte) int64 {
	n, err := record.SizeOf(head)
	if err != nil || n < record.HeaderSize {
		return 0
	}
	return n
}

// rebuildIndexes builds the indexes of a segment again that do not fit it.
func (l *Log) rebuildIndexes(s *segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errGone
	}
	l.slog.Warn("an index does not fit its segment and is built again", "file", s.path(indexSuffix))
	s.loaded = false
	if err := s.rebuild(); err != nil {
		return err
	}
	s.loaded = true
	if s == l.active() {
		s.allocated = false
	}
	return errLookAgain
}

// Damages lists what is known to be damaged, by offset.
func (l *Log) Damages() (all []Damage) {
	for _, s := range *l.segments.Load() {
		s.mu.Lock()
		for _, d := range s.trust.damaged {
			all = append(all, *d)
		}
		s.mu.Unlock()
	}
	return all
}
