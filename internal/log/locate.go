package log

import (
	"errors"
	"fmt"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// located is why a recovery refused a log, with the range of it that is damaged.
type located struct {
	error
	damage *Damage
}

func (l *located) Error() string {
	d := l.damage
	return fmt.Sprintf("%v; damaged is %s from position %d, offset %d on%s", l.error, d.File, d.Position, d.Offset, offlineAdvice)
}

func (l *located) Unwrap() []error { return []error{l.error, l.damage} }

// locate finds the damaged range that a recovery stumbled over in the last of some segments: it may begin before the place
// where it showed, since offsets and leader epochs are no part of the checksums. Without such a range the cause stays as it
// is.
func (l *Log) locate(list []*segment, top int64, cause error) error {
	if !errors.Is(cause, ErrCorrupt) || errors.Is(cause, record.ErrOldMagic) {
		return cause
	}
	for i, s := range list {
		to := top
		if i+1 < len(list) {
			to = list[i+1].base
		}
		d, err := l.firstDamage(s, to)
		if err != nil {
			return errors.Join(cause, err)
		}
		if d != nil {
			return &located{cause, d}
		}
	}
	return fmt.Errorf("%w%s", cause, offlineAdvice)
}

// firstDamage is the first range of a segment that holds no good batches; nil if there is none. Of the leader epochs only the
// neighbours are asked: the checkpoint may lack the last ones, and what the recovery has noted may come from the damage.
func (l *Log) firstDamage(s *segment, top int64) (*Damage, error) {
	f, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer f.release()
	n := &inspection{w: newWalker(f, walkChunk), base: s.base, size: s.size.Load(), top: top, next: s.base}
	reached, offset, bad, err := n.run(0, n.size, nil)
	n.w.close()
	if err != nil || bad == nil {
		return nil, err
	}
	d := &Damage{Topic: l.o.Topic, Partition: l.o.Partition, File: s.path(logSuffix), Position: reached, Offset: offset, Cause: bad, segment: s.base, top: top}
	d.End, d.EndOffset = nextIntact(f, reached, n.size, offset, s.base, top)
	return d, nil
}

// mendFile writes batches that another replica has over a damaged range of a log that is not open: see Log.Repair. A range
// with nothing behind it is cut off, whatever is given.
func mendFile(fsys vfs.FS, d Damage, records []byte) (more bool, err error) {
	f, err := fsys.Reopen(d.File)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if d.Tail() {
		if err := f.Truncate(d.Position); err != nil {
			return false, err
		}
		return false, f.Sync()
	}
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	n := &inspection{w: newWalker(f, walkChunk), base: d.segment, size: size, top: d.top, next: d.Offset, epoch: -1}
	defer n.w.close()
	fill, err := n.fill(d.Position, records)
	if err != nil || fill < 0 {
		return err == nil, err
	}
	return false, writeRange(f, records[:fill], d.Position)
}
