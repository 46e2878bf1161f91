package admin

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn sends requests in exactly the version that the test says, which no client library does.
type conn struct {
	t    *testing.T
	net  net.Conn
	addr string
	next int32
}

func dial(t *testing.T, addr string) *conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &conn{t: t, net: c, addr: addr}
}

func (c *conn) ask(version int16, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	req.SetVersion(version)
	c.next++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.next)
	_ = c.net.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.net.Write(frame); err != nil {
		c.t.Fatal(err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c.net, head[:]); err != nil {
		c.t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.net, body); err != nil {
		c.t.Fatal(err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	r := kbin.Reader{Src: body}
	if id := r.Int32(); id != c.next {
		c.t.Fatalf("correlation id %d, want %d", id, c.next)
	}
	if resp.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		c.t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp
}

// script plays a scene and writes down the answers.
type script struct {
	*conn
	text strings.Builder
	ids  map[string]string // topic ids by their hex form
}

// say asks and writes the answer down.
func (s *script) say(what string, version int16, req kmsg.Request) kmsg.Response {
	s.t.Helper()
	resp := s.ask(version, req)
	fmt.Fprintf(&s.text, "%s v%d %s\n", kmsg.NameForKey(req.Key()), version, what)
	for _, line := range lines(s.t, tidy(toAny(s.t, resp)).(map[string]any)) {
		fmt.Fprintf(&s.text, "  %s\n", s.hide(line))
	}
	return resp
}

// hide replaces what differs from one broker to the next.
func (s *script) hide(text string) string {
	host, port, _ := net.SplitHostPort(s.addr)
	text = strings.NewReplacer(`"Host":"`+host+`"`, `"Host":"H"`, `"Port":`+port, `"Port":P`, ":"+port, ":P").Replace(text)
	for id, name := range s.ids {
		text = strings.ReplaceAll(text, id, name)
	}
	text = regexp.MustCompile(`"TopicID":"[0-9a-f]{32}"`).ReplaceAllString(text, `"TopicID":"new"`)
	text = regexp.MustCompile(`"ClusterID":"[^"]{22}"`).ReplaceAllString(text, `"ClusterID":"C"`)
	text = regexp.MustCompile(`"Dir":"[^"]*"`).ReplaceAllString(text, `"Dir":"D"`)
	text = regexp.MustCompile(`"(TotalBytes|UsableBytes)":[0-9]{3,}`).ReplaceAllString(text, `"$1":N`)
	return text
}

// lines writes an answer with each element of its lists, and of their lists of configurations, on a line of its own.
func lines(t *testing.T, answer map[string]any) []string {
	var all []string
	add := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	var lists []any
	for _, k := range slices.Sorted(maps.Keys(answer)) {
		if list, ok := answer[k].([]any); ok {
			lists = append(lists, list...)
			delete(answer, k)
		}
	}
	if len(answer) > 0 {
		add(answer)
	}
	for _, e := range lists {
		m, ok := e.(map[string]any)
		if !ok {
			add(e)
			continue
		}
		configs, _ := m["Configs"].([]any)
		delete(m, "Configs")
		add(m)
		for _, c := range configs {
			add(c)
		}
	}
	return all
}

func toAny(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var a any
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

// tidy leaves out what says nothing, names error codes, and puts lists without an order into one.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			switch k {
			case "UnknownTags", "Version", "ThrottleMillis", "Documentation":
				continue
			case "ErrorCode":
				n, _ := e.(json.Number).Int64()
				if n != 0 {
					out[k] = strings.TrimSpace(kerr.TypedErrorForCode(int16(n)).Message)
				}
				continue
			case "TopicID":
				if text := idText(e); strings.Trim(text, "0") != "" { // hide names those that are known
					out[k] = text
				}
				continue
			}
			if e = tidy(e); e != nil {
				out[k] = e
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, tidy(e))
		}
		slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(sortKey(a), sortKey(b)) })
		return out
	}
	return v
}

func sortKey(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	for _, k := range []string{"Topic", "Name", "ResourceName"} {
		if s, ok := m[k].(string); ok {
			return s
		}
	}
	if n, ok := m["Partition"].(json.Number); ok {
		return n.String()
	}
	return ""
}

func idText(v any) string {
	var b []byte
	list, _ := v.([]any)
	for _, e := range list {
		n, _ := e.(json.Number).Int64()
		b = append(b, byte(n))
	}
	return hex.EncodeToString(b)
}
