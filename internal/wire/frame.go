package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// Budget bounds the memory of requests. The frame reader takes what it allocates, never what a peer merely announces.
type Budget interface {
	// Acquire waits until n bytes are available. more says that the frame holds some already; then the budget must let
	// one such frame through even when it is used up, or frames that each hold a little would wait for each other for
	// ever. An error says that the reader should give up.
	Acquire(n int, more bool) error
	// Charge takes n bytes without waiting.
	Charge(n int)
	Release(n int)
}

// Frame is one request as it came, without its length prefix. Bytes is valid until Release.
type Frame struct {
	Bytes  []byte
	pool   *Pool
	budget Budget
	held   int
}

// Release gives the buffer and its share of the budget back. The second call does nothing.
func (f *Frame) Release() {
	if f.Bytes != nil {
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

// Charge adds n bytes to what the frame holds of the budget: the memory that its decoded form takes.
func (f *Frame) Charge(n int) {
	if f.budget != nil && n > 0 {
		f.budget.Charge(n)
		f.held += n
	}
}

// FrameReader reads the frames of one connection. It is used by one goroutine.
type FrameReader struct {
	r       *bufio.Reader
	pool    *Pool
	budget  Budget
	trusted int // length of the largest frame that arrived whole: a peer that sent one may have its buffer at once
}

// NewFrameReader returns a reader of frames. budget may be nil.
func NewFrameReader(r io.Reader, pool *Pool, budget Budget) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, 4<<10), pool: pool, budget: budget, trusted: firstChunk}
}

// Wait returns when at least one byte of the next frame has arrived.
func (fr *FrameReader) Wait() error {
	_, err := fr.r.Peek(1)
	return err
}

// Buffered reports whether bytes of a further frame have been read already.
func (fr *FrameReader) Buffered() bool { return fr.r.Buffered() > 0 }

// Read returns the next frame of at most limit bytes. io.EOF means the peer ended between two frames.
func (fr *FrameReader) Read(limit int) (*Frame, error) {
	var prefix [4]byte
	if n, err := io.ReadFull(fr.r, prefix[:]); err != nil {
		if n > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: %d of 4 bytes of the length", ErrFrameTruncated, n)
		}
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(prefix[:])))
	if size < 0 || size > limit {
		return nil, fmt.Errorf("%w: %d bytes, allowed are 0 to %d (socket.request.max.bytes)", ErrFrameSize, size, limit)
	}
	f := &Frame{pool: fr.pool, budget: fr.budget}
	if err := fr.fill(f, size); err != nil {
		f.Release()
		return nil, err
	}
	fr.trusted = max(fr.trusted, size)
	return f, nil
}

// fill reads size bytes, growing the buffer eightfold at a time beyond what the peer is trusted with.
func (fr *FrameReader) fill(f *Frame, size int) error {
	have, next := 0, min(size, fr.trusted)
	if err := f.acquire(next); err != nil {
		return err
	}
	for {
		grown := fr.pool.Get(next)
		copy(grown, f.Bytes[:have])
		if f.Bytes != nil {
			fr.pool.Put(f.Bytes)
		}
		f.Bytes = grown
		n, err := io.ReadFull(fr.r, f.Bytes[have:])
		have += n
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: %d of %d bytes", ErrFrameTruncated, have, size)
			}
			return err
		}
		if have == size {
			return nil
		}
		// The rest of the budget is taken at once: a frame waits at most twice, the second time with priority.
		if err := f.acquire(size); err != nil {
			return err
		}
		next = min(size, next*8)
	}
}

// acquire brings what the frame holds of the budget to n bytes.
func (f *Frame) acquire(n int) error {
	if f.budget == nil || n <= f.held {
		return nil
	}
	if err := f.budget.Acquire(n-f.held, f.held > 0); err != nil {
		return err
	}
	f.held = n
	return nil
}
