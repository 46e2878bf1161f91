package log

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// Slice is a range of whole batches in one segment file. It keeps the file open until Close, even if retention deletes
// it meanwhile. The zero Slice is empty.
type Slice struct {
	file     *segmentFile
	position int64
	n        int
	start    int64
	bound    int64 // no offset of it lies here or above
	full     bool  // there is data, but maxBytes allows none of it
}

// Len is the number of bytes.
func (s Slice) Len() int { return s.n }

// StartOffset is the base offset of the first batch, which may lie below the offset that was asked for.
func (s Slice) StartOffset() int64 { return s.start }

// Close gives the file back. It must be called once for a slice that is not empty; Bytes and WriteTo fail after it.
func (s *Slice) Close() {
	if s.file != nil {
		s.file.release()
		s.file, s.n = nil, 0
	}
}

// ReadAt reads at a position within the slice.
func (s Slice) ReadAt(p []byte, off int64) (int, error) {
	if s.file == nil || off >= int64(s.n) {
		return 0, io.EOF
	}
	short := int64(len(p)) > int64(s.n)-off
	if short {
		p = p[:int64(s.n)-off]
	}
	n, err := s.file.ReadAt(p, s.position+off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// Bytes copies the range into memory.
func (s Slice) Bytes() ([]byte, error) {
	b := make([]byte, s.n)
	if s.n == 0 {
		return b, nil
	}
	n, err := s.ReadAt(b, 0)
	if n == len(b) {
		err = nil
	} else if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b[:n], err
}

// WriteTo writes the range. To a socket it goes with sendfile where the system has that: the bytes do not pass through
// this process, and the file's own position is neither used nor moved, since the file is shared. Error:
// io.ErrUnexpectedEOF if the log was truncated meanwhile.
func (s Slice) WriteTo(w io.Writer) (int64, error) {
	if s.n == 0 {
		return 0, nil
	}
	if conn, ok := w.(syscall.Conn); ok {
		if fd, ok := s.file.Fd(); ok {
			n, handled, err := sendfile(conn, int(fd), s.position, s.n)
			if handled {
				return n, err
			}
		}
	}
	return s.copyTo(w)
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// copyTo goes through a buffer: to a TLS connection, or a system without sendfile.
func (s Slice) copyTo(w io.Writer) (int64, error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	var done int64
	for done < int64(s.n) {
		n, err := s.ReadAt(*buf, done)
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
		m, err := w.Write((*buf)[:n])
		done += int64(m)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
