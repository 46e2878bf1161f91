package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gregor/internal/zookeeper/proto"
)

// TestInUse refuses a second server on the same port or directory, and says who is there.
func TestInUse(t *testing.T) {
	c := testConfig()
	c.DataDir = t.TempDir()
	a, err := Start(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	if _, err := Start(t.Context(), c, nil); !errors.Is(err, ErrDirInUse) || !strings.Contains(err.Error(), c.DataDir+" is held by") {
		t.Error(err)
	}
	other := c
	other.DataDir, other.ClientPort = t.TempDir(), a.Addr().(*net.TCPAddr).Port
	if _, err := Start(t.Context(), other, nil); !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), "another clientPort") {
		t.Error(err)
	}
	other.ClientPort = 0 // its directory is free again
	b, err := Start(t.Context(), other, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(context.Background()); err != nil || b.Err() != nil {
		t.Error(err, b.Err())
	}
	other.DataDir = filepath.Join(other.DataDir, "file")
	if err := os.WriteFile(other.DataDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), other, nil); err == nil || !strings.Contains(err.Error(), "dataDir") {
		t.Error(err)
	}
	if _, err := Start(t.Context(), Config{}, nil); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestSnapshots writes so much that snapshots are taken and old files purged, while clients go on; a start reads the
// last one.
func TestSnapshots(t *testing.T) {
	for _, gzip := range []bool{false, true} {
		ts := newServer(t, func(c *Config) {
			c.SnapCount, c.PurgeInterval, c.SnapshotGzip = 200, 10*time.Millisecond, gzip
			c.DataLogDir = "/zklog"
		})
		p := ts.session(60000)
		p.must(create("/big", strings.Repeat("x", 300_000))) // more than a chunk
		p.must(create("/t", ""))
		enough := int64(6)
		if gzip {
			enough = 1 // it takes longer
		}
		for i := 0; i < 1000 || ts.counters.snapshots.Load() < enough; i += 100 {
			var b []byte
			for k := range 100 {
				b = p.encode(b, create(fmt.Sprintf("/t/n%d", i+k), "some data"))
				if k%3 == 2 {
					b = p.encode(b, &proto.DeleteRequest{Path: fmt.Sprintf("/t/n%d", i+k-1), Version: -1})
				}
			}
			if _, err := p.Write(b); err != nil {
				t.Fatal(err)
			}
			for range 133 {
				if h, _ := p.receive(); h.Err != proto.OK {
					t.Fatal(h)
				}
			}
		}
		names := func() []string { return append(ts.files("/zk/version-2"), ts.files("/zklog/version-2")...) }
		eventually(t, "old files are purged", func() bool {
			n := names()
			return gzip || !slices.Contains(n, "log.1") && !slices.Contains(n, "snapshot.0")
		})
		want := p.must(&proto.GetChildrenRequest{Type: proto.OpGetChildren2, Path: "/t"})
		for i, restart := range []func(){ts.crash, ts.restart, ts.crash} {
			restart()
			if ts.counters.digestMismatches.Load() != 0 {
				t.Error("digests differ", i)
			}
			p = ts.session(60000)
			if got := p.must(&proto.GetChildrenRequest{Type: proto.OpGetChildren2, Path: "/t"}); string(got) != string(want) {
				t.Errorf("restart %d: %d bytes instead of %d", i, len(got), len(want))
			}
		}
		if gzip && !slices.ContainsFunc(names(), func(n string) bool { return strings.HasSuffix(n, ".gz") }) {
			t.Error(names())
		}
	}
}

func (ts *testServer) files(dir string) (names []string) {
	entries, err := ts.disk.ReadDir(dir)
	if err != nil {
		ts.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestContainers deletes containers when they are empty, and nodes whose time is over.
func TestContainers(t *testing.T) {
	ts := newServer(t, func(c *Config) { c.ContainerInterval = 20 * time.Millisecond })
	p := ts.session(60000)
	container := create("/c", "")
	container.Type, container.Flags = proto.OpCreateContainer, proto.ModeContainer
	p.must(container)
	ttl := create("/ttl", "")
	ttl.Type, ttl.Flags, ttl.TTLMs = proto.OpCreateTTL, proto.ModePersistentTTL, 30
	p.must(ttl)
	p.must(create("/c/child", ""))
	eventually(t, "the node's time is over", func() bool {
		h, _ := p.do(exists("/ttl", false))
		return h.Err == proto.NoNode
	})
	p.must(exists("/c", false))
	p.must(&proto.DeleteRequest{Path: "/c/child", Version: -1})
	eventually(t, "the empty container goes", func() bool {
		h, _ := p.do(exists("/c", false))
		return h.Err == proto.NoNode
	})
	ts.crash()
	p = ts.session(60000)
	if h, _ := p.do(exists("/c", false)); h.Err != proto.NoNode {
		t.Error("it is back")
	}
}

// TestMissingLog refuses a directory that a transaction is missing from.
func TestMissingLog(t *testing.T) {
	ts := newServer(t)
	for range 3 {
		ts.session(60000).must(create(fmt.Sprintf("/n%d", time.Now().UnixNano()), ""))
		ts.restart()
	}
	if err := ts.stop(); err != nil {
		t.Fatal(err)
	}
	if err := ts.disk.Remove("/zk/version-2/log.3"); err != nil {
		t.Fatal(err, ts.files("/zk/version-2"))
	}
	_, err := start(t.Context(), ts.cfg, nil, ts.fs)
	if err == nil || !strings.Contains(err.Error(), "transactions are missing: 0x5 follows 0x2") {
		t.Fatal(err)
	}
}

// TestApachesFiles opens a directory that Apache ZooKeeper 3.8.4 wrote: a snapshot, and a log behind it, whose digests
// it compares.
func TestApachesFiles(t *testing.T) {
	c := testConfig()
	c.DataDir = t.TempDir()
	if err := os.CopyFS(c.DataDir, os.DirFS("testdata/apache-3.8.4")); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{Server: s, t: t}
	defer ts.stop()
	p := ts.session(60000)
	if got := proto.NewDecoder(p.must(&proto.GetDataRequest{Path: "/a"})).Buffer(); string(got) != "hello" {
		t.Errorf("%q", got)
	}
	if got := proto.NewDecoder(p.must(&proto.GetDataRequest{Path: "/fromapache"})).Buffer(); string(got) != strings.Repeat("z", 3000) {
		t.Errorf("%q", got)
	}
	if got := ts.word("mntr"); !strings.Contains(got, "zk_digest_mismatches_count\t0\n") || !strings.Contains(got, "zk_znode_count\t7\n") {
		t.Error(got)
	}
}

// TestLargeThings has paths and data larger than is common, which a restart must read from a snapshot and from the log.
func TestLargeThings(t *testing.T) {
	ts := newServer(t, func(c *Config) { c.MaxBufferBytes, c.SnapCount = 8<<20, 4 })
	p := ts.session(60000)
	paths := []string{"/" + strings.Repeat("p", 3<<20), "/big", "/empty"}
	p.must(create(paths[0], ""))
	p.must(create(paths[1], strings.Repeat("d", 4<<20)))
	p.must(create(paths[2], ""))
	eventually(t, "a snapshot is written", func() bool { return ts.counters.snapshots.Load() > 0 })
	p.must(create("/last", strings.Repeat("l", 5<<20)))
	for _, restart := range []func(){ts.crash, ts.restart} {
		restart()
		p = ts.session(60000)
		for i, want := range []int{0, 4 << 20, 0} {
			if got := proto.NewDecoder(p.must(&proto.GetDataRequest{Path: paths[i]})).Buffer(); len(got) != want {
				t.Errorf("%d bytes, want %d", len(got), want)
			}
		}
		if got := proto.NewDecoder(p.must(&proto.GetDataRequest{Path: "/last"})).Buffer(); len(got) != 5<<20 {
			t.Error(len(got))
		}
		if ts.logs.has("cannot be used") {
			t.Error("the snapshot was not read")
		}
	}
}
