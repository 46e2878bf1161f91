package log

import (
	"errors"

	"gregor/internal/log/vfs"
)

// allocateIndexes gives the index files of an active segment their full size.
func (s *segment) allocateIndexes(cfg *Config) error {
	size := int64(cfg.SegmentIndexBytes)
	err := s.writeIndexes(max(size/offsetEntrySize, int64(len(s.idx.entries)))*offsetEntrySize,
		max(size/timeEntrySize, int64(len(s.tidx.entries)))*timeEntrySize, false)
	s.allocated = err == nil
	return err
}

// allocate makes ready for an append what a segment that was only made or opened lacks. The log's mutex is held.
func (s *segment) allocate(cfg *Config) error {
	if s.allocated {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	return s.allocateIndexes(cfg)
}

// writeIndexes writes the entries that the files lack; a size of -1 leaves the file's size alone.
func (s *segment) writeIndexes(indexSize, timeIndexSize int64, sync bool) error {
	write := func(suffix string, b []byte, at, size int64) error {
		if len(b) == 0 && size < 0 && !sync {
			return nil
		}
		return updateFile(s.fs, s.path(suffix), func(f vfs.File) error {
			if len(b) > 0 {
				if _, err := f.WriteAt(b, at); err != nil {
					return err
				}
			}
			if size >= 0 {
				// What an older file held behind the entries must not show through.
				end := at + int64(len(b))
				if err := f.Truncate(end); err != nil {
					return err
				}
				if size > end {
					if err := f.Truncate(size); err != nil {
						return err
					}
				}
			}
			if sync {
				return f.Sync()
			}
			return nil
		})
	}
	if err := write(indexSuffix, s.idx.encode(nil, s.idx.written), int64(s.idx.written)*offsetEntrySize, indexSize); err != nil {
		return err
	}
	s.idx.written = len(s.idx.entries)
	if err := write(timeIndexSuffix, s.tidx.encode(nil, s.tidx.written), int64(s.tidx.written)*timeEntrySize, timeIndexSize); err != nil {
		return err
	}
	s.tidx.written = len(s.tidx.entries)
	return nil
}

// saveIndexes brings the files of an active segment up to date, without syncing them: they would be rebuilt.
func (s *segment) saveIndexes() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded || s.idx.written == len(s.idx.entries) && s.tidx.written == len(s.tidx.entries) {
		return nil
	}
	return s.writeIndexes(-1, -1, false)
}

// largestTimestamp is the largest timestamp in the segment; -1 if there is none.
func (s *segment) largestTimestamp() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return 0, err
	}
	if s.trust.holes && len(s.trust.damaged) > 0 {
		return 0, s.trust.damaged[0] // it may be there
	}
	return s.maxTs.timestampMs, nil
}

// load reads the index files of a sealed segment; if they do not fit the segment they are built again.
func (s *segment) load() error {
	if s.gone {
		return errGone
	}
	s.used = true
	if s.loaded {
		return nil
	}
	err := s.loadIndexes()
	if errors.Is(err, ErrCorrupt) || isNotExist(err) {
		err = s.rebuild()
	}
	if err != nil {
		return err
	}
	s.loaded = true
	return nil
}

func (s *segment) loadIndexes() error {
	b, err := readFile(s.fs, s.path(indexSuffix))
	if err != nil {
		return err
	}
	if s.idx, err = decodeOffsetIndex(s.path(indexSuffix), b, s.size.Load()); err != nil {
		return err
	}
	if b, err = readFile(s.fs, s.path(timeIndexSuffix)); err != nil {
		return err
	}
	if s.tidx, err = decodeTimeIndex(s.path(timeIndexSuffix), b); err != nil {
		return err
	}
	if len(s.tidx.entries) == 0 && s.size.Load() > 0 {
		// Only a segment without any timestamp has none.
		return corrupt(s.path(timeIndexSuffix), "the time index is empty")
	}
	s.maxTs = s.tidx.last()
	return s.compareIndexes()
}

// compareIndexes looks whether the last entries are those of the segment: the others are compared when they are used.
func (s *segment) compareIndexes() error {
	if len(s.tidx.entries) == 0 {
		return nil
	}
	f, err := s.acquireLocked()
	if err != nil {
		return err
	}
	defer f.release()
	w := newWalker(f, lookChunk)
	defer w.close()
	size := s.size.Load()
	if n := len(s.idx.entries); n > 0 {
		e := s.idx.entries[n-1]
		if b, _, err := w.header(int64(e.position), size); err != nil || b.LastOffset() != s.base+int64(e.offset) {
			return corrupt(s.path(indexSuffix), "entry %v: no batch there ends at that offset", e)
		}
	}
	// The largest timestamp is what retention goes by.
	last := s.tidx.last()
	if !s.hasTimestamp(w, s.idx.lookup(int64(last.offset)-1), size, last) {
		return corrupt(s.path(timeIndexSuffix), "entry %v: no batch that ends at that offset has that timestamp", last)
	}
	// Of a file that lost its last entries, the batches behind the last one of the other index tell.
	pos := int64(0)
	if n := len(s.idx.entries); n > 0 {
		pos = int64(s.idx.entries[n-1].position)
	}
	for pos < size {
		b, bytes, err := w.header(pos, size)
		if err != nil {
			return nil // for others to find
		}
		if b.MaxTimestamp() > last.timestampMs {
			return corrupt(s.path(timeIndexSuffix), "it ends with %v, and the batch at offset %d has timestamp %d", last, b.BaseOffset(), b.MaxTimestamp())
		}
		pos += bytes
	}
	return nil
}

// rebuild makes the indexes of a sealed segment from its batches and writes them. Error: ErrCorrupt if the segment
// itself is damaged.
func (s *segment) rebuild() error {
	f, err := s.acquireLocked()
	if err != nil {
		return err
	}
	defer f.release()
	s.idx, s.tidx, s.maxTs, s.sinceIndex = offsetIndex{}, timeIndex{}, timeEntry{timestampMs: -1}, 0
	s.trust.holes = false
	w := newWalker(f, walkChunk)
	defer w.close()
	limit := s.size.Load()
	for pos := int64(0); pos < limit; {
		if d := s.trust.at(pos); d != nil {
			pos, s.trust.holes = d.End, true
			continue
		}
		b, err := w.batch(pos, limit)
		if err == nil {
			err = b.CheckCRC()
		}
		if err != nil {
			return corrupt(s.path(logSuffix), "while the index was built again: position %d: %v", pos, err)
		}
		s.noteLocked(b, len(b), pos, s.interval)
		pos += int64(len(b))
	}
	s.tidx.add(s.maxTs.timestampMs, s.maxTs.offset)
	return s.writeIndexes(int64(len(s.idx.entries))*offsetEntrySize, int64(len(s.tidx.entries))*timeEntrySize, true)
}

// findMaxTimestamp looks behind the last time index entry for a larger timestamp.
func (s *segment) findMaxTimestamp(f *segmentFile, limit int64) error {
	s.maxTs = s.tidx.last()
	w := newWalker(f, walkChunk)
	defer w.close()
	for pos := s.idx.lookup(int64(max(s.maxTs.offset, 0))); pos < limit; {
		b, size, err := w.header(pos, limit)
		if err != nil {
			return err
		}
		if b.MaxTimestamp() > s.maxTs.timestampMs {
			s.maxTs = timeEntry{b.MaxTimestamp(), int32(b.LastOffset() - s.base)}
		}
		pos += size
	}
	return nil
}
