package log

import "fmt"

// DeleteRecordsBefore moves the log start up, so that records below an offset are not served any more; -1 is the high
// watermark. Segments that lie below it as a whole are deleted by DeleteOldSegments. Error: ErrOffsetOutOfRange if the
// offset is above the high watermark.
func (l *Log) DeleteRecordsBefore(offset int64) (newStart int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	hw := l.highWatermark.Load()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return 0, fmt.Errorf("%w: records of %s before %d cannot be deleted, the high watermark is %d", ErrOffsetOutOfRange, l.dir, offset, hw)
	}
	if err := l.raiseStart(offset); err != nil {
		return 0, err
	}
	return l.start.Load(), nil
}

// SetStartOffset moves a follower's log start up to its leader's. Unlike DeleteRecordsBefore it may pass the high
// watermark, which a follower learns later; not the end.
func (l *Log) SetStartOffset(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	return l.raiseStart(min(offset, l.end.Load()))
}

// raiseStart is moveStart for a start inside a segment: the epochs are written, the first of which starts with the log, so that
// it outlives a crash before the log starts are checkpointed. A full disk keeps nobody from deleting. mu is held.
func (l *Log) raiseStart(offset int64) error {
	if !l.moveStart(offset) {
		return nil
	}
	if err := l.epochs.save(); err != nil && !isNoSpace(err) {
		return l.writeFailed(err)
	}
	return nil
}

// moveStart sets a higher log start, and tells whether it is one. mu is held.
func (l *Log) moveStart(offset int64) bool {
	if offset <= l.start.Load() {
		return false
	}
	l.epochs.truncateFromStart(offset)
	l.start.Store(offset)
	for {
		hw := l.highWatermark.Load()
		if hw >= offset || l.highWatermark.CompareAndSwap(hw, offset) {
			break
		}
	}
	l.producers.replicated(offset)
	l.publishTxns()
	return true
}

// DeleteOldSegments deletes, from the oldest on, the segments that retention.ms or retention.bytes no longer keeps, and
// those below the log start; never a record at or above the high watermark. It returns how many. If all segments go, an
// empty one stays.
func (l *Log) DeleteOldSegments() (n int, err error) {
	l.structure.Lock()
	defer l.structure.Unlock()
	old, snapshots, err := l.letGo()
	if len(old) == 0 || err != nil {
		return 0, err
	}
	// The disk's part, which appends need not wait for: until it is done, a start finds the old segments again.
	if err := l.dropSegments(old); err != nil {
		return 0, l.writeFailed(err)
	}
	if err := l.removeSnapshotFiles(snapshots); err != nil {
		return 0, l.writeFailed(err)
	}
	l.slog.Info("deleted old segments", "segments", len(old), "log_start", l.start.Load())
	return len(old), nil
}

// letGo takes the segments that may go out of the log, and gives them and the snapshots whose files are to be removed.
// structure is held.
func (l *Log) letGo() (old []*segment, snapshots []int64, err error) {
	cfg := l.config.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, nil, err
	}
	n, err := l.countDeletable(cfg)
	if n == 0 || err != nil {
		return nil, nil, err
	}
	list := *l.segments.Load()
	if n == len(list) {
		_, err := l.roll(l.next)
		switch {
		case isNoSpace(err) && n > 1:
			n-- // what can be freed without a new file
		case err != nil:
			return nil, nil, l.writeFailed(err)
		}
		list = *l.segments.Load()
	}
	base := list[n].base
	l.moveStart(base)
	l.setSegments(list[n:])
	return list[:n], l.forgetSnapshots(func(offset int64) bool { return offset < base }), nil
}

// countDeletable counts the segments from the start that may go.
func (l *Log) countDeletable(cfg *Config) (int, error) {
	list := *l.segments.Load()
	hw, start, nowMs := l.highWatermark.Load(), l.start.Load(), l.now().UnixMilli()
	over := int64(-1)
	if cfg.CleanupDelete && cfg.RetentionBytes >= 0 {
		over = l.Size() - cfg.RetentionBytes
	}
	for i, s := range list {
		end, size := l.next, s.size.Load()
		if i+1 < len(list) {
			end = list[i+1].base
		} else if size == 0 {
			return i, nil
		}
		if end > hw {
			return i, nil
		}
		byStart := i+1 < len(list) && end <= start
		bySize := over >= 0 && over >= size
		byTime := false
		if !byStart && !bySize && cfg.CleanupDelete && cfg.RetentionMs >= 0 {
			ts, err := l.ageTimestamp(s)
			if err != nil {
				return 0, err
			}
			byTime = nowMs-ts > cfg.RetentionMs
		}
		if !byStart && !bySize && !byTime {
			return i, nil
		}
		if bySize {
			over -= size
		}
	}
	return len(list), nil
}

// ageTimestamp is the largest timestamp of a segment, or when its file was written if its records have none.
func (l *Log) ageTimestamp(s *segment) (int64, error) {
	ts, err := s.largestTimestamp()
	if err != nil || ts >= 0 {
		return ts, err
	}
	info, err := l.fs.Stat(s.path(logSuffix))
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixMilli(), nil
}
