package load

import (
	"encoding/binary"
	"fmt"
)

// role is what a connection does.
type role interface {
	start(l *loop, now int64) error
	// reply takes a reply of size bytes, of which head is the beginning, without its length and correlation id.
	reply(l *loop, head []byte, size int, now int64) error
}

// stream is one connection: requests go out of a block, and of replies the beginning is kept.
type stream struct {
	fd      int
	addr    string
	role    role
	discard bool

	block *block
	at    int // in the block: where the next byte comes from
	left  int // bytes that are in line

	head [headBytes]byte // of the reply that comes in
	have int             // bytes of it in head
	rest int             // bytes of the reply that come after head
}

// headBytes hold a whole reply to a produce request, and the beginning of one to a fetch up to the first batch's head.
const headBytes = 256

// feed takes bytes that have come.
func (s *stream) feed(l *loop, b []byte) error {
	now := l.now()
	for len(b) > 0 {
		if s.rest > 0 {
			n := min(s.rest, len(b))
			b = b[n:]
			if s.rest -= n; s.rest > 0 {
				return nil
			}
			if err := s.finishedAt(l, now); err != nil {
				return err
			}
			continue
		}
		want := 4
		if s.have >= 4 {
			want = min(4+s.size(), headBytes)
		}
		n := copy(s.head[s.have:want], b)
		b = b[n:]
		if s.have += n; s.have < want {
			return nil
		}
		if s.have == 4 {
			if size := s.size(); size < 4 || size > maxReply {
				return fmt.Errorf("a reply of %d bytes", size)
			}
			continue
		}
		if s.rest = 4 + s.size() - s.have; s.rest == 0 {
			if err := s.finishedAt(l, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stream) size() int { return int(binary.BigEndian.Uint32(s.head[:])) }

func (s *stream) finished(l *loop) error { return s.finishedAt(l, l.now()) }

func (s *stream) finishedAt(l *loop, now int64) error {
	have := s.have
	s.have = 0
	return s.role.reply(l, s.head[8:max(8, have)], s.size()-4, now)
}
