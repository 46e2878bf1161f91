package peer

import (
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// HelloKey is the key of Hello, a request that only nodes of gregor send to each other. Every listener serves it, as soon
// as it is open: a node asks who somebody is before it knows its own cluster.
const HelloKey = 26483

// maxHelloText bounds a string of Hello.
const maxHelloText = 1 << 10

// HelloRequest asks a process who it is, and says who asks.
type HelloRequest struct {
	Version int16
	From    Identity
}

// HelloResponse says who answers.
type HelloResponse struct {
	Version int16
	Identity
}

// Identity is who a process is.
type Identity struct {
	ClusterID   string   // "" while it does not know
	NodeID      int32    // -1 if it has none
	DirectoryID [16]byte // of the metadata directory; zero while that is not formatted
	Process     [16]byte // made anew by every start: two answers with the same one come from the same process
	HasLog      bool     // its metadata log, or a snapshot of it, is not empty
	Controller  bool     // has the role
	ClockMs     int64    // its time
}

var (
	_ kmsg.Request  = (*HelloRequest)(nil)
	_ kmsg.Response = (*HelloResponse)(nil)
)

func (*HelloRequest) Key() int16                    { return HelloKey }
func (*HelloRequest) MaxVersion() int16             { return 0 }
func (r *HelloRequest) SetVersion(v int16)          { r.Version = v }
func (r *HelloRequest) GetVersion() int16           { return r.Version }
func (*HelloRequest) IsFlexible() bool              { return false }
func (r *HelloRequest) ResponseKind() kmsg.Response { return &HelloResponse{Version: r.Version} }
func (r *HelloRequest) AppendTo(dst []byte) []byte  { return r.From.appendTo(dst) }
func (r *HelloRequest) ReadFrom(b []byte) error     { return r.From.readFrom(b) }
func (*HelloResponse) Key() int16                   { return HelloKey }
func (*HelloResponse) MaxVersion() int16            { return 0 }
func (r *HelloResponse) SetVersion(v int16)         { r.Version = v }
func (r *HelloResponse) GetVersion() int16          { return r.Version }
func (*HelloResponse) IsFlexible() bool             { return false }
func (r *HelloResponse) RequestKind() kmsg.Request  { return &HelloRequest{Version: r.Version} }
func (r *HelloResponse) AppendTo(dst []byte) []byte { return r.appendTo(dst) }
func (r *HelloResponse) ReadFrom(b []byte) error    { return r.readFrom(b) }

// appendTo writes the fields in their order: a string as INT16 length and bytes, flags as one byte, the rest at its size.
func (i *Identity) appendTo(b []byte) []byte {
	text := i.ClusterID[:min(len(i.ClusterID), maxHelloText)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	b = binary.BigEndian.AppendUint32(b, uint32(i.NodeID))
	b = append(b, i.DirectoryID[:]...)
	b = append(b, i.Process[:]...)
	b = append(b, flag(i.HasLog)|flag(i.Controller)<<1)
	return binary.BigEndian.AppendUint64(b, uint64(i.ClockMs))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

var errHello = errors.New("not a Hello of this version")

// readFrom passes over what a later version may add.
func (i *Identity) readFrom(b []byte) error {
	if len(b) < 2 {
		return errHello
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > maxHelloText || len(b) < 2+n+4+16+16+1+8 {
		return errHello
	}
	i.ClusterID, b = string(b[2:2+n]), b[2+n:]
	i.NodeID, b = int32(binary.BigEndian.Uint32(b)), b[4:]
	b = b[copy(i.DirectoryID[:], b):]
	b = b[copy(i.Process[:], b):]
	i.HasLog, i.Controller = b[0]&1 != 0, b[0]&2 != 0
	i.ClockMs = int64(binary.BigEndian.Uint64(b[1:]))
	return nil
}
