package log

import "gregor/internal/log/vfs"

// With flush.messages=1 small appends are written over zeros that lie there already, within the file and on its blocks. Then
// an fsync writes the records and nothing else. Of a file that grows it also writes the file's size and where its blocks lie,
// which takes half as long again, and three times as long where the file system keeps a journal.
//
// The zeros are what Kafka's preallocate=true leaves: they are cut off when the segment is rolled and when the log is closed.
// After a crash recovery cuts them off, ours and Kafka's, since no batch begins with them.
const (
	aheadBytes = 256 << 10 // at most so much is zeroed at once
	aheadBlock = 4 << 10
	aheadBatch = 32 << 10 // a larger append has the disk write more of itself than of the file's metadata
)

var zeros [aheadBytes + aheadBlock]byte

// zeroAhead writes zeros behind an append of some bytes that is to come at the end of the segment, unless there are enough:
// as many as the segment then has bytes, so that one with a few records stays small. The log's mutex is held.
func (s *segment) zeroAhead(f vfs.File, bytes int, cfg *Config) error {
	end := s.written + int64(bytes)
	if cfg.FlushMessages != 1 || end <= s.ahead || bytes > aheadBatch {
		return nil
	}
	to := end + min(end, aheadBytes)
	to = min((to+aheadBlock-1)/aheadBlock*aheadBlock, int64(cfg.SegmentBytes))
	if to <= end {
		return nil
	}
	if _, err := f.WriteAt(zeros[:to-end], end); err != nil {
		s.ahead = 0
		if terr := f.Truncate(s.written); terr == nil && isNoSpace(err) {
			return nil // there may be room for the records
		}
		return err
	}
	s.ahead = to
	return nil
}

// trim cuts off what lies behind the records. The log's mutex is held.
func (s *segment) trim(cfg *Config) (trimmed bool, err error) {
	if !cfg.Preallocate && s.ahead <= s.written && !s.longer {
		return false, nil
	}
	f, err := s.acquire()
	if err != nil {
		return false, err
	}
	defer f.release()
	s.ahead, s.longer = 0, false
	return true, f.Truncate(s.written)
}
