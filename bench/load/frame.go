package load

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Request header 1: key, version, correlation id, client id.
const correlationAt = 4 + 2 + 2 // in a frame, after its length

const clientID = "load"

// appendHeader begins a frame; its length is set by finish.
func appendHeader(b []byte, key, version int16) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 0)
	return appendString(b, clientID)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func finish(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// maxReply bounds what a broken server may make the reader allocate.
const maxReply = 256 << 20

// readReply reads the next reply's body, without its correlation id, into buf.
func readReply(r *bufio.Reader, buf []byte) (id uint32, body []byte, err error) {
	head, err := r.Peek(8)
	if err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	if size < 4 || size > maxReply {
		return 0, nil, fmt.Errorf("a reply of %d bytes", size)
	}
	id = binary.BigEndian.Uint32(head[4:])
	if _, err := r.Discard(8); err != nil {
		return 0, nil, err
	}
	if size -= 4; cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err = io.ReadFull(r, buf)
	return id, buf, err
}

func errorOf(what string, code uint16) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", what, kerr.ErrorForCode(int16(code)))
}
