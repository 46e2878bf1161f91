package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrHeader is a request header that cannot be read.
var ErrHeader = errors.New("invalid request header")

// ApiVersionsKey is the one API whose response header never grows tags, so that a client can read the answer to a
// version the broker does not know (KIP-511).
const ApiVersionsKey = 18

// RequestHeader is a request header of version 1 or 2 (KIP-482). Version 0, used by ControlledShutdown v0 only, is gone.
type RequestHeader struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // "" for null
	HasClientID   bool
}

// ReadRequestHeader reads the fields that every request has; body is what follows the client id. If the request is
// flexible its header tags are still in front of the body: SkipTags.
func ReadRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	return ReadNextHeader(frame, "")
}

// ReadNextHeader is ReadRequestHeader of a request on a connection whose last one had this client id: it hardly ever
// changes, and then no new string is made.
func ReadNextHeader(frame []byte, clientID string) (h RequestHeader, body []byte, err error) {
	if len(frame) < 10 {
		return h, nil, fmt.Errorf("%w: %d bytes, at least 10 are needed", ErrHeader, len(frame))
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	n := int(int16(binary.BigEndian.Uint16(frame[8:])))
	body = frame[10:]
	if n < -1 || n > len(body) {
		return h, nil, fmt.Errorf("%w: client id of %d bytes, %d are left", ErrHeader, n, len(body))
	}
	if n >= 0 {
		if string(body[:n]) != clientID { // which makes no string
			clientID = string(body[:n])
		}
		h.ClientID, h.HasClientID = clientID, true
		body = body[n:]
	}
	return h, body, nil
}

// SkipTags returns what follows the tagged fields at the start of b.
func SkipTags(b []byte) ([]byte, error) {
	c := cursor{b: b}
	c.tags(nil)
	if c.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHeader, c.err)
	}
	return c.b, nil
}

// AppendResponseHeader appends the correlation id and, for a flexible response other than that of ApiVersions, the
// empty tags of response header version 1.
func AppendResponseHeader(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if resp.IsFlexible() && resp.Key() != ApiVersionsKey {
		dst = append(dst, 0)
	}
	return dst
}

// AppendResponse appends a complete response frame: length, header and body.
func AppendResponse(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = AppendResponseHeader(dst, correlationID, resp)
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
