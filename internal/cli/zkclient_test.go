package cli

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/zookeeper"
	"gregor/internal/zookeeper/proto"
)

// zkEvents keeps what a watcher was told.
type zkEvents struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func newZkEvents() *zkEvents { return &zkEvents{more: make(chan struct{}, 100)} }

func (e *zkEvents) add(v zkEvent) {
	e.mu.Lock()
	e.all = append(e.all, strings.TrimPrefix(v.String(), "WatchedEvent "))
	e.mu.Unlock()
	e.more <- struct{}{}
}

func (e *zkEvents) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		e.mu.Lock()
		got := strings.Join(e.all, "\n")
		e.mu.Unlock()
		if strings.HasSuffix(got, want) {
			return
		}
		select {
		case <-e.more:
		case <-deadline:
			t.Fatalf("events\n%s\nwant at last\n%s", got, want)
		}
	}
}

func zkServer(t *testing.T, dir string, port int) *zookeeper.Server {
	t.Helper()
	s, err := zookeeper.Start(t.Context(), zookeeper.Config{DataDir: dir, ClientPortAddress: "localhost", ClientPort: port}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A server that is restarted has the session, its ephemeral nodes, and the client's watches again.
func TestZkClientComesBack(t *testing.T) {
	dir := t.TempDir()
	s := zkServer(t, dir, 0)
	_, text, _ := net.SplitHostPort(s.Addr().String())
	port, _ := strconv.Atoi(text)
	events := newZkEvents()
	c, err := dialZookeeper(t.Context(), "localhost:"+text, 30*time.Second, nil, events.add)
	if err != nil {
		t.Fatal(err)
	}
	call := func(req proto.Request) proto.Reply {
		t.Helper()
		for {
			reply, err := c.call(t.Context(), req)
			if err == nil {
				return reply
			}
			if err != proto.ConnectionLoss {
				t.Fatalf("%s: %v", req.Op(), err)
			}
		}
	}
	call(&proto.CreateRequest{Type: proto.OpCreate, Path: "/mine", ACL: proto.OpenACL(), Flags: proto.ModeEphemeral})
	call(&proto.GetDataRequest{Path: "/mine", Watch: true})
	c.watch(zkDataWatch, "/mine")
	call(&proto.AddWatchRequest{Path: "/", Mode: proto.WatchPersistent})
	c.watch(zkPersistentWatch, "/")
	call(&proto.AuthRequest{Scheme: "digest", Auth: []byte("u:p")})
	events.await(t, "state:SyncConnected type:None path:null")

	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events.await(t, "state:Disconnected type:None path:null")
	s = zkServer(t, dir, port)
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if r := call(&proto.WhoAmIRequest{}).(*proto.WhoAmIReply); len(r.IDs) != 2 {
		t.Errorf("after the restart the session is %v", r.IDs)
	}
	call(&proto.SetDataRequest{Path: "/mine", Version: -1})
	events.await(t, "state:SyncConnected type:None path:null\nstate:SyncConnected type:NodeDataChanged path:/mine")
	call(&proto.CreateRequest{Type: proto.OpCreate, Path: "/more", ACL: proto.OpenACL()})
	events.await(t, "state:SyncConnected type:NodeChildrenChanged path:/")
	if r := call(&proto.GetEphemeralsRequest{Prefix: "/"}).(*proto.ChildrenReply); len(r.Children) != 1 {
		t.Errorf("ephemeral nodes %v", r.Children)
	}
	c.close()
	events.await(t, "state:Closed type:None path:null")
	if _, err := c.call(t.Context(), &proto.WhoAmIRequest{}); err != errNotConnected {
		t.Errorf("after the end: %v", err)
	}
}

// A server that speaks something else, or nothing, is a lost connection, in bounded memory.
func TestZkClientBadServer(t *testing.T) {
	for name, answer := range map[string][]byte{
		"length": {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"large":  {0x03, 0xff, 0xff, 0xff, 1, 2, 3},
		"short":  {0, 0, 0, 2, 1, 2},
		"http":   []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"none":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write(answer)
					_ = conn.Close()
				}
			}()
			c, err := dialZookeeper(t.Context(), l.Addr().String(), time.Second, nil, func(zkEvent) {})
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if _, err := c.call(t.Context(), &proto.WhoAmIRequest{}); err != proto.ConnectionLoss {
				t.Errorf("%v, want a lost connection", err)
			}
		})
	}
}

func TestCheckPath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "/a/b": "", "/a.b": "", "/..a": "", "/a..": "", "/...": "", "/ä/€": "",
		"": "Path length must be > 0", "a": "Path must start with / character", "/a/": "Path must not end with / character",
		"//a": `Invalid path string "//a" caused by empty node name specified @1`, "/a//b": `Invalid path string "/a//b" caused by empty node name specified @3`,
		"/.": `Invalid path string "/." caused by relative paths not allowed @1`, "/a/../b": `Invalid path string "/a/../b" caused by relative paths not allowed @4`,
		"/a/./b": `Invalid path string "/a/./b" caused by relative paths not allowed @3`, "/a\x00": "Invalid path string \"/a\x00\" caused by null character not allowed @2",
		"/a\x1f": "Invalid path string \"/a\x1f\" caused by invalid character @2", "/😀": `Invalid path string "/😀" caused by invalid character @1`,
	} {
		got := ""
		if err := checkPath(path); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

func TestZkWords(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, "  ": nil, "ls /": {"ls", "/"}, `create /a "two words" 'and more'`: {"create", "/a", "two words", "and more"},
		`set /a ""`: {"set", "/a", ""}, "  ls\t-s  /a ": {"ls", "-s", "/a"}, `set /a {"k":1}`: {"set", "/a", `{"k":1}`},
	} {
		got := zkWords(line)
		if strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
