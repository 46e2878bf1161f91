package record

import (
	"errors"
	"fmt"
	"io"
)

// MaxDecompressedBytes is how much the payload of one batch may hold when it
// is opened. Payloads are read as streams, so this bounds work, not memory;
// memory is bounded by maxRecordBytes and by what has really been read.
const MaxDecompressedBytes = 1 << 30

// maxRecordBytes is the largest single record that is given out of a compressed payload.
const maxRecordBytes = 256 << 20

// source is the sequence of bytes that holds the records of a batch: the
// payload itself, or a window on the decompressed stream. A slice of it is
// valid until the next call that may read.
type source struct {
	buf     []byte // buf[pos:] is unread
	pos     int
	codec   Codec
	dec     decompressor // nil: buf is all there is
	scratch *[]byte      // what buf lies in when there is a dec
	budget  int64        // decompressed bytes that may still be read
	eof     bool
	idle    int // reads in a row that gave nothing
}

const maxIdleReads = 100

func openSource(c Codec, payload []byte, limit int64) (source, error) {
	if c == None {
		return source{buf: payload, eof: true}, nil
	}
	d, err := openPayload(c, payload)
	if err != nil {
		return source{}, err
	}
	scratch := getScratch()
	return source{buf: (*scratch)[:0], codec: c, dec: d, scratch: scratch, budget: limit}, nil
}

func (s *source) close() {
	if s.dec != nil {
		closePayload(s.codec, s.dec)
		s.dec = nil
		putScratch(s.scratch)
	}
}

// fill reads until n bytes are unread or the stream ends, and returns how many are. Only a broken stream is an error.
func (s *source) fill(n int) (int, error) {
	for len(s.buf)-s.pos < n && !s.eof {
		if err := s.read(); err != nil {
			return 0, err
		}
	}
	return len(s.buf) - s.pos, nil
}

// read makes room and reads once. The room doubles as bytes arrive, so that a length that lies costs nothing.
func (s *source) read() error {
	if s.pos > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.pos = 0
	}
	if len(s.buf) == cap(s.buf) {
		grown := make([]byte, 2*cap(s.buf))
		s.buf = grown[:copy(grown, s.buf)]
		*s.scratch = grown
	}
	room := s.buf[len(s.buf):cap(s.buf)]
	got, err := s.dec.Read(room)
	if s.idle++; got > 0 || err != nil {
		s.idle = 0
	} else if s.idle == maxIdleReads {
		err = io.ErrNoProgress
	}
	s.buf = s.buf[:len(s.buf)+got]
	if s.budget -= int64(got); s.budget < 0 {
		return fmt.Errorf("%w: decompressed payload exceeds its limit", ErrTooLarge)
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.eof = true
		return nil
	}
	if err != nil {
		return decompressError(s.codec, err)
	}
	return nil
}

// take returns the next n bytes.
func (s *source) take(n int) ([]byte, error) {
	if have := len(s.buf) - s.pos; have < n {
		have, err := s.fill(n)
		if err != nil {
			return nil, err
		}
		if have < n {
			return nil, invalidf("%d bytes needed, %d remain", n, have)
		}
	}
	p := s.buf[s.pos : s.pos+n : s.pos+n]
	s.pos += n
	return p, nil
}

// skip passes over the next n bytes.
func (s *source) skip(n int) error {
	for {
		have := min(n, len(s.buf)-s.pos)
		s.pos += have
		if n -= have; n == 0 {
			return nil
		}
		if s.eof {
			return invalidf("%d bytes are missing", n)
		}
		if err := s.read(); err != nil {
			return err
		}
	}
}

// varlong reads a zigzag number of at most limit bytes and returns how many it took.
func (s *source) varlong(limit int) (v int64, size int, err error) {
	if have := len(s.buf) - s.pos; have < limit && !s.eof {
		if _, err := s.fill(limit); err != nil {
			return 0, 0, err
		}
	}
	v, size = readVarlong(s.buf[s.pos:], limit)
	if size <= 0 {
		return 0, 0, invalidf("bad variable-length number")
	}
	s.pos += size
	return v, size, nil
}

// ended tells whether every byte has been read.
func (s *source) ended() (bool, error) {
	have, err := s.fill(1)
	return have == 0, err
}
