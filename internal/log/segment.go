package log

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// errGone: the segment was deleted; the reader has to look at the list of segments again.
var errGone = errors.New("segment deleted")

// segment is one .log file with its indexes: the batches from base on, up to the next segment.
//
// Only the last segment of a log is appended to, under the log's mutex. Readers use size, the published bytes, which
// grows after the bytes are in the file; so they need no lock for the file's content. The indexes and the open file
// are behind mu, held for a search in memory, or for reading an index file or opening the segment file the first time.
type segment struct {
	fs       vfs.FS
	files    *openFiles
	dir      string
	base     int64
	interval int // index.interval.bytes, for rebuilding the index

	swapping atomic.Int32 // how the files are named while the cleaner puts the segment in place; see cleanSwap

	size    atomic.Int64 // published: readers may read below it
	written int64        // in the file; the log's mutex guards it
	trust   trust

	verifying sync.Mutex // see verifyTxns; taken before the others

	mu         sync.Mutex
	file       *segmentFile // nil while not open
	gone       bool
	used       bool // since the last sweep
	loaded     bool // idx, tidx and maxTs are those of the file
	dirtyIndex bool // index entries or sizes not on disk durably
	idx        offsetIndex
	tidx       timeIndex
	txn        txnIndex
	recent     *recent
	maxTs      timeEntry // the largest timestamp and the last offset of its batch; timestamp -1 if none

	// For the active segment, under the log's mutex.
	createdMs  int64
	firstTs    int64 // largest timestamp of the first append; -1 if none
	sinceIndex int   // bytes appended since the last index entry
	jitterMs   int64
	flushed    bool  // sealed and on disk durably, indexes too
	allocated  bool  // the index files have the size that they may grow to
	longer     bool  // a recovery cut the file, which a power failure may undo
	ahead      int64 // zeros were written up to here, if that lies behind what is written; see zeroAhead
}

// segmentFile is an open segment file, kept open by the segment and by each slice of it.
type segmentFile struct {
	vfs.File
	refs  atomic.Int32
	files *openFiles
}

func (f *segmentFile) release() {
	if f.refs.Add(-1) == 0 {
		f.Close()
		f.files.closed()
	}
}

func newSegment(fsys vfs.FS, files *openFiles, dir string, base int64, cfg *Config) *segment {
	return &segment{fs: fsys, files: files, dir: dir, base: base, interval: cfg.IndexIntervalBytes, maxTs: timeEntry{timestampMs: -1}, firstTs: -1}
}

func (s *segment) path(suffix string) string {
	path := segmentPath(s.dir, s.base, suffix)
	switch state := s.swapping.Load(); {
	case state == swapCleaned:
		return path + cleanedSuffix
	case state == swapAll, state == swapIndexes && suffix != logSuffix:
		return path + swapSuffix
	}
	return path
}

// acquire opens the file if need be and takes a reference.
func (s *segment) acquire() (*segmentFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acquireLocked()
}

func (s *segment) acquireLocked() (*segmentFile, error) {
	s.used = true
	return s.acquireUnused()
}

// acquireUnused is acquire by work in the background, which does not keep the file open longer.
func (s *segment) acquireUnused() (*segmentFile, error) {
	if s.gone {
		return nil, errGone
	}
	if s.file == nil {
		f, err := s.fs.Reopen(s.path(logSuffix))
		if err != nil {
			return nil, s.files.failed(err)
		}
		s.keepOpen(f)
	}
	s.file.refs.Add(1)
	return s.file, nil
}

func (s *segment) keepOpen(f vfs.File) {
	s.file = &segmentFile{File: f, files: s.files}
	s.file.refs.Store(1)
	s.files.opened()
}

// retire makes the segment unusable for new readers; those that have the file keep it.
func (s *segment) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.closeFile()
	s.idx, s.tidx, s.recent = offsetIndex{}, timeIndex{}, nil
}

func (s *segment) closeFile() {
	if s.file != nil {
		s.file.release()
		s.file = nil
	}
}

// sweep frees what a sealed segment holds in memory and its descriptor if nobody used it since the last sweep.
func (s *segment) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used || s.dirtyIndex {
		s.used = false
		return
	}
	s.closeFile()
	if s.loaded {
		s.loaded, s.idx, s.tidx = false, offsetIndex{}, timeIndex{}
	}
	s.distrust()
	if !s.txn.dirty && (!s.txn.verified || len(s.txn.list) > maxKeptTxns) {
		s.txn = txnIndex{}
	}
}

// idle tells of an active segment whether nobody used it since the last call, though its file is open.
func (s *segment) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := !s.used && s.file != nil
	s.used = false
	return idle
}

// rest closes the file of an active segment, unless it was used since idle said that it is not.
func (s *segment) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.used {
		s.closeFile()
	}
}

// createSegment makes the files of an active segment. The indexes get their full size with the first append, so that a
// partition that nobody writes to costs no more than names.
func createSegment(fsys vfs.FS, files *openFiles, dir string, base int64, cfg *Config, now time.Time) (*segment, error) {
	s := newSegment(fsys, files, dir, base, cfg)
	f, err := fsys.Create(s.path(logSuffix))
	if err != nil {
		return nil, files.failed(err)
	}
	if cfg.Preallocate {
		if err := f.Truncate(int64(cfg.SegmentBytes)); err != nil {
			f.Close()
			return nil, errors.Join(err, removeFile(fsys, s.path(logSuffix)))
		}
	}
	s.keepOpen(f)
	s.loaded, s.txn.loaded, s.txn.verified, s.used = true, true, true, true
	s.createdMs = now.UnixMilli()
	// A crash can leave a transaction index without its segment.
	err = removeFile(fsys, s.path(txnIndexSuffix))
	if err == nil {
		err = s.writeIndexes(0, 0, false)
	}
	if err != nil {
		s.retire()
		for _, suffix := range [...]string{logSuffix, indexSuffix, timeIndexSuffix} {
			removeFile(fsys, s.path(suffix))
		}
		return nil, err
	}
	return s, nil
}

// seal ends the appends: the largest timestamp goes into the time index and both files are cut to their entries. They
// are durable after sync.
func (s *segment) seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return nil
	}
	s.tidx.add(s.maxTs.timestampMs, s.maxTs.offset)
	s.dirtyIndex, s.allocated, s.recent = true, false, nil
	return s.writeIndexes(int64(len(s.idx.entries))*offsetEntrySize, int64(len(s.tidx.entries))*timeEntrySize, false)
}

// sync makes the bytes, and of a sealed segment the indexes, durable.
func (s *segment) sync(sealed bool) error {
	s.mu.Lock()
	f, err := s.acquireUnused()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer f.release()
	if err := f.Sync(); err != nil || !sealed {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, suffix := range [...]string{indexSuffix, timeIndexSuffix} {
		if s.dirtyIndex {
			if err := syncFile(s.fs, s.path(suffix)); err != nil {
				return err
			}
		}
	}
	s.dirtyIndex = false
	return s.txn.sync(s.fs, s.path(txnIndexSuffix))
}

// note remembers a batch that was written at a position: the largest timestamp, and an index entry if the last one is
// at least interval bytes back.
func (s *segment) note(b record.Batch, size int, position int64, interval int) {
	s.mu.Lock()
	s.noteLocked(b, size, position, interval)
	if s.recent == nil {
		s.recent = new(recent)
	}
	s.recent.add(b, size, position, s.base)
	s.mu.Unlock()
}

func (s *segment) noteLocked(b record.Batch, size int, position int64, interval int) {
	last := int32(b.LastOffset() - s.base)
	if ts := b.MaxTimestamp(); ts > s.maxTs.timestampMs {
		s.maxTs = timeEntry{ts, last}
	}
	if s.sinceIndex > interval {
		s.idx.add(last, int32(position))
		s.tidx.add(s.maxTs.timestampMs, s.maxTs.offset)
		s.sinceIndex = 0
	}
	s.sinceIndex += size
}

// fits tells whether an offset can be kept relative to the base.
func (s *segment) fits(offset int64) bool {
	return offset-s.base >= 0 && offset-s.base <= math.MaxInt32
}

// truncate cuts the file at a position that starts the batch which holds an offset, and the indexes with it. It makes
// the segment the active one. The log's mutex is held.
func (s *segment) truncate(position, offset int64, cfg *Config, now time.Time) error {
	f, err := s.acquire()
	if err != nil {
		return err
	}
	defer f.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	s.size.Store(min(s.size.Load(), position))
	err = f.Truncate(position)
	if err == nil {
		// Else a power failure could bring the old records back in front of new ones.
		err = f.Sync()
	}
	if err != nil {
		return err
	}
	s.written, s.ahead, s.flushed, s.recent = position, 0, false, nil
	s.trust.cut(position)
	s.idx.truncateTo(offset - s.base)
	s.tidx.truncateTo(offset - s.base)
	if err := s.txn.truncateTo(s.fs, s.path(txnIndexSuffix), s.base, offset); err != nil {
		return err
	}
	if position == 0 {
		s.createdMs, s.firstTs = now.UnixMilli(), -1
	}
	s.sinceIndex = 0
	if err := s.findMaxTimestamp(f, position); err != nil {
		return err
	}
	s.idx.written, s.tidx.written = 0, 0
	return s.allocateIndexes(cfg)
}

// markDeleted renames the files so that they are not taken for part of the log, and gives what removes them later.
func (s *segment) markDeleted() (remove func(), err error) {
	s.retire()
	var paths []string
	for _, suffix := range [...]string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		path := s.path(suffix)
		if err := s.fs.Rename(path, path+deletedSuffix); err != nil {
			if isNotExist(err) {
				continue
			}
			return nil, err
		}
		paths = append(paths, path+deletedSuffix)
	}
	return func() {
		for _, path := range paths {
			removeFile(s.fs, path)
		}
	}, nil
}

// markDeletedNow removes the files of a segment that nobody has seen.
func (s *segment) markDeletedNow() {
	s.retire()
	for _, suffix := range [...]string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		removeFile(s.fs, s.path(suffix))
	}
}
