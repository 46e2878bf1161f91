package log

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"gregor/internal/record"
)

// TruncateTo cuts the log so that it ends at an offset, as a follower does that has records which the leader has not.
// It cuts nothing if the log ends there or before. Leader epochs without a record are forgotten in any case. An offset inside a batch cuts the
// whole batch, so that the follower fetches it again.
func (l *Log) TruncateTo(offset int64) error {
	l.structure.Lock()
	defer l.structure.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("%w: cannot truncate %s to %d", ErrOffsetOutOfRange, l.dir, offset)
	}
	if offset >= l.next {
		// A leader that appended nothing in its epoch left an entry at the end. The epoch may be another leader's, or one
		// that no other log has.
		return l.writeFailed(l.epochs.truncateFromEnd(l.next))
	}
	list := *l.segments.Load()
	if offset < list[0].base {
		return l.restartAt(offset)
	}
	return l.truncateFailed(l.truncate(list, offset))
}

func (l *Log) truncate(list []*segment, offset int64) error {
	i := floor(list, offset)
	s := list[i]
	position, end, err := s.positionOf(offset)
	if err != nil {
		return err
	}
	end = max(end, min(offset, l.start.Load()))
	if err := l.lowerEnd(end); err != nil {
		return err
	}
	l.start.Store(min(l.start.Load(), end))
	l.setSegments(list[:i+1])
	// The last first: a crash must not leave a hole.
	later := slices.Clone(list[i+1:])
	slices.Reverse(later)
	if err := l.dropSegments(later); err != nil {
		return err
	}
	if len(later) > 0 {
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	if err := s.truncate(position, end, l.config.Load(), l.now()); err != nil {
		return err
	}
	if err := l.epochs.truncateFromEnd(end); err != nil {
		return err
	}
	if err := l.reloadProducers(end); err != nil {
		return err
	}
	l.flush.dirty.Store(true)
	return nil
}

// lowerEnd takes everything that points behind an offset back to it, the recovery point on disk too: else after a crash
// the records that are appended next would be taken for flushed ones. mu is held.
func (l *Log) lowerEnd(end int64) error {
	l.truncations++
	l.next = end
	l.end.Store(min(l.end.Load(), end))
	l.flush.truncated(end)
	if l.compaction.upTo.Load() > end {
		l.compaction.upTo.Store(end)
	}
	for {
		hw := l.highWatermark.Load()
		if hw <= end || l.highWatermark.CompareAndSwap(hw, end) {
			break
		}
	}
	if l.o.Lowered != nil {
		return l.o.Lowered(l)
	}
	return nil
}

// positionOf finds the batch that holds an offset, or the first after it: its position, and the offset where the log
// ends if it is cut there.
func (s *segment) positionOf(offset int64) (position, end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return 0, 0, err
	}
	f, err := s.acquireLocked()
	if err != nil {
		return 0, 0, err
	}
	defer f.release()
	w := newWalker(f, lookChunk)
	defer w.close()
	limit := max(s.written, s.size.Load())
	for position = s.idx.lookup(offset - s.base); position < limit; {
		var b record.Batch
		var bytes int64
		if b, bytes, err = w.header(position, limit); err != nil {
			return 0, 0, corruptBatch(s, err)
		}
		if b.LastOffset() >= offset {
			return position, min(offset, b.BaseOffset()), nil
		}
		position += bytes
	}
	return position, offset, nil
}

// TruncateFullyAndStartAt empties the log and lets it go on at an offset, as a follower does whose end lies before the
// leader's start.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	l.structure.Lock()
	defer l.structure.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("%w: cannot start %s at %d", ErrOffsetOutOfRange, l.dir, offset)
	}
	return l.restartAt(offset)
}

// restartAt replaces all segments by an empty one. mu is held.
func (l *Log) restartAt(offset int64) error {
	list := *l.segments.Load()
	if err := l.lowerEnd(min(offset, l.next)); err != nil {
		return l.truncateFailed(err)
	}
	if err := l.dropSegments(list); err != nil {
		return l.truncateFailed(err)
	}
	s, err := createSegment(l.fs, l.o.files, l.dir, offset, l.config.Load(), l.now())
	if err != nil {
		return l.truncateFailed(err)
	}
	s.jitterMs = jitter(l.config.Load())
	l.setSegments([]*segment{s})
	err = errors.Join(l.epochs.store(nil), l.removeSnapshots(func(int64) bool { return true }))
	l.producers.reset(offset)
	l.publishTxns()
	l.next = offset
	l.truncations++
	l.start.Store(offset)
	l.highWatermark.Store(offset)
	l.end.Store(offset)
	if err == nil {
		err = l.syncNames()
	}
	l.flush.reset(offset)
	return l.truncateFailed(err)
}

// truncateFailed takes the log out of service after an error in the middle of a truncation: what is in memory and what
// is on disk no longer agree. mu is held.
func (l *Log) truncateFailed(err error) error {
	if err == nil {
		return nil
	}
	l.slog.Error("truncation failed, the log goes offline", "dir", l.dir, "error", err)
	l.Fail(err)
	return l.Err()
}

// dropSegments deletes the files of segments: renamed now, in the given order, and removed after file.delete.delay.ms.
func (l *Log) dropSegments(list []*segment) error {
	if len(list) == 0 {
		return nil
	}
	removes := make([]func(), 0, len(list))
	for _, s := range list {
		remove, err := s.markDeleted()
		if err != nil {
			return err
		}
		removes = append(removes, remove)
	}
	l.flush.dirty.Store(true)
	l.later(func() {
		for _, remove := range removes {
			remove()
		}
	})
	return nil
}

// reloadProducers brings the producers' state back to an end that lies before it: from the last snapshot and the
// batches behind it. mu is held.
func (l *Log) reloadProducers(end int64) error {
	if err := l.removeSnapshots(func(offset int64) bool { return offset > end }); err != nil {
		return err
	}
	if err := l.restoreProducers(end, l.highWatermark.Load()); err != nil {
		return err
	}
	l.producers.replicated(l.highWatermark.Load())
	l.publishTxns()
	return nil
}

// removeSnapshots deletes the snapshots that which names. mu is held.
func (l *Log) removeSnapshots(which func(offset int64) bool) error {
	return l.removeSnapshotFiles(l.forgetSnapshots(which))
}

// forgetSnapshots takes the snapshots that which names out of the list, and gives them: their files are to be removed. mu
// is held.
func (l *Log) forgetSnapshots(which func(offset int64) bool) (removed []int64) {
	l.snapshots = slices.DeleteFunc(slices.Clone(l.snapshots), func(offset int64) bool {
		is := which(offset)
		if is {
			removed = append(removed, offset)
		}
		return is
	})
	l.unsyncedSnapshots = slices.DeleteFunc(slices.Clone(l.unsyncedSnapshots), which)
	return removed
}

func (l *Log) removeSnapshotFiles(offsets []int64) error {
	for _, offset := range offsets {
		if err := removeFile(l.fs, segmentPath(l.dir, offset, snapshotSuffix)); err != nil {
			return err
		}
		l.flush.dirty.Store(true)
	}
	return nil
}

// restoreProducers brings the producers' state to an offset: from the last snapshot and the batches behind it. A snapshot
// does not tell of transactions that have ended above the high watermark, and so hold the last stable offset back still:
// these are found from a snapshot below the high watermark.
func (l *Log) restoreProducers(end, highWatermark int64) error {
	from, err := l.restoreSnapshot(end)
	if err != nil {
		return err
	}
	if highWatermark < from && l.producers.transactional() {
		found, err := l.markersBetween(highWatermark, from)
		if err == nil && found {
			err = l.findUnreplicated(highWatermark, from)
		}
		if err != nil {
			return err
		}
	}
	return l.replayProducers(from, end)
}

// findUnreplicated finds the transactions that have ended between two offsets.
func (l *Log) findUnreplicated(highWatermark, end int64) error {
	state := l.producers
	l.producers = producers{}
	from, err := l.restoreSnapshot(highWatermark)
	if err == nil {
		err = l.replayProducers(from, end)
	}
	state.unreplicated = l.producers.unreplicated
	l.producers = state
	return err
}

// markersBetween tells whether a control batch starts between two offsets.
func (l *Log) markersBetween(from, end int64) (found bool, err error) {
	list := *l.segments.Load()
	for i := max(floor(list, from), 0); i < len(list) && list[i].base < end && !found && err == nil; i++ {
		err = l.walkHeaders(list[i], from, end, func(b record.Batch, _ *walker, _, _ int64) error {
			found = found || b.IsControl()
			return nil
		})
	}
	return found, err
}

// restoreSnapshot loads the last snapshot at or below an offset, and removes those that are damaged. It returns the
// offset that the state stands for: the log start if there is none.
func (l *Log) restoreSnapshot(end int64) (int64, error) {
	expired := l.now().UnixMilli() - l.o.ProducerExpirationMs
	for {
		i := sort.Search(len(l.snapshots), func(i int) bool { return l.snapshots[i] > end }) - 1
		if i < 0 {
			from := max(l.start.Load(), (*l.segments.Load())[0].base)
			l.producers.reset(min(from, end))
			return min(from, end), nil
		}
		offset := l.snapshots[i]
		path := segmentPath(l.dir, offset, snapshotSuffix)
		b, err := readFile(l.fs, path)
		if err != nil {
			return 0, err
		}
		entries, err := decodeSnapshot(path, b)
		if err == nil {
			l.producers.restore(entries, offset, expired)
			return offset, nil
		}
		l.slog.Warn("a producer snapshot is damaged and left out", "error", err)
		if err := l.removeSnapshots(func(o int64) bool { return o == offset }); err != nil {
			return 0, err
		}
	}
}

// replayProducers applies the batches between two offsets to the producers' state. The transaction indexes are left as
// they are.
func (l *Log) replayProducers(from, end int64) error {
	list := *l.segments.Load()
	for i := max(floor(list, from), 0); i < len(list) && list[i].base < end && from < end; i++ {
		if err := l.replaySegment(list[i], from, end); err != nil {
			return err
		}
	}
	l.producers.end = end
	return nil
}

func (l *Log) replaySegment(s *segment, from, end int64) error {
	return l.replayInto(&l.producers, s, max(s.written, s.size.Load()), from, end, func(completedTxn, int64) error { return nil })
}

// walkHeaders gives the headers of the batches between two offsets in a segment, with their positions. The first may start
// before from: a log start may lie inside a batch, whose transaction is open all the same. mu is held.
func (l *Log) walkHeaders(s *segment, from, end int64, do func(b record.Batch, w *walker, pos, limit int64) error) error {
	return walkBatches(s, max(s.written, s.size.Load()), from, end, do)
}

// walkBatches is walkHeaders of the bytes below limit. It needs no lock.
func walkBatches(s *segment, limit, from, end int64, do func(b record.Batch, w *walker, pos, limit int64) error) error {
	f, err := s.acquire()
	if err != nil {
		return err
	}
	defer f.release()
	w := newWalker(f, walkChunk)
	defer w.close()
	own := s.trust.own.Load()
	pos := int64(0)
	if from > s.base {
		s.mu.Lock()
		if s.loaded {
			pos = s.idx.lookup(from - s.base)
		}
		s.mu.Unlock()
	}
	for pos < limit {
		b, bytes, err := w.header(pos, limit)
		if err != nil {
			return corruptBatch(s, err)
		}
		if b.BaseOffset() >= end {
			return nil
		}
		if b.NextOffset() > from {
			if pos < own { // found at the start: it may be damaged
				if b, err = w.batch(pos, limit); err == nil {
					err = b.CheckCRC()
				}
				if err != nil {
					return corruptBatch(s, err)
				}
			}
			if err := do(b, w, pos, limit); err != nil {
				return err
			}
		}
		pos += bytes
	}
	return nil
}
