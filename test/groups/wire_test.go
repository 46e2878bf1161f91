package groups

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long a reply may take. quick is how long one is waited for that should not come yet; slow is the same on
// a machine that had no time for the broker: whoever judges by quick alone takes a late reply for none.
const (
	patience = 20 * time.Second
	quick    = 150 * time.Millisecond
	slow     = 10 * quick
)

// conn is one connection, which sends requests in the version asked for, without the help that a client library gives.
type conn struct {
	t      testing.TB
	net    net.Conn
	format *kmsg.RequestFormatter
	id     int32
	quick  time.Duration
}

func dial(t testing.TB, addr string, quick time.Duration) *conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &conn{t: t, net: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")), quick: quick}
}

// call is a request whose reply is awaited.
type call struct {
	c    *conn
	resp kmsg.Response
}

// send writes a request.
func (c *conn) send(version int16, req kmsg.Request) call {
	c.t.Helper()
	req.SetVersion(version)
	c.id++
	_ = c.net.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.net.Write(c.format.AppendRequest(nil, req, c.id)); err != nil {
		c.t.Fatalf("send %T v%d: %v", req, version, err)
	}
	return call{c, req.ResponseKind()}
}

// waits tells whether there is no reply yet.
func (p call) waits() bool {
	_ = p.c.net.SetReadDeadline(time.Now().Add(p.c.quick))
	var size [4]byte
	n, err := io.ReadFull(p.c.net, size[:])
	if err == nil || n > 0 {
		p.c.net = &prefixed{Conn: p.c.net, head: size[:n]}
		return false
	}
	return true
}

// prefixed gives back what was read too early.
type prefixed struct {
	net.Conn
	head []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// reply reads the reply.
func (p call) reply() kmsg.Response {
	t := p.c.t
	t.Helper()
	_ = p.c.net.SetReadDeadline(time.Now().Add(patience))
	var size [4]byte
	if _, err := io.ReadFull(p.c.net, size[:]); err != nil {
		t.Fatalf("no reply %T v%d: %v", p.resp, p.resp.GetVersion(), err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(p.c.net, body); err != nil {
		t.Fatalf("short reply %T: %v", p.resp, err)
	}
	body = body[4:]
	if p.resp.IsFlexible() {
		body = body[1:] // no tags in the header
	}
	if err := p.resp.ReadFrom(body); err != nil {
		t.Fatalf("reply %T v%d: %v", p.resp, p.resp.GetVersion(), err)
	}
	return p.resp
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// transcript is what a broker answered, with what differs from run to run left out.
type transcript struct {
	text  strings.Builder
	uuids map[string]string
	hide  *strings.Replacer // the broker's own names
}

func (t *transcript) note(format string, args ...any) {
	fmt.Fprintf(&t.text, format+"\n", args...)
}

func (t *transcript) reply(what string, r kmsg.Response) {
	t.order(r)
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	s := uuid.ReplaceAllStringFunc(string(b), func(u string) string {
		if t.uuids[u] == "" {
			t.uuids[u] = fmt.Sprintf("uuid%d", len(t.uuids)+1)
		}
		return t.uuids[u]
	})
	s = strings.ReplaceAll(s, `,"UnknownTags":{}`, "")
	s = strings.ReplaceAll(s, `"Version":`+fmt.Sprint(r.GetVersion())+",", "")
	s = strings.ReplaceAll(s, `"ThrottleMillis":0,`, "")
	t.note("%s v%d -> %s", what, r.GetVersion(), t.hide.Replace(s))
}

// order sorts what a broker may answer in any order, and drops what it may word as it likes.
func (t *transcript) order(r kmsg.Response) {
	switch r := r.(type) {
	case *kmsg.JoinGroupResponse:
		slices.SortFunc(r.Members, func(a, b kmsg.JoinGroupResponseMember) int {
			return strings.Compare(t.name(a.MemberID), t.name(b.MemberID))
		})
	case *kmsg.DescribeGroupsResponse:
		for _, g := range r.Groups {
			slices.SortFunc(g.Members, func(a, b kmsg.DescribeGroupsResponseGroupMember) int {
				return strings.Compare(t.name(a.MemberID), t.name(b.MemberID))
			})
		}
		slices.SortFunc(r.Groups, func(a, b kmsg.DescribeGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			slices.SortFunc(t.Partitions, func(a, b kmsg.OffsetCommitResponseTopicPartition) int { return int(a.Partition - b.Partition) })
		}
	case *kmsg.FindCoordinatorResponse:
		// The texts of errors are everybody's own.
		if r.ErrorCode != 0 {
			r.ErrorMessage = nil
		}
		for i := range r.Coordinators {
			if r.Coordinators[i].ErrorCode != 0 {
				r.Coordinators[i].ErrorMessage = nil
			}
		}
	case *kmsg.DeleteGroupsResponse:
		slices.SortFunc(r.Groups, func(a, b kmsg.DeleteGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	}
}

// name replaces a UUID that was seen before by the number it got, or by the last.
func (t *transcript) name(id string) string {
	return uuid.ReplaceAllStringFunc(id, func(u string) string {
		if n := t.uuids[u]; n != "" {
			return n
		}
		return "~"
	})
}
