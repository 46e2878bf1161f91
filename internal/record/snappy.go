package record

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/s2"
)

// Java clients write snappy in the framing of the xerial library: a header of
// 16 bytes, then blocks, each preceded by its compressed length. librdkafka and
// others write one bare block. Both are read; the framing is written.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeaderSize = 16
	xerialBlockSize  = 32 << 10 // what SnappyOutputStream uses unless told otherwise
)

// snappyReader keeps one block's output. A snappy element of three bytes makes
// at most 64, so a block that claims to grow more than 22-fold is refused
// before anything is allocated for it.
type snappyReader struct {
	framed bool
	src    []byte
	block  []byte
	unread []byte
}

func (s *snappyReader) open(payload []byte) error {
	s.framed, s.src, s.unread = false, payload, nil
	if len(payload) >= xerialHeaderSize && bytes.HasPrefix(payload, xerialMagic) {
		// Version and oldest compatible version follow; the library refuses only a compatible version above its own 1.
		if compatible := int32(binary.BigEndian.Uint32(payload[12:])); compatible > 1 {
			return corruptf("snappy framing needs version %d", compatible)
		}
		s.framed, s.src = true, payload[xerialHeaderSize:]
	}
	return nil
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.unread) == 0 {
		if err := s.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

func (s *snappyReader) nextBlock() error {
	if len(s.src) == 0 {
		return io.EOF
	}
	block := s.src
	if s.framed {
		// The streams of several writers may follow each other, each with its own header.
		if bytes.HasPrefix(s.src, xerialMagic) && len(s.src) >= xerialHeaderSize {
			s.src = s.src[xerialHeaderSize:]
			return nil
		}
		if len(s.src) < 4 {
			return corruptf("snappy framing ends inside a block length")
		}
		n := int64(int32(binary.BigEndian.Uint32(s.src)))
		if n < 0 || n > int64(len(s.src)-4) {
			return corruptf("snappy block of %d bytes, %d remain", n, len(s.src)-4)
		}
		block, s.src = s.src[4:4+n], s.src[4+n:]
		if n == 0 {
			return nil
		}
	} else {
		s.src = nil
	}
	size, err := s2.DecodedLen(block)
	if err != nil {
		return err
	}
	if int64(size) > 22*int64(len(block))+64 {
		return corruptf("snappy block of %d bytes claims %d", len(block), size)
	}
	if cap(s.block) < size {
		s.block = make([]byte, size)
	}
	s.unread, err = s2.Decode(s.block[:cap(s.block)], block)
	return err
}

func (s *snappyReader) forget() {
	s.src, s.unread = nil, nil
	if cap(s.block) > scratchKeepSize {
		s.block = nil
	}
}

// appendXerial writes src as SnappyOutputStream does.
func appendXerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	for len(src) > 0 {
		n := min(len(src), xerialBlockSize)
		at := len(dst)
		// EncodeSnappy wants its destination at full length; it fills from the start.
		room := s2.MaxEncodedLen(n)
		dst = append(dst, make([]byte, 4+room)...)
		block := s2.EncodeSnappy(dst[at+4:], src[:n])
		binary.BigEndian.PutUint32(dst[at:], uint32(len(block)))
		dst = dst[:at+4+len(block)]
		src = src[n:]
	}
	return dst
}
