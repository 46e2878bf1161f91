package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Errors of ReadFrame that concern the peer's bytes; anything else is the connection's own error.
var (
	// ErrFrameSize is a frame whose length is negative or beyond the limit.
	ErrFrameSize = errors.New("invalid frame size")
	// ErrFrameTruncated is a connection that ended inside a frame.
	ErrFrameTruncated = errors.New("connection ended inside a frame")
)

// firstChunk is how many bytes of a frame are allocated on the word of its length alone. Beyond it memory grows only as
// bytes arrive, so that a thousand half-open connections that each announce 100 MB cost 64 KiB each and not 100 GB.
const firstChunk = 64 << 10

// readAhead is how many bytes are read at once where frames are small, so that one system call brings many of them. A
// peer that sends large frames has them read into their own memory; shortAhead is what has to be copied there.
const (
	readAhead  = 16 << 10
	shortAhead = 1 << 10
)

// Budget bounds the memory of requests. The frame reader takes what it allocates, never what a peer merely announces.
type Budget interface {
	// Acquire waits until n bytes are available. more says that the frame holds some already; then the budget must let
	// one such frame through even when it is used up, or frames that each hold a little would wait for each other for
	// ever. An error says that the reader should give up. held is how many bytes are to be given back by Release: n, or 0
	// if nothing is counted.
	Acquire(n int, more bool) (held int, err error)
	// Charge takes n bytes without waiting.
	Charge(n int)
	Release(n int)
}

// Frame is one request as it came, without its length prefix. Bytes is valid until Release; of a frame that is not Own,
// until the reader is used again, too.
type Frame struct {
	Bytes    []byte
	pool     *Pool // nil: nothing is read yet
	budget   Budget
	held     int
	borrowed bool // Bytes lies in the reader's memory
}

// Release gives the buffer and its share of the budget back. The second call does nothing.
func (f *Frame) Release() {
	if f.Bytes != nil && !f.borrowed {
		f.pool.Put(f.Bytes)
	}
	f.Abandon()
}

// Abandon gives back the budget but not the buffer: for a frame whose bytes somebody may still read.
func (f *Frame) Abandon() {
	f.Bytes = nil
	if f.held > 0 {
		f.budget.Release(f.held)
		f.held = 0
	}
}

// Own copies the bytes to memory of the frame's own, if they are not there, so that the reader can go on.
func (f *Frame) Own() {
	if f.borrowed {
		b := f.pool.Get(len(f.Bytes))
		copy(b, f.Bytes)
		f.Bytes, f.borrowed = b, false
	}
}

// Borrowed reports whether Own has something to do.
func (f *Frame) Borrowed() bool { return f.borrowed }

// Charge adds n bytes to what the frame holds of the budget: the memory that its decoded form takes.
func (f *Frame) Charge(n int) {
	if f.held > 0 && n > 0 {
		f.budget.Charge(n)
		f.held += n
	}
}

// PooledReader is a connection that can wait for bytes before it takes the memory to read them into, so that an idle
// one holds none.
type PooledReader interface {
	// ReadPooled reads once into size bytes of the pool, of which n are filled. No memory was taken if n is 0.
	ReadPooled(pool *Pool, size int) (buf []byte, n int, err error)
}

// FrameReader reads the frames of one connection. It is used by one goroutine.
type FrameReader struct {
	// FewSizes has large frames read into buffers of powers of two: who gets frames of all sizes, as a follower does, keeps
	// four to a doubling of them in the pool otherwise.
	FewSizes bool

	r       io.Reader
	pooled  PooledReader // r, if it is one
	pool    *Pool
	budget  Budget
	buf     []byte // of the pool, what has been read ahead: buf[pos:end]; nil if there is nothing
	pos     int
	end     int
	last    int // length of the frame before
	trusted int // length of the largest frame that arrived whole: a peer that sent one may have its buffer at once
}

// NewFrameReader returns a reader of frames. budget may be nil.
func NewFrameReader(r io.Reader, pool *Pool, budget Budget) *FrameReader {
	fr := &FrameReader{r: r, pool: pool, budget: budget, trusted: firstChunk}
	fr.pooled, _ = r.(PooledReader)
	return fr
}

// Wait returns when at least one byte of the next frame has arrived.
func (fr *FrameReader) Wait() error {
	for fr.pos == fr.end {
		if err := fr.more(); err != nil {
			return err
		}
	}
	return nil
}

// Whole reports whether the next frame is in memory, so that it can be read without waiting.
func (fr *FrameReader) Whole() bool {
	size, ok := fr.size()
	return ok && size >= 0 && size <= fr.end-fr.pos-4
}

// size is the length of the next frame, if the four bytes of it are there.
func (fr *FrameReader) size() (n int, ok bool) {
	if fr.end-fr.pos < 4 {
		return 0, false
	}
	return int(int32(binary.BigEndian.Uint32(fr.buf[fr.pos:]))), true
}

// Read returns the next frame of at most limit bytes, in memory of its own. io.EOF means the peer ended between two
// frames.
func (fr *FrameReader) Read(limit int) (*Frame, error) {
	f := new(Frame)
	if err := fr.Next(f, limit); err != nil {
		return nil, err
	}
	f.Own()
	return f, nil
}

// Next is Read into f, which must be empty. A small frame's Bytes are borrowed from the reader.
func (fr *FrameReader) Next(f *Frame, limit int) error {
	for fr.end-fr.pos < 4 {
		if err := fr.more(); err != nil {
			if n := fr.end - fr.pos; n > 0 && errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: %d of 4 bytes of the length", ErrFrameTruncated, n)
			}
			return err
		}
	}
	size, _ := fr.size()
	if size < 0 || size > limit {
		return fmt.Errorf("%w: %d bytes, allowed are 0 to %d (socket.request.max.bytes)", ErrFrameSize, size, limit)
	}
	fr.pos += 4
	*f = Frame{pool: fr.pool, budget: fr.budget}
	var err error
	if size <= len(fr.buf) {
		err = fr.borrow(f, size)
	} else {
		err = fr.fill(f, size)
	}
	if err != nil {
		f.Release()
		return err
	}
	fr.trusted = max(fr.trusted, size)
	fr.last = size
	return nil
}

// more reads into the free part of the buffer, or into a new one; what is there is moved to the front.
func (fr *FrameReader) more() error {
	if fr.pos == fr.end && fr.buf != nil {
		fr.pool.Put(fr.buf)
		fr.buf = nil
	}
	if fr.buf == nil {
		size := readAhead
		if fr.last > readAhead {
			size = shortAhead
		}
		fr.pos, fr.end = 0, 0
		if fr.pooled != nil {
			var err error
			fr.buf, fr.end, err = fr.pooled.ReadPooled(fr.pool, size)
			return err
		}
		fr.buf = fr.pool.Get(size)
	} else if fr.pos > 0 {
		fr.end = copy(fr.buf, fr.buf[fr.pos:fr.end])
		fr.pos = 0
	}
	n, err := fr.r.Read(fr.buf[fr.end:])
	fr.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// borrow has a frame in the reader's buffer, which it fits into.
func (fr *FrameReader) borrow(f *Frame, size int) error {
	for fr.end-fr.pos < size {
		if err := fr.more(); err != nil {
			return truncated(err, fr.end-fr.pos, size)
		}
	}
	if err := f.acquire(size); err != nil {
		return err
	}
	f.Bytes, f.borrowed = fr.buf[fr.pos:fr.pos+size:fr.pos+size], true
	fr.pos += size
	return nil
}

// fill reads size bytes, growing the buffer eightfold at a time beyond what the peer is trusted with. They are more than
// what has been read ahead.
func (fr *FrameReader) fill(f *Frame, size int) error {
	next := min(size, fr.trusted)
	if err := f.acquire(next); err != nil {
		return err
	}
	f.Bytes = fr.get(next)
	have := copy(f.Bytes, fr.buf[fr.pos:fr.end])
	fr.pos = fr.end
	if fr.buf != nil {
		fr.pool.Put(fr.buf)
		fr.buf = nil
	}
	fr.pos, fr.end = 0, 0
	for {
		n, err := io.ReadFull(fr.r, f.Bytes[have:])
		have += n
		if err != nil {
			return truncated(err, have, size)
		}
		if have == size {
			return nil
		}
		// The rest of the budget is taken at once: a frame waits at most twice, the second time with priority.
		if err := f.acquire(size); err != nil {
			return err
		}
		next = min(size, next*8)
		grown := fr.get(next)
		copy(grown, f.Bytes)
		fr.pool.Put(f.Bytes)
		f.Bytes = grown
	}
}

func truncated(err error, have, size int) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %d of %d bytes", ErrFrameTruncated, have, size)
	}
	return err
}

// acquire brings what the frame holds of the budget to n bytes.
func (f *Frame) acquire(n int) error {
	if f.budget == nil || n <= f.held {
		return nil
	}
	held, err := f.budget.Acquire(n-f.held, f.held > 0)
	f.held += held
	return err
}

// get is a buffer for n bytes of a frame that is not small.
func (fr *FrameReader) get(n int) []byte {
	if fr.FewSizes && n > 1 && n <= maxClass {
		return fr.pool.Get(1 << bits.Len(uint(n-1)))[:n]
	}
	return fr.pool.Get(n)
}
