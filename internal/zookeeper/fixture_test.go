package zookeeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// testServer is a server on a disk in memory.
type testServer struct {
	*Server
	t    *testing.T
	disk *vfs.Mem
	fs   vfs.FS
	off  *atomic.Bool // the disk has no power
	slow atomic.Bool  // a sync takes a millisecond
	cfg  Config
	logs *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func testConfig() Config {
	return Config{DataDir: "/zk", ClientPortAddress: "127.0.0.1", TickTime: 100 * time.Millisecond, MinSessionTimeout: 200 * time.Millisecond,
		MaxSessionTimeout: time.Minute, PreAllocBytes: 1 << 20, ExtendedTypes: true, Whitelist: []string{"*"}}
}

func newServer(t *testing.T, change ...func(*Config)) *testServer {
	ts := &testServer{t: t, cfg: testConfig(), logs: &logBuffer{}}
	ts.powered(vfs.NewMem(nil))
	for _, f := range change {
		f(&ts.cfg)
	}
	ts.start()
	t.Cleanup(func() { ts.stop() })
	return ts
}

func (ts *testServer) start() {
	ts.t.Helper()
	s, err := start(context.Background(), ts.cfg, slog.New(slog.NewTextHandler(ts.logs, nil)), ts.fs)
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.Server = s
}

func (ts *testServer) stop() error {
	ts.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return ts.Close(ctx)
}

func (ts *testServer) restart() {
	ts.t.Helper()
	if err := ts.stop(); err != nil {
		ts.t.Fatal(err)
	}
	ts.start()
}

// powered lets the next start work on a disk that crash can take the power from.
func (ts *testServer) powered(disk *vfs.Mem) {
	off := &atomic.Bool{}
	ts.disk, ts.off = disk, off
	ts.fs = &vfs.Fault{FS: disk, Hook: func(op vfs.Op, _ string) error {
		if off.Load() && op.Changes() {
			return errPower
		}
		if op == vfs.OpSync && ts.slow.Load() {
			<-time.After(time.Millisecond)
		}
		return nil
	}}
}

var errPower = errors.New("power failure")

// crash takes the power away, and starts the server on what is left.
func (ts *testServer) crash() {
	ts.t.Helper()
	ts.off.Store(true)
	_ = ts.stop()
	ts.powered(ts.disk.Crash(nil))
	ts.start()
}

// client is one of go-zookeeper's.
func (ts *testServer) client(timeout time.Duration) *zk.Conn {
	ts.t.Helper()
	c, events, err := zk.Connect([]string{ts.Addr().String()}, timeout, zk.WithLogger(quiet{}), zk.WithLogInfo(false))
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(c.Close)
	deadline := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-deadline:
			ts.t.Fatal("no session")
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// peer is a client that sends what a test says.
type peer struct {
	net.Conn
	t         *testing.T
	xid       int32
	timeoutMs int32
	session   int64
	password  []byte
}

func (ts *testServer) dial() *peer {
	ts.t.Helper()
	nc, err := net.Dial("tcp", ts.Addr().String())
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &peer{Conn: nc, t: ts.t}
}

// session opens a session.
func (ts *testServer) session(timeoutMs int32) *peer {
	ts.t.Helper()
	p := ts.dial()
	if r := p.connect(proto.ConnectRequest{TimeoutMs: timeoutMs, Password: make([]byte, 16)}); r.SessionID == 0 {
		ts.t.Fatal("no session")
	}
	return p
}

func (p *peer) connect(r proto.ConnectRequest) proto.ConnectResponse {
	p.t.Helper()
	p.frame(r.Append(nil))
	b, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := proto.DecodeConnectResponse(b)
	if err != nil {
		p.t.Fatal(err)
	}
	p.session, p.password, p.timeoutMs = resp.SessionID, bytes.Clone(resp.Password), resp.TimeoutMs
	return resp
}

func (p *peer) frame(b []byte) {
	p.t.Helper()
	if _, err := p.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		p.t.Fatal(err)
	}
}

// encode is a request as a frame.
func (p *peer) encode(b []byte, r proto.Request) []byte {
	p.xid++
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = r.Append(proto.RequestHeader{Xid: p.xid, Op: r.Op()}.Append(b))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func (p *peer) send(r proto.Request) {
	p.t.Helper()
	if _, err := p.Write(p.encode(nil, r)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p, b)
	return b, err
}

// receive reads an answer or an event.
func (p *peer) receive() (proto.ReplyHeader, []byte) {
	p.t.Helper()
	b, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	d := proto.NewDecoder(b)
	return d.ReplyHeader(), d.Rest()
}

// do sends a request and waits for the answer.
func (p *peer) do(r proto.Request) (proto.ReplyHeader, []byte) {
	p.t.Helper()
	p.send(r)
	h, body := p.receive()
	if h.Xid != p.xid {
		p.t.Fatalf("the answer to %d has the xid %d", p.xid, h.Xid)
	}
	return h, body
}

func (p *peer) must(r proto.Request) []byte {
	p.t.Helper()
	h, body := p.do(r)
	if h.Err != proto.OK {
		p.t.Fatalf("%s: %v", r.Op(), h.Err)
	}
	return body
}

// closed waits until the server has closed the connection, and fails if it sends something before.
func (p *peer) closed() {
	p.t.Helper()
	if b, err := p.read(); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		p.t.Fatalf("the connection is open: %x, %v", b, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func create(path, data string) *proto.CreateRequest {
	return &proto.CreateRequest{Type: proto.OpCreate, Path: path, Data: []byte(data), ACL: proto.OpenACL()}
}

func ephemeral(path string) *proto.CreateRequest {
	r := create(path, "")
	r.Flags = proto.ModeEphemeral
	return r
}

func exists(path string, watch bool) *proto.ExistsRequest {
	return &proto.ExistsRequest{Path: path, Watch: watch}
}

func setData(path, data string) *proto.SetDataRequest {
	return &proto.SetDataRequest{Path: path, Data: []byte(data), Version: -1}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// word asks a four-letter word.
func (ts *testServer) word(w string) string {
	ts.t.Helper()
	p := ts.dial()
	defer p.Close()
	if _, err := io.WriteString(p, w); err != nil {
		ts.t.Fatal(err)
	}
	b, err := io.ReadAll(p)
	if err != nil {
		ts.t.Fatal(err)
	}
	return string(b)
}
