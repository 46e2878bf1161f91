package log

import (
	"math"
	"slices"
	"sort"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// recover brings a loaded log into service. After a clean shutdown only the last segment's end is looked at. After a
// crash every segment from the one with the recovery point on is read: checksums are checked, its indexes are made anew,
// producers and leader epochs are brought up to date.
//
// A batch that is damaged at the end of the log, at or past the recovery point, is a torn tail: it was never known to be
// on disk, and is cut off. A damaged batch that had been flushed, or, unless the machine lost power, that has an intact
// batch behind it, is not the trace of a crash; the log is refused with ErrCorrupt and its records are left as they are.
//
// lostEpochs says that the leader epochs are to be made anew.
func (l *Log) recover(list []*segment, lostEpochs bool) error {
	if n := len(list); n > 0 {
		l.segments.Store(&list)
	}
	if len(list) == 0 {
		return l.startEmpty(l.o.LogStartOffset)
	}
	l.start.Store(l.startAfter(l.o.LogStartOffset, list[0].base))

	clean := l.o.CleanShutdown
	last := lastWritten{epoch: -1}
	if clean {
		next, found, err := l.findEnd(list[len(list)-1])
		if isBadBatch(err) {
			l.slog.Warn("the log does not end as a clean shutdown leaves it, it is recovered", "dir", l.dir, "error", err)
			clean = false
		} else if err != nil {
			return err
		}
		l.next, last = next, found
	}
	var err error
	if clean {
		err = l.loadClean(list)
	} else {
		list, err = l.recoverSegments(list)
	}
	if err != nil {
		return err
	}
	if err := l.recoverEpochs(list, lostEpochs, last); err != nil {
		return err
	}
	if l.next < l.start.Load() {
		// The segments were removed by hand.
		l.slog.Warn("the log ends before its start, it is emptied", "dir", l.dir, "end", l.next, "log_start", l.start.Load())
		if err := l.dropSegments(list); err != nil {
			return err
		}
		return l.startEmpty(l.start.Load())
	}
	return l.enterService(list, clean)
}

// startEmpty begins a log without records.
func (l *Log) startEmpty(offset int64) error {
	s, err := createSegment(l.fs, l.o.files, l.dir, offset, l.config.Load(), l.now())
	if err != nil {
		return err
	}
	s.jitterMs = jitter(l.config.Load())
	l.segments.Store(&[]*segment{s})
	l.producers.reset(offset)
	if err := l.removeSnapshots(func(int64) bool { return true }); err != nil {
		return err
	}
	if err := l.epochs.store(nil); err != nil {
		return err
	}
	l.next = offset
	l.start.Store(offset)
	l.highWatermark.Store(offset)
	l.end.Store(offset)
	l.flush.reset(offset)
	l.flush.lastMs.Store(l.now().UnixMilli())
	s.closeFile() // until there is something to write
	if offset == 0 && l.flush.newborn.Load() {
		return nil
	}
	return l.syncNames()
}

// findEnd walks from the last index entry of a segment to its end. Error: one that isBadBatch tells.
func (l *Log) findEnd(s *segment) (next int64, last lastWritten, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last.epoch = -1
	if err := s.load(); err != nil {
		return 0, last, err
	}
	pos, size := int64(0), s.size.Load()
	next = s.base
	if size == 0 {
		return next, last, nil
	}
	f, err := s.acquireLocked()
	if err != nil {
		return 0, last, err
	}
	defer f.release()
	w := newWalker(f, walkChunk)
	defer w.close()
	if n := len(s.idx.entries); n > 0 {
		pos = int64(s.idx.entries[n-1].position)
	}
	indexed := pos
	for pos < size {
		b, bytes, err := w.header(pos, size)
		if err != nil {
			return 0, last, err
		}
		if b.BaseOffset() < next || !s.fits(b.LastOffset()) {
			return 0, last, corrupt(s.path(logSuffix), "position %d: offset %d after offset %d", pos, b.BaseOffset(), next-1)
		}
		next, last = b.NextOffset(), lastWritten{b.BaseOffset(), b.LeaderEpoch()}
		if pos == 0 {
			s.firstTs = b.MaxTimestamp()
		}
		pos += bytes
	}
	s.sinceIndex = int(size - indexed)
	if s.firstTs < 0 && size > 0 {
		if b, _, err := w.header(0, size); err == nil {
			s.firstTs = b.MaxTimestamp()
		}
	}
	return next, last, nil
}

// loadClean takes the producers from the snapshot that the shutdown left, or from the last one before and the records behind
// it. Without any, and without records, there were none to keep.
func (l *Log) loadClean(list []*segment) error {
	if n := len(l.snapshots); l.next > l.start.Load() && (n == 0 || l.snapshots[n-1] < l.next) {
		l.slog.Warn("the producer snapshot of the last shutdown is missing; the producers are found from the records", "dir", l.dir, "end", l.next)
	}
	return l.restoreProducers(l.next, max(l.o.HighWatermark, l.start.Load()))
}

// recoverSegments walks the segments from the recovery point on.
func (l *Log) recoverSegments(list []*segment) ([]*segment, error) {
	first := max(floor(list, l.o.RecoveryPoint), 0)
	// The producers' state at the start of the walk: from a snapshot there or before.
	base := list[first].base
	if err := l.restoreProducers(base, max(l.o.HighWatermark, l.start.Load())); err != nil {
		return nil, err
	}
	if err := l.removeSnapshots(func(offset int64) bool { return offset > base }); err != nil {
		return nil, err
	}
	l.next = base
	epoch := int32(-1)
	for i := first; i < len(list); i++ {
		s := list[i]
		r := recovery{l: l, s: s, next: l.next, later: list[i+1:], epoch: epoch}
		if err := r.run(); err != nil {
			top := int64(math.MaxInt64)
			if i+1 < len(list) {
				top = list[i+1].base
			}
			return nil, l.locate(list[first:i+1], top, err)
		}
		l.next, epoch = r.next, r.epoch
		later := slices.Clone(list[i+1:])
		if len(later) == 0 || r.cut == 0 && !l.lostBefore(later[0]) {
			continue
		}
		l.slog.Warn("segments behind a torn tail are removed", "dir", l.dir, "segments", len(later), "end_offset", l.next)
		list = list[:i+1]
		l.segments.Store(&list)
		slices.Reverse(later)
		if err := l.dropSegments(later); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// lostBefore tells that records before a segment are missing, though no torn batch shows it: after a power failure the
// end of the segment before may not have reached the disk, and what was to follow it then goes too, so that the log is
// what was appended up to some point. Without a power failure, or below the recovery point, a gap is what compaction
// left.
func (l *Log) lostBefore(s *segment) bool {
	return !l.o.SameBoot && s.base > l.next && s.base > l.o.RecoveryPoint
}

// recovery walks one segment.
type recovery struct {
	l     *Log
	s     *segment
	next  int64 // the offset that the next batch has at least
	later []*segment
	cut   int64 // bytes cut off
	epoch int32 // of the last batch; epochs never go back
	txns  []AbortedTxn
}

func (r *recovery) run() error {
	l, s := r.l, r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.acquireLocked()
	if err != nil {
		return err
	}
	defer f.release()
	r.next = max(r.next, s.base)
	if r.next > s.base {
		return corrupt(s.path(logSuffix), "the segment starts at offset %d, the one before reaches to %d", s.base, r.next-1)
	}
	s.idx, s.tidx, s.maxTs, s.sinceIndex, s.firstTs = offsetIndex{}, timeIndex{}, timeEntry{timestampMs: -1}, 0, -1
	w := newWalker(f, walkChunk)
	defer w.close()
	pos, size := int64(0), s.size.Load()
	for pos < size {
		b, bytes, err := r.read(w, pos, size)
		if err != nil {
			if !isBadBatch(err) {
				return err
			}
			if err := r.tornTail(f, pos, size, err); err != nil {
				return err
			}
			break
		}
		if err := r.follows(b, pos); err != nil {
			return err
		}
		if err := r.apply(b); err != nil {
			return err
		}
		r.epoch = max(r.epoch, b.LeaderEpoch())
		l.epochs.found(b.LeaderEpoch(), b.BaseOffset())
		s.noteLocked(b, int(bytes), pos, l.config.Load().IndexIntervalBytes)
		if pos == 0 {
			s.firstTs = b.MaxTimestamp()
		}
		r.next = b.NextOffset()
		pos += bytes
	}
	if r.cut > 0 {
		if err := f.Truncate(pos); err != nil {
			return err
		}
		s.longer = true
	}
	return r.save(pos)
}

// read gives the batch at a position, checked. In the segment that holds the recovery point the flushed batches before
// it are checked too: they are read anyway for the producers, and damage there is what must not go unnoticed.
func (r *recovery) read(w *walker, pos, size int64) (record.Batch, int64, error) {
	_, bytes, err := w.header(pos, size)
	if err != nil {
		return nil, 0, err
	}
	b, err := w.batch(pos, size)
	if err != nil {
		return nil, 0, err
	}
	return b, bytes, b.CheckCRC()
}

// follows compares what is not part of an intact batch's checksum with the batch before. No crash leaves such a batch, so it
// is no torn tail, wherever it is.
func (r *recovery) follows(b record.Batch, pos int64) error {
	e := b.LeaderEpoch()
	switch {
	case b.BaseOffset() < r.next || b.LastOffsetDelta() < 0 || !r.s.fits(b.LastOffset()):
		return corrupt(r.s.path(logSuffix), "position %d: offsets %d to %d after offset %d", pos, b.BaseOffset(), b.LastOffset(), r.next-1)
	case e >= 0 && e < r.epoch:
		return corrupt(r.s.path(logSuffix), "position %d, offset %d: leader epoch %d after epoch %d", pos, b.BaseOffset(), e, r.epoch)
	}
	return nil
}

func (r *recovery) apply(b record.Batch) error {
	return r.l.producers.replay(b, func(txn completedTxn, lso int64) error {
		r.txns = append(r.txns, AbortedTxn{ProducerID: txn.producerID, FirstOffset: txn.firstOffset, LastOffset: txn.lastOffset, LastStableOffset: lso})
		return nil
	})
}

// save writes what the walk found: the indexes of the segment, and a snapshot at its start. s.mu is held.
func (r *recovery) save(size int64) error {
	l, s := r.l, r.s
	s.written = size
	s.size.Store(size)
	s.trust.own.Store(0) // all of it was checked
	s.loaded, s.dirtyIndex = true, size > 0 || r.cut > 0
	s.tidx.add(s.maxTs.timestampMs, s.maxTs.offset)
	err := s.writeIndexes(int64(len(s.idx.entries))*offsetEntrySize, int64(len(s.tidx.entries))*timeEntrySize, false)
	if err != nil && !isNoSpace(err) { // a full disk has no room for them; they stay in memory, and are written later
		return err
	}
	path := s.path(txnIndexSuffix)
	s.txn = txnIndex{list: r.txns, loaded: true, verified: true, dirty: len(r.txns) > 0}
	if len(r.txns) == 0 {
		if err := removeFile(l.fs, path); err != nil {
			return err
		}
	} else {
		var b []byte
		for _, t := range r.txns {
			b = t.AppendTo(b)
		}
		if err := vfs.WriteFile(l.fs, path, b, false); err != nil {
			return err
		}
	}
	if len(r.later) == 0 || r.cut > 0 {
		return nil
	}
	if err := l.takeSnapshot(r.later[0].base); err != nil && !isNoSpace(err) {
		return err
	}
	return nil
}

// enterService makes the last segment the active one and publishes the offsets.
func (l *Log) enterService(list []*segment, clean bool) error {
	point := min(l.o.RecoveryPoint, l.next)
	if clean {
		point = l.next
	}
	active := list[len(list)-1]
	for i, s := range list {
		s.flushed = i < len(list)-1 && list[i+1].base <= point
	}
	active.mu.Lock()
	err := active.load()
	active.closeFile() // until somebody writes or reads
	active.mu.Unlock()
	if err != nil {
		return err
	}
	active.jitterMs = jitter(l.config.Load())

	l.epochs.forgetFromEnd(l.next)
	start := min(l.start.Load(), l.next)
	l.start.Store(start)
	l.epochs.truncateFromStart(start)
	if err := l.dropStraySnapshots(list); err != nil {
		return err
	}
	l.segments.Store(&list)
	l.highWatermark.Store(min(max(l.o.HighWatermark, start), l.next))
	l.end.Store(l.next)
	if !l.flush.newborn.Load() {
		// Of a log that was never flushed a start that was moved up says nothing of what is on disk: the next open would take
		// the log itself for known there.
		point = max(point, start)
	}
	l.flush.reset(point)
	empty := len(list) == 1 && active.written == 0 && !active.dirtyIndex
	l.flush.dirty.Store(!clean && !empty)
	l.flush.lastMs.Store(l.now().UnixMilli())
	l.producers.end = l.next
	l.producers.replicated(l.highWatermark.Load())
	l.publishTxns()
	return nil
}

// dropStraySnapshots removes the snapshots that belong to no segment, except the last.
func (l *Log) dropStraySnapshots(list []*segment) error {
	return l.removeSnapshots(func(offset int64) bool {
		i := sort.Search(len(list), func(i int) bool { return list[i].base >= offset })
		belongs := i < len(list) && list[i].base == offset
		return !belongs && offset != l.next
	})
}
