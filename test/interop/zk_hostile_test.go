package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	zk "gregor/test/zookeeper"
)

// TestZooKeeperHostile sends what no client sends, and compares what becomes of the connection. A client that was there
// before goes on.
func TestZooKeeperHostile(t *testing.T) {
	ours, apache := zkPair(t, zk.Options{})
	length := func(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
	framed := func(b []byte) []byte { return append(length(int32(len(b))), b...) }
	hello := func(version int32, zxid int64, timeout int32, session int64, password []byte) *zk.Builder {
		return new(zk.Builder).Int(version).Long(zxid).Int(timeout).Long(session).Bytes(password)
	}
	zeros := make([]byte, 16)
	cases := []struct {
		name    string
		greeted bool // after a session has begun
		bytes   []byte
	}{
		{"length -1 first", false, length(-1)},
		{"length of the smallest number", false, length(-1 << 31)},
		{"length 0", false, length(0)},
		{"a connect request over the limit", false, length(1 << 20)},
		{"2 GB", false, length(1<<31 - 1)},
		{"text", false, []byte("GET / HTTP/1.1\r\n\r\n")},
		{"a connect request of four bytes", false, framed([]byte{0, 0, 0, 0})},
		{"a password whose length lies", false, framed(*hello(0, 0, 5000, 0, nil).Int(1 << 20))},
		{"a negative password", false, framed(append((*hello(0, 0, 5000, 0, nil))[:24], length(-2)...))},
		{"no password", false, framed(*hello(0, 0, 5000, 0, nil))},
		{"an old client, without the read-only flag", false, framed(*hello(0, 0, 5000, 0, zeros))},
		{"a read-only client", false, framed(*hello(0, 0, 5000, 0, zeros).Bool(true))},
		{"a longer connect request", false, framed(append(*hello(0, 0, 5000, 0, zeros).Bool(false), 1, 2, 3))},
		{"protocol version 7", false, framed(*hello(7, 0, 5000, 0, zeros).Bool(false))},
		{"a client that has seen the future", false, framed(*hello(0, 1<<40, 5000, 0, zeros).Bool(false))},
		{"a session that never was", false, framed(*hello(0, 0, 5000, 0x1234567, zeros).Bool(false))},
		{"a session of a long password", false, framed(*hello(0, 0, 5000, 0x1234567, make([]byte, 100)).Bool(false))},
		{"length -1", true, length(-1)},
		{"length 0 in a session", true, length(0)},
		{"a frame over the limit", true, length(1 << 20)},
		{"a frame at the limit, of zeros", true, framed(make([]byte, 0xfffff))},
		{"half a header", true, framed([]byte{0, 0, 0, 1})},
		{"a header with xid of an event", true, framed(*new(zk.Builder).Int(-1).Int(zk.OpExists).Str("/").Bool(false))},
		{"xid of a ping, another operation", true, framed(*new(zk.Builder).Int(-2).Int(zk.OpGetChildren).Str("/none").Bool(false))},
		{"a connect request again", true, framed(*hello(0, 0, 5000, 0, zeros).Bool(false))},
		{"a four-letter word in a session", true, []byte("ruok")},
		{"a count of ACLs that lies", true, framed(*new(zk.Builder).Int(1).Int(zk.OpCreate).Str("/hostile").Bytes(nil).Int(1<<31 - 1))},
		{"a count of watches that lies", true, framed(*new(zk.Builder).Int(1).Int(zk.OpSetWatches).Long(0).Int(1<<31 - 1))},
		{"a multi without end", true, framed(*new(zk.Builder).Int(1).Int(zk.OpMulti).Int(zk.OpDelete).Bool(false).Int(-1).Str("/x").Int(-1))},
		{"a multi that ends twice", true, framed(*new(zk.Builder).Int(1).Int(zk.OpMulti).Int(-1).Bool(true).Int(-1).Int(-1).Bool(true).Int(-1))},
	}
	play := func(s *zk.Server) (lines []string) {
		witness, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		defer witness.Close()
		for _, c := range cases {
			lines = append(lines, fmt.Sprintf("%s: %s", c.name, zkFate(t, s, c.greeted, c.bytes)))
			if m, err := witness.Do(zk.Read(zk.OpExists, "/", false)); err != nil || m.Err != 0 {
				t.Errorf("%s: a client beside it: %+v, %v", c.name, m, err)
				return lines
			}
		}
		return lines
	}
	a, b := play(ours), play(apache)
	for _, line := range b {
		t.Log(line)
	}
	differ(t, a, b)
}

// zkFate tells what a server does with bytes: the shape of its answers, and whether the connection lives. A session asks
// something proper behind them to find that out.
func zkFate(t *testing.T, s *zk.Server, greeted bool, bytes []byte) (fate string) {
	raw, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := &zk.Conn{Conn: raw}
	if greeted {
		if c, err = zk.Dial(s.Addr, zk.Hello{TimeoutMs: 10_000}); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	const probe = 777
	doomed := false // Apache's server ends a connection for an unknown operation a moment after it said so
	ask := func() {
		_ = c.WriteFrame(*new(zk.Builder).Int(probe).Int(zk.OpExists).Str("/").Bool(false))
	}
	_, _ = c.Write(bytes) // the server may have ended it already
	if greeted {
		ask()
	}
	for {
		_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			return fate + "silence"
		} else if err != nil {
			return fate + "ended"
		}
		frame := make([]byte, min(binary.BigEndian.Uint32(head[:]), 1<<20))
		if _, err := io.ReadFull(c, frame); err != nil {
			return fate + "ended" // in the middle of an answer
		}
		switch {
		case !greeted:
			greeted = true
			fate += fmt.Sprintf("[connect response of %d bytes, timeout %d] ", len(frame), int32(binary.BigEndian.Uint32(frame[4:])))
			ask()
		case len(frame) < 16:
			fate += fmt.Sprintf("[%x] ", frame)
		case binary.BigEndian.Uint32(frame) == probe && doomed:
		case binary.BigEndian.Uint32(frame) == probe:
			return fate + "goes on"
		default:
			doomed = int32(binary.BigEndian.Uint32(frame[12:])) == -6
			fate += fmt.Sprintf("[xid %d, error %d, and %d bytes] ", int32(binary.BigEndian.Uint32(frame)), int32(binary.BigEndian.Uint32(frame[12:])), len(frame)-16)
		}
	}
}
