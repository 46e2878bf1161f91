package log

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// walker reads batches of a segment file one after the other, or only their headers, through a buffer that is filled a
// chunk at a time. What it returns is valid until the next call. Close gives the buffer back.
type walker struct {
	f     vfs.File
	ahead int64 // how much a read of a header fetches
	buf   []byte
	at    int64 // the file position of buf[0]
}

const (
	walkChunk    = 64 << 10 // for walking through a file
	lookChunk    = 4 << 10  // for finding a place that the index says is near
	maxWalkerBuf = 4 << 20  // a larger buffer is not kept
)

var walkers = sync.Pool{New: func() any { return new(walker) }}

// newWalker takes a walker from a pool; close gives it back.
func newWalker(f vfs.File, ahead int64) *walker {
	w := walkers.Get().(*walker)
	w.f, w.ahead, w.at, w.buf = f, ahead, 0, w.buf[:0]
	return w
}

func (w *walker) close() {
	if cap(w.buf) > maxWalkerBuf {
		w.buf = nil
	}
	w.f = nil
	walkers.Put(w)
}

// bytes gives n bytes at a position; ahead more are read if they are there, up to limit.
func (w *walker) bytes(pos int64, n int, ahead int64, limit int64) ([]byte, error) {
	if pos >= w.at && pos+int64(n) <= w.at+int64(len(w.buf)) {
		return w.buf[pos-w.at:][:n], nil
	}
	want := int(min(max(int64(n), ahead), limit-pos))
	if want < n {
		return nil, io.ErrUnexpectedEOF
	}
	if cap(w.buf) < want {
		w.buf = make([]byte, 0, want)
	}
	w.at, w.buf = pos, w.buf[:want]
	got, err := w.f.ReadAt(w.buf, pos)
	w.buf = w.buf[:got]
	if got >= n {
		return w.buf[:n], nil
	}
	w.buf = w.buf[:0]
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// header gives the header of the batch at a position of a file whose batches end at limit, and the batch's size. Errors:
// record.ErrTruncated if the batch reaches beyond limit, record.ErrCorrupt, record.ErrOldMagic, or one of reading.
func (w *walker) header(pos, limit int64) (record.Batch, int64, error) {
	// A message of an old format may be shorter than a header. It must not pass for a torn batch, which is cut off.
	const throughMagic = 17
	have := min(limit-pos, record.HeaderSize)
	if have < throughMagic {
		return nil, 0, fmt.Errorf("%w: %d bytes at position %d", record.ErrTruncated, limit-pos, pos)
	}
	head, err := w.bytes(pos, int(have), w.ahead, limit)
	if err != nil {
		return nil, 0, err
	}
	size, err := record.SizeOf(head)
	if err != nil {
		return nil, 0, fmt.Errorf("at position %d: %w", pos, err)
	}
	switch magic := head[16]; {
	case magic < record.Magic:
		return nil, 0, w.oldMessage(pos, size, limit)
	case magic > record.Magic || size < record.HeaderSize:
		return nil, 0, fmt.Errorf("%w: magic %d and size %d at position %d", record.ErrCorrupt, magic, size, pos)
	case size > limit-pos || have < record.HeaderSize:
		return nil, 0, fmt.Errorf("%w: %d of %d bytes at position %d", record.ErrTruncated, limit-pos, size, pos)
	}
	return record.Batch(head), size, nil
}

// oldMessage tells a message of an old format (record.ErrOldMagic) from the remains of a torn write (record.ErrCorrupt),
// which often has zeros where the magic should be.
func (w *walker) oldMessage(pos, size, limit int64) error {
	if size <= limit-pos {
		b, err := w.bytes(pos, int(size), w.ahead, limit)
		if err != nil {
			return err
		}
		if m, _, err := record.NextMessage(b); err == nil && m.CheckCRC() == nil {
			return fmt.Errorf("%w: magic %d at position %d", record.ErrOldMagic, m.Magic(), pos)
		}
	}
	return fmt.Errorf("%w: no batch and no old message at position %d", record.ErrCorrupt, pos)
}

// batch gives the whole batch at a position.
func (w *walker) batch(pos, limit int64) (record.Batch, error) {
	_, size, err := w.header(pos, limit)
	if err != nil {
		return nil, err
	}
	b, err := w.bytes(pos, int(size), w.ahead, limit)
	return record.Batch(b), err
}

// isBadBatch tells an error about the bytes of a batch from one of reading them.
func isBadBatch(err error) bool {
	return errors.Is(err, record.ErrTruncated) || errors.Is(err, record.ErrCorrupt)
}
