package raft

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// indexIntervalBytes is how much log lies between two index entries (index.interval.bytes).
const indexIntervalBytes = 4096

// segment is one file of the log and its two indexes. The indexes are for others (Kafka and its tools, followers that
// fetch): they are not synced, and written anew when the segment is scanned.
type segment struct {
	base int64 // offset of the first record
	log  vfs.File
	size int64

	index, timeIndex         vfs.File
	indexSize, timeIndexSize int64
	sinceIndex               int   // bytes since the last entry
	maxMs, maxMsOffset       int64 // largest timestamp so far, and the offset of its batch
}

func segmentName(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// parseSegmentName returns the base offset that a log file's name says.
func parseSegmentName(name string) (base int64, ok bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	return base, err == nil
}

// openSegment opens a segment and empties its indexes.
func openSegment(fsys vfs.FS, dir string, base int64) (*segment, error) {
	s := &segment{base: base, maxMs: -1}
	if err := s.open(fsys, dir); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *segment) open(fsys vfs.FS, dir string) (err error) {
	if s.log, err = fsys.OpenWrite(filepath.Join(dir, segmentName(s.base, ".log"))); err != nil {
		return err
	}
	if s.size, err = s.log.Size(); err != nil {
		return err
	}
	if s.index, err = fsys.Create(filepath.Join(dir, segmentName(s.base, ".index"))); err != nil {
		return err
	}
	s.timeIndex, err = fsys.Create(filepath.Join(dir, segmentName(s.base, ".timeindex")))
	return err
}

// write appends batches, already encoded one behind the other, without syncing them.
func (s *segment) write(b []byte) error {
	if _, err := s.log.WriteAt(b, s.size); err != nil {
		return err
	}
	s.size += int64(len(b))
	return nil
}

// note enters a batch at a position of the log into the indexes, if it is time for an entry.
func (s *segment) note(b record.Batch, pos int64) error {
	if s.sinceIndex > indexIntervalBytes {
		var entry [8]byte
		binary.BigEndian.PutUint32(entry[:], uint32(b.LastOffset()-s.base))
		binary.BigEndian.PutUint32(entry[4:], uint32(pos))
		if _, err := s.index.WriteAt(entry[:], s.indexSize); err != nil {
			return err
		}
		s.indexSize += int64(len(entry))
		if err := s.noteTime(); err != nil {
			return err
		}
		s.sinceIndex = 0
	}
	if b.MaxTimestamp() > s.maxMs {
		s.maxMs, s.maxMsOffset = b.MaxTimestamp(), b.LastOffset()
	}
	s.sinceIndex += len(b)
	return nil
}

func (s *segment) noteTime() error {
	if s.maxMs < 0 {
		return nil
	}
	var entry [12]byte
	binary.BigEndian.PutUint64(entry[:], uint64(s.maxMs))
	binary.BigEndian.PutUint32(entry[8:], uint32(s.maxMsOffset-s.base))
	if _, err := s.timeIndex.WriteAt(entry[:], s.timeIndexSize); err != nil {
		return err
	}
	s.timeIndexSize += int64(len(entry))
	return nil
}

// cut drops everything from a position on; the indexes begin anew, for they only speed up a search.
func (s *segment) cut(pos int64) error {
	if err := s.log.Truncate(pos); err != nil {
		return err
	}
	s.size, s.indexSize, s.timeIndexSize, s.sinceIndex, s.maxMs = pos, 0, 0, 0, -1
	for _, f := range []vfs.File{s.index, s.timeIndex} {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	return s.log.Sync()
}

// cutTail drops what lies behind a position that the indexes do not reach.
func (s *segment) cutTail(pos int64) error {
	if err := s.log.Truncate(pos); err != nil {
		return err
	}
	s.size = pos
	return s.log.Sync()
}

func (s *segment) close() {
	for _, f := range []vfs.File{s.log, s.index, s.timeIndex} {
		if f != nil {
			f.Close()
		}
	}
}

func removeSegment(fsys vfs.FS, dir string, base int64) error {
	for _, suffix := range []string{".log", ".index", ".timeindex"} {
		path := filepath.Join(dir, segmentName(base, suffix))
		if _, err := fsys.Stat(path); err != nil {
			continue
		}
		if err := fsys.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
