package interop

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gregor/test/server"
	"gregor/test/zookeeper"
)

// side is one of two servers that are given the same operations, with all that it says written down.
type side struct {
	t      *testing.T
	server *zookeeper.Server
	names  zookeeper.Names
	conns  map[string]*zkConn
	order  []string // of conns
	lines  []string
}

// zkConn is a client's connection; nil Conn when it has ended.
type zkConn struct {
	*zookeeper.Conn
	asked   map[int32][]int32 // xid -> op codes, in the order of the requests
	session int64
	pass    []byte
}

// barrier is the xid of a read that is sent to hear all that comes before its answer.
const barrier = 1 << 29

// zkPair starts our server and Apache's; with GREGOR_TARGET=apache both are Apache's.
func zkPair(t *testing.T, o zookeeper.Options) (ours, apache *zookeeper.Server) {
	t.Helper()
	o.Apache = server.Apache()
	ours = zookeeper.Start(t, o)
	o.Apache, o.Dir, o.Port = true, "", 0
	return ours, zookeeper.Start(t, o)
}

// compare plays a script on both and compares what they say.
func compare(t *testing.T, ours, apache *zookeeper.Server, script func(*side)) {
	t.Helper()
	a, b := play(t, ours, script), play(t, apache, script)
	if os.Getenv("GREGOR_TRANSCRIPT") != "" {
		t.Logf("Apache said:\n%s", strings.Join(b, "\n"))
	}
	differ(t, a, b)
}

func play(t *testing.T, server *zookeeper.Server, script func(*side)) []string {
	s := &side{t: t, server: server, conns: map[string]*zkConn{}}
	m := regexp.MustCompile(`Zxid: 0x([0-9a-f]+)`).FindStringSubmatch(server.Word(t, "srvr"))
	if m == nil {
		t.Fatal("srvr says no zxid")
	}
	s.names.Base, _ = strconv.ParseInt(m[1], 16, 64)
	script(s)
	for _, name := range s.order {
		if c := s.conns[name]; c.Conn != nil {
			s.bye(name)
		}
	}
	return s.lines
}

// differ reports the first lines that are not the same, with what led to them.
func differ(t *testing.T, ours, apache []string) {
	t.Helper()
	const shown = 6
	found := 0
	for i := 0; i < max(len(ours), len(apache)) && found < shown; i++ {
		a, b := "(nothing)", "(nothing)"
		if i < len(ours) {
			a = ours[i]
		}
		if i < len(apache) {
			b = apache[i]
		}
		if a == b {
			continue
		}
		found++
		asked := i
		for asked > 0 && asked < len(apache) && !strings.HasPrefix(apache[asked], ">") {
			asked--
		}
		before := strings.Join(apache[max(0, asked-4):min(i, len(apache))], "\n")
		t.Errorf("difference %d, line %d, after\n%s\n  ours:   %s\n  Apache: %s", found, i, before, a, b)
	}
	if found == 0 {
		t.Logf("%d lines are the same", len(ours))
	}
}

func (s *side) say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// connect begins a session of that name.
func (s *side) connect(name string, timeoutMs int32) {
	s.say("> %s connects, timeout %d", name, timeoutMs)
	c, err := zookeeper.Dial(s.server.Addr, zookeeper.Hello{TimeoutMs: timeoutMs})
	if err != nil {
		s.t.Fatalf("%s connects: %v", name, err)
	}
	if _, known := s.conns[name]; !known {
		s.order = append(s.order, name)
	}
	s.names.Session(c.Session, name)
	s.conns[name] = &zkConn{c, map[int32][]int32{}, c.Session, c.Password}
	s.t.Cleanup(func() { _ = c.Close() })
	s.say("  %s: timeout %d, password of %d bytes, read-only %v", name, c.TimeoutMs, len(c.Password), c.ReadOnly)
	s.settle()
}

// drop closes the connection and leaves the session.
func (s *side) drop(name string) {
	s.say("> %s drops its connection", name)
	if c := s.conns[name]; c.Conn != nil {
		_ = c.Close()
		c.Conn = nil
	}
}

// resume takes up the session on a new connection. The old one may still be there.
func (s *side) resume(name string, password []byte) {
	c := s.conns[name]
	if password == nil {
		password = c.pass
	}
	s.say("> %s resumes", name)
	old := c.Conn
	again, err := zookeeper.Dial(s.server.Addr, zookeeper.Hello{TimeoutMs: 20_000, Session: c.session, Password: password})
	if again != nil {
		s.t.Cleanup(func() { _ = again.Close() })
	}
	if err != nil {
		s.say("  %s: %v", name, err)
		if errors.Is(err, zookeeper.ErrSessionExpired) {
			s.say("  %s: session %d, password %x, timeout %d", name, again.Session, again.Password, again.TimeoutMs)
			_, err := again.Receive()
			s.say("  %s: ended %v", name, err != nil)
		}
		return
	}
	s.say("  %s: the same session %v, password %v, timeout %d", name, again.Session == c.session, string(again.Password) == string(c.pass), again.TimeoutMs)
	c.Conn = again
	if old != nil {
		_, err := old.Receive()
		s.say("  the old connection of %s ended: %v", name, err != nil)
	}
	s.settle()
}

// do sends an operation and waits for its reply; then every connection tells what came.
func (s *side) do(name string, r zookeeper.Request) { s.burst(name, r) }

// burst sends operations at once and waits for all their replies.
func (s *side) burst(name string, all ...zookeeper.Request) {
	c := s.conns[name]
	for _, r := range all {
		s.say("> %s %s", name, r.Text)
		s.send(name, r)
	}
	for range all {
		for c.Conn != nil && s.hear(name) != reply {
		}
	}
	s.settle()
}

// last does an operation that ends the connection.
func (s *side) last(name string, r zookeeper.Request) {
	s.say("> %s, for the last time, %s", name, r.Text)
	s.send(name, r)
	for c := s.conns[name]; c.Conn != nil; {
		s.hear(name)
	}
	s.settle()
}

func (s *side) send(name string, r zookeeper.Request) {
	c := s.conns[name]
	if c.Conn == nil {
		s.say("  %s: no connection", name)
		return
	}
	xid, err := c.Send(r)
	if err != nil {
		s.end(name, err)
		return
	}
	c.asked[xid] = append(c.asked[xid], r.Op)
}

// What hear heard.
const (
	reply = iota
	event
	passed // the barrier's answer
	ended
)

// hear reads one message and writes it down.
func (s *side) hear(name string) int {
	c := s.conns[name]
	m, err := c.Receive()
	if err != nil {
		s.end(name, err)
		return ended
	}
	switch {
	case m.Xid == barrier:
		return passed
	case m.Xid == zookeeper.XidEvent:
		s.say("  %s: %s", name, s.names.Text(0, m))
		return event
	}
	op := int32(0)
	if asked := c.asked[m.Xid]; len(asked) > 0 {
		op, c.asked[m.Xid] = asked[0], asked[1:]
	}
	s.say("  %s: %s", name, s.names.Text(op, m))
	return reply
}

func (s *side) end(name string, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.say("  %s: silence", name)
	} else {
		s.say("  %s: the connection ended", name)
	}
	c := s.conns[name]
	_ = c.Close()
	c.Conn = nil
}

// settle hears what each connection was sent until now.
func (s *side) settle() {
	for _, name := range s.order {
		if c := s.conns[name]; c.Conn != nil {
			body := *new(zookeeper.Builder).Int(barrier).Int(zookeeper.OpExists).Str("/zookeeper").Bool(false)
			if err := c.WriteFrame(body); err != nil {
				s.end(name, err)
			}
		}
	}
	for _, name := range s.order {
		for c := s.conns[name]; c.Conn != nil && s.hear(name) != passed; {
		}
	}
}

// await hears one event that comes by itself, as at the end of another's session.
func (s *side) await(name string) {
	s.say("> %s waits", name)
	defer s.sortEvents(len(s.lines))
	if s.conns[name].Conn != nil {
		s.hear(name)
	}
	s.settle()
}

// sortEvents sorts what one connection was told in a row, from a line on: Apache's server deletes the nodes of a session
// that ends in the order of a hash table.
func (s *side) sortEvents(from int) {
	kind := func(line string) string {
		name, rest, _ := strings.Cut(line, ": ")
		if strings.HasPrefix(rest, "event") {
			return name
		}
		return ""
	}
	for i := from; i < len(s.lines); {
		j := i + 1
		for k := kind(s.lines[i]); k != "" && j < len(s.lines) && kind(s.lines[j]) == k; j++ {
		}
		slices.Sort(s.lines[i:j])
		i = j
	}
}

// bye ends a session and its connection.
func (s *side) bye(name string) {
	s.say("> %s closes its session", name)
	defer s.sortEvents(len(s.lines))
	s.send(name, zookeeper.Bare(zookeeper.OpCloseSession))
	for c := s.conns[name]; c.Conn != nil; {
		s.hear(name)
	}
	s.settle()
}
