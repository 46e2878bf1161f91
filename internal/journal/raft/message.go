package raft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// MessageKey is the key of the request that carries Raft's messages between voters. It is the one request of a quorum
// that is not Kafka's: Kafka's followers fetch, Raft's leader sends.
const MessageKey = 26482

const (
	maxMessageText = 1 << 10 // bytes of a string in a message
	maxMessages    = 1 << 10 // in one request
)

// MessageRequest carries messages from one voter to another. Every process checks that it is meant.
type MessageRequest struct {
	Version       int16
	ClusterID     string
	From, To      int32
	FromDirectory [16]byte // of the sender's log
	FromHost      string   // where the sender can be answered, for a receiver whose log does not tell of it yet
	FromPort      uint16
	ToDirectory   [16]byte // that the sender's voters have for the receiver; zero while kraft.version is 0
	Messages      [][]byte // raftpb.Message each, in order
}

// MessageResponse says whether the messages were taken. What they ask for is answered by messages of the receiver's own.
type MessageResponse struct {
	Version   int16
	ErrorCode int16
	Text      string // what is wrong, for the sender's log
	// VotersOffset is where the change of the voters lies that left the sender out; -1 if it is one of them.
	VotersOffset int64
}

var (
	_ kmsg.Request  = (*MessageRequest)(nil)
	_ kmsg.Response = (*MessageResponse)(nil)
)

func (*MessageRequest) Key() int16                    { return MessageKey }
func (*MessageRequest) MaxVersion() int16             { return 0 }
func (r *MessageRequest) SetVersion(v int16)          { r.Version = v }
func (r *MessageRequest) GetVersion() int16           { return r.Version }
func (*MessageRequest) IsFlexible() bool              { return false }
func (r *MessageRequest) ResponseKind() kmsg.Response { return &MessageResponse{Version: r.Version} }
func (*MessageResponse) Key() int16                   { return MessageKey }
func (*MessageResponse) MaxVersion() int16            { return 0 }
func (r *MessageResponse) SetVersion(v int16)         { r.Version = v }
func (r *MessageResponse) GetVersion() int16          { return r.Version }
func (*MessageResponse) IsFlexible() bool             { return false }
func (r *MessageResponse) RequestKind() kmsg.Request  { return &MessageRequest{Version: r.Version} }

var errMessage = errors.New("not a Raft message request of this version")

// AppendTo writes the fields in their order: a string as INT16 length and bytes, messages as INT32 count, and INT32 length
// and bytes each.
func (r *MessageRequest) AppendTo(b []byte) []byte {
	b = appendText(b, r.ClusterID)
	b = binary.BigEndian.AppendUint32(b, uint32(r.From))
	b = binary.BigEndian.AppendUint32(b, uint32(r.To))
	b = append(b, r.FromDirectory[:]...)
	b = append(b, r.ToDirectory[:]...)
	b = binary.BigEndian.AppendUint16(appendText(b, r.FromHost), r.FromPort)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Messages)))
	for _, m := range r.Messages {
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return b
}

// ReadFrom takes parts of b into the request. It passes over what a later version may add.
func (r *MessageRequest) ReadFrom(b []byte) error {
	var ok bool
	if r.ClusterID, b, ok = readText(b); !ok || len(b) < 4+4+16+16 {
		return errMessage
	}
	r.From, r.To = int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))
	b = b[8+copy(r.FromDirectory[:], b[8:]):]
	b = b[copy(r.ToDirectory[:], b):]
	if r.FromHost, b, ok = readText(b); !ok || len(b) < 2+4 {
		return errMessage
	}
	r.FromPort, b = binary.BigEndian.Uint16(b), b[2:]
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; n > maxMessages || uint64(n)*4 > uint64(len(b)) {
		return fmt.Errorf("%w: %d messages in %d bytes", errMessage, n, len(b))
	}
	r.Messages = nil
	for range n {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return errMessage
		}
		size := binary.BigEndian.Uint32(b)
		r.Messages = append(r.Messages, b[4:4+size:4+size])
		b = b[4+size:]
	}
	return nil
}

// AppendTo writes the fields in their order.
func (r *MessageResponse) AppendTo(b []byte) []byte {
	b = appendText(binary.BigEndian.AppendUint16(b, uint16(r.ErrorCode)), r.Text)
	return binary.BigEndian.AppendUint64(b, uint64(r.VotersOffset))
}

// ReadFrom passes over what a later version may add.
func (r *MessageResponse) ReadFrom(b []byte) error {
	if len(b) < 2 {
		return errMessage
	}
	r.ErrorCode = int16(binary.BigEndian.Uint16(b))
	var ok bool
	if r.Text, b, ok = readText(b[2:]); !ok || len(b) < 8 {
		return errMessage
	}
	r.VotersOffset = int64(binary.BigEndian.Uint64(b))
	return nil
}

func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), maxMessageText)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func readText(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > maxMessageText || n > len(b)-2 {
		return "", nil, false
	}
	return string(b[2 : 2+n]), b[2+n:], true
}
