package forward

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"gregor/internal/controller"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientID is how the broker calls itself at a controller.
const clientID = "gregor-forwarder"

// own reports whether a request is one that brokers and controllers make for themselves. Those go as they are; controllers
// refuse them in an Envelope.
func own(req kmsg.Request) bool {
	switch req.(type) {
	case *kmsg.BrokerRegistrationRequest, *kmsg.BrokerHeartbeatRequest, *kmsg.AlterPartitionRequest, *kmsg.AllocateProducerIDsRequest,
		*kmsg.AssignReplicasToDirsRequest, *kmsg.ControllerRegistrationRequest, *kmsg.UpdateRaftVoterRequest:
		return true
	}
	return false
}

// wrap puts a client's request into an Envelope (KIP-590): the request with its header and without its length, as it would
// have come from the client, who the client is, and where.
func wrap(from controller.Caller, req kmsg.Request) *kmsg.EnvelopeRequest {
	e := kmsg.NewPtrEnvelopeRequest()
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(from.ClientID)).AppendRequest(nil, req, 0)
	e.RequestData = frame[4:]
	e.RequestPrincipal = appendPrincipal(nil, from.Principal)
	e.ClientHostAddress = hostAddress(from.ClientHost)
	return e
}

// offsetTag is a tagged field of our own in an Envelope's answer: up to where the metadata log has to be applied before the
// client is answered, so that it finds what it changed on the broker that tells it so. Apache Kafka leaves tags that it does
// not know alone; there a client may have to look twice.
const offsetTag = 26484

// SetOffset puts the controller's metadata offset into an answer.
func SetOffset(e *kmsg.EnvelopeResponse, offset int64) {
	e.UnknownTags.Set(offsetTag, binary.BigEndian.AppendUint64(nil, uint64(offset)))
}

// offsetOf is what SetOffset put there; -1 if nothing.
func offsetOf(e *kmsg.EnvelopeResponse) int64 {
	offset := int64(-1)
	e.UnknownTags.Each(func(key uint32, b []byte) {
		if key == offsetTag && len(b) == 8 {
			offset = int64(binary.BigEndian.Uint64(b))
		}
	})
	return offset
}

// unwrap reads the answer to req. An error of the Envelope itself is a *kerr.Error; any other error is bytes that cannot be
// read.
func unwrap(req kmsg.Request, e *kmsg.EnvelopeResponse) (kmsg.Response, error) {
	if err := kerr.ErrorForCode(e.ErrorCode); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	b := e.ResponseData
	if len(b) < 4 {
		return nil, fmt.Errorf("response of %d bytes in an Envelope", len(b))
	}
	b = b[4:] // the correlation id, which is ours
	if resp.IsFlexible() {
		rest, err := wire.SkipTags(b)
		if err != nil {
			return nil, fmt.Errorf("response in an Envelope: %w", err)
		}
		b = rest
	}
	_, err := wire.ResponseShapes().Check(req.Key(), req.GetVersion(), b)
	if err == nil {
		err = resp.ReadFrom(b)
	}
	if err != nil {
		return nil, fmt.Errorf("response to %s in an Envelope: %w", kmsg.NameForKey(req.Key()), err)
	}
	return resp, nil
}

// appendPrincipal writes "Type:name" as Kafka's DefaultKafkaPrincipalBuilder does: DefaultPrincipalData version 0 behind
// that version.
func appendPrincipal(b []byte, principal string) []byte {
	kind, name, ok := strings.Cut(principal, ":")
	if !ok {
		kind, name = "User", principal
	}
	b = append(b, 0, 0)
	b = appendCompact(b, kind)
	b = appendCompact(b, name)
	return append(b, 0, 0) // not authenticated by token; no tags
}

func appendCompact(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...)
}

// hostAddress is the four or sixteen bytes of "/127.0.0.1"; those of the loopback where nobody asks for a client.
func hostAddress(host string) []byte {
	a, err := netip.ParseAddr(strings.TrimPrefix(host, "/"))
	if err != nil {
		return []byte{127, 0, 0, 1}
	}
	return a.Unmap().WithZone("").AsSlice()
}

// Sender is on whose behalf an Envelope comes. What cannot be read is a *kerr.Error, as Kafka's controllers answer it.
func Sender(e *kmsg.EnvelopeRequest) (principal, clientHost string, err error) {
	addr, ok := netip.AddrFromSlice(e.ClientHostAddress)
	if !ok {
		return "", "", kerr.InvalidRequest
	}
	if principal, ok = readPrincipal(e.RequestPrincipal); !ok {
		return "", "", kerr.PrincipalDeserializationFailure
	}
	return principal, "/" + addr.String(), nil
}

func readPrincipal(b []byte) (string, bool) {
	if len(b) < 2 || b[0] != 0 || b[1] != 0 {
		return "", false
	}
	kind, b, ok := readCompact(b[2:])
	if !ok {
		return "", false
	}
	name, b, ok := readCompact(b)
	if !ok || len(b) < 2 { // whether by token, tags
		return "", false
	}
	return kind + ":" + name, true
}

// readCompact reads a compact string of at most 32767 bytes, as all of Kafka's are.
func readCompact(b []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n == 0 || n > 1<<15 || n-1 > uint64(len(b)-size) {
		return "", nil, false
	}
	b = b[size:]
	return string(b[:n-1]), b[n-1:], true
}
