package log

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// ErrNoFit: the batches that were to repair a damaged range are not those that were there.
var ErrNoFit = errors.New("the batches do not fit the damaged range")

// Repair writes batches that another replica has, from d.Offset on, over a damaged range: they are the same bytes on every
// replica that was not compacted. They must fill it exactly, up to the next intact batch, which has to be the same too, or
// to the segment's end. Nothing else of the log changes. more says that they end within the range, and records have to be
// given again with more behind them. The range is on disk, and served, when both are zero.
//
// Errors: ErrNoFit, ErrNoSpace, ErrDirOffline, ErrClosed.
func (l *Log) Repair(d Damage, records []byte) (more bool, err error) {
	l.structure.Lock() // nobody truncates, compacts or deletes meanwhile; appends go on
	defer l.structure.Unlock()
	l.mu.Lock()
	err = l.usable()
	list := *l.segments.Load()
	i := floor(list, d.segment)
	l.mu.Unlock()
	if err != nil {
		return false, err
	}
	if i < 0 || list[i].base != d.segment {
		return false, nil // gone with its segment
	}
	s := list[i]
	s.mu.Lock()
	known := s.trust.at(d.Position)
	s.mu.Unlock()
	if known == nil || known.Offset != d.Offset {
		return false, nil
	}
	top, _, err := l.topOf(s)
	if err != nil {
		return false, err
	}
	f, err := s.acquire()
	if err != nil {
		return false, l.writeFailed(err)
	}
	defer f.release()
	size := s.size.Load()
	n := l.inspect(s, f, size, top, d.Offset)
	fill, err := n.fill(d.Position, records)
	n.w.close()
	if err != nil || fill < 0 {
		return err == nil, err
	}
	if err := writeRange(f, records[:fill], d.Position); err != nil {
		return false, l.writeFailed(err)
	}
	l.repaired(s, d.Position, d.Position+fill)
	l.slog.Warn("damage is repaired", "file", d.File, "position", d.Position, "bytes", fill, "offset", d.Offset, "cause", d.Cause)
	return false, nil
}

// fill tells how many bytes of batches fill the damaged range at a position; -1 if they end within it. The batches may be
// followed by others, or by a part of one.
func (n *inspection) fill(pos int64, records []byte) (int64, error) {
	at := pos
	for rest := records; at < n.size; {
		b, next, err := record.Next(rest)
		if errors.Is(err, record.ErrTruncated) || err == nil && len(b) == 0 {
			return -1, nil
		}
		if err == nil {
			n.base = min(n.base, b.BaseOffset())
			err = n.check(b)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoFit, err)
		}
		if at > pos {
			if here, err := n.w.batch(at, n.size); err == nil && here.CheckCRC() == nil && bytes.Equal(here, b) {
				return at - pos, nil
			}
		}
		if at+int64(len(b)) > n.size {
			return 0, fmt.Errorf("%w: the batch at offset %d reaches beyond the segment's end", ErrNoFit, b.BaseOffset())
		}
		at += int64(len(b))
		n.next, n.epoch, n.gap = b.NextOffset(), b.LeaderEpoch(), false
		rest = next
		if len(rest) == 0 && at < n.size {
			return -1, nil
		}
	}
	return at - pos, nil
}

// writeRange writes over a part of a file, durably.
func writeRange(f vfs.File, b []byte, pos int64) error {
	if _, err := f.WriteAt(b, pos); err != nil {
		return err
	}
	return f.Sync()
}

// repaired forgets the damage in a range.
func (l *Log) repaired(s *segment, from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trust.damaged = slices.DeleteFunc(s.trust.damaged, func(d *Damage) bool { return d.Position >= from && d.Position < to })
	if s.trust.holes && len(s.trust.damaged) == 0 && s.loaded {
		s.loaded = false
		if s.rebuild() == nil {
			s.loaded = true
		}
	}
}
