package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"gregor/internal/record"
)

// offlineAdvice ends the error of a log that is refused.
const offlineAdvice = "; the replica stays offline until another one that is in sync has what is damaged here; if there is none, cut the file at that position to give up the rest, or delete the partition's directory to give up all of it"

// tornTail decides what a damaged batch is: a tail to be cut, or damage to report.
func (r *recovery) tornTail(f io.ReaderAt, pos, size int64, cause error) error {
	path := r.s.path(logSuffix)
	if r.next < r.l.o.RecoveryPoint {
		return corrupt(path, "position %d, offset %d: data flushed before the crash is damaged: %v", pos, r.next, cause)
	}
	what, found := r.intactBehind(f, pos, size)
	if found && r.l.o.SameBoot {
		return corrupt(path, "position %d, offset %d: %v; %s, so this is no torn tail", pos, r.next, cause, what)
	}
	r.cut = size - pos
	if !found && zeroed(f, pos, size) {
		return nil // zeroAhead, or preallocate
	}
	if found {
		r.l.slog.Error("damage found after a power failure; the log is cut there, in data that had not been flushed",
			"file", path, "position", pos, "bytes", r.cut, "end_offset", r.next, "behind", what, "cause", cause)
	} else {
		r.l.slog.Warn("torn tail cut after a crash", "file", path, "position", pos, "bytes", r.cut, "end_offset", r.next, "cause", cause)
	}
	return nil
}

// intactBehind looks for intact batches behind a damaged one.
func (r *recovery) intactBehind(f io.ReaderAt, pos, size int64) (what string, found bool) {
	if at, offset, found := findBatch(f, pos+1, size, r.next, r.s.base); found {
		return fmt.Sprintf("intact records follow from offset %d at position %d", offset, at), true
	}
	for _, s := range r.later {
		if s.size.Load() > 0 && !r.blank(s) {
			return fmt.Sprintf("a later segment %s holds records", s.path(logSuffix)), true
		}
	}
	return "", false
}

// blank tells whether a segment has no intact batch.
func (r *recovery) blank(s *segment) bool {
	f, err := s.acquire()
	if err != nil {
		return false
	}
	defer f.release()
	_, _, found := findBatch(f, 0, s.size.Load(), r.next, s.base)
	return !found
}

// zeroed tells whether a range holds nothing but zeros.
func zeroed(f io.ReaderAt, from, to int64) bool {
	buf := make([]byte, min(to-from, int64(len(zeros))))
	for from < to {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), to-from)], from)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(buf[:n], zeros[:n]) {
			return false
		}
		from += int64(n)
	}
	return true
}

// findBatch looks for an intact batch anywhere from a position on.
func findBatch(f io.ReaderAt, from, size, minOffset, base int64) (at, offset int64, found bool) {
	const step = 1 << 20
	buf := make([]byte, step+record.HeaderSize)
	for ; from < size; from += step {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, false
		}
		for i := 0; i+record.HeaderSize <= n && i < step; i++ {
			if buf[i+16] != record.Magic {
				continue
			}
			offset := int64(binary.BigEndian.Uint64(buf[i:]))
			length := int64(int32(binary.BigEndian.Uint32(buf[i+8:]))) + record.LogOverhead
			if offset < minOffset || offset-base > math.MaxInt32 || length < record.HeaderSize || from+int64(i)+length > size {
				continue
			}
			b := make([]byte, length)
			if n, _ := f.ReadAt(b, from+int64(i)); int64(n) == length && record.Batch(b).CheckCRC() == nil {
				return from + int64(i), offset, true
			}
		}
	}
	return 0, 0, false
}
