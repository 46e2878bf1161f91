package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gregor/test/server"
	zk "gregor/test/zookeeper"
)

// zkFilesOptions make snapshots often, so that a history leaves several.
var zkFilesOptions = []string{"snapCount=400", "extendedTypesEnabled=true"}

// zkDump walks the tree over the protocol and writes down all of it, as it is.
func zkDump(t *testing.T, s *zk.Server) (lines []string) {
	t.Helper()
	c, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, auth := range []string{"ann:secret", "super:secret"} {
		if m, err := c.Do(zk.Auth("digest", []byte(auth))); err != nil || m.Err != 0 {
			t.Fatal(m, err)
		}
	}
	var walk func(path string)
	walk = func(path string) {
		var names []string
		line := path
		for _, r := range []zk.Request{zk.Read(zk.OpGetData, path, false), zk.Named(zk.OpGetACL, path), zk.Read(zk.OpGetChildren, path, false)} {
			m, err := c.Do(r)
			if err != nil {
				t.Fatal(path, err)
			}
			line += fmt.Sprintf(" %d ", m.Err)
			if r.Op == zk.OpGetChildren {
				names = zk.Strings(m.Body)
				line += fmt.Sprintf("%q", names)
			} else {
				line += fmt.Sprintf("%x", m.Body)
			}
		}
		lines = append(lines, line)
		for _, name := range names {
			walk(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	walk("/")
	if m, err := c.Do(zk.Bare(zk.OpCloseSession)); err != nil || m.Err != 0 {
		t.Fatal(m, err)
	}
	return lines
}

// zkHistory plays random operations of two clients on a server, and leaves one of them connected, with nodes that are
// bound to its session.
func zkHistory(t *testing.T, s *zk.Server, seed uint64, ops int) (left *zk.Conn) {
	t.Helper()
	side := &side{t: t, server: s, conns: map[string]*zkConn{}}
	g := &zkRandom{side, rand.New(rand.NewPCG(seed, 1)), []string{"a", "b"}}
	for _, name := range g.names {
		side.connect(name, 10_000)
		side.do(name, zk.Auth("digest", []byte("ann:secret")))
	}
	for range ops {
		side.do(g.names[g.r.IntN(2)], g.write())
	}
	side.do("a", createOf(fmt.Sprintf("/left-%d", seed), zk.Ephemeral))
	side.do("b", createOf(fmt.Sprintf("/gone-%d", seed), zk.Ephemeral))
	side.do("a", zk.Multi(zk.OpMulti, create(fmt.Sprintf("/multi-%d", seed)), createOf(fmt.Sprintf("/multi-%d/e", seed), zk.EphemeralSequential), zk.Delete("/none", -1)))
	side.do("a", zk.Multi(zk.OpMulti, create(fmt.Sprintf("/multi-%d", seed)), createOf(fmt.Sprintf("/multi-%d/e", seed), zk.EphemeralSequential)))
	side.do("a", zk.Create(zk.OpCreate2, fmt.Sprintf("/anns-%d", seed), []byte("x"), []zk.ACL{entry(zk.PermAll, "auth", "")}, 0, 0))
	side.bye("b")
	return side.conns["a"].Conn
}

// TestZooKeeperFiles has a data directory change hands between our server and Apache's after kill -9, again and again.
// Each finds what the other left: every node with its stat, and the sessions.
func TestZooKeeperFiles(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	start := func(apache bool) *zk.Server {
		return zk.Start(t, zk.Options{Apache: apache || server.Apache(), Data: data, Extra: zkFilesOptions})
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var before []string
	var session *zk.Conn
	apache := false
	for round := range uint64(5) {
		s := start(apache)
		if before != nil {
			zkSame(t, fmt.Sprintf("round %d, opened by Apache: %v", round, apache), before, zkDump(t, s))
			c, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 10_000, Session: session.Session, Password: session.Password})
			if err != nil {
				t.Fatalf("round %d, Apache: %v: the session is lost: %v", round, apache, err)
			}
			if m, err := c.Do(zk.Bare(zk.OpCloseSession)); err != nil || m.Err != 0 {
				t.Fatal(m, err)
			}
			_ = c.Close()
			for _, line := range zkDump(t, s) {
				if strings.HasPrefix(line, fmt.Sprintf("/left-%d ", seed+round-1)) {
					t.Errorf("round %d: a node outlived its session: %s", round, line)
				}
			}
		}
		session = zkHistory(t, s, seed+round, 500)
		before = zkDump(t, s)
		s.Kill()
		apache = !apache
	}
	t.Logf("%d nodes at the end", len(before))
}

// TestZooKeeperDamage damages a data directory, and has both open a copy: they find the same.
func TestZooKeeperDamage(t *testing.T) {
	for _, apache := range []bool{false, true} {
		t.Run(map[bool]string{false: "written by ours", true: "written by Apache's"}[apache], func(t *testing.T) {
			root := t.TempDir()
			data := filepath.Join(root, "data")
			s := zk.Start(t, zk.Options{Apache: apache || server.Apache(), Data: data, Extra: zkFilesOptions})
			zkHistory(t, s, 7, 1100)
			s.Kill()
			for _, damage := range []struct {
				name string
				do   func(version2 string)
			}{
				{"torn log", func(dir string) { zkCut(t, zkNewest(t, dir, "log."), 400) }},
				{"empty snapshot", func(dir string) { zkTruncate(t, zkNewest(t, dir, "snapshot."), 0) }},
				// In the checksum itself: what Apache's read before it found a damage stays in its memory.
				{"snapshot with a wrong byte", func(dir string) { zkFlip(t, zkNewest(t, dir, "snapshot."), 10) }},
			} {
				var dumps [2][]string
				for i, apache := range []bool{false, true} {
					copied := filepath.Join(root, fmt.Sprint(damage.name, i))
					if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
						t.Fatal(err)
					}
					damage.do(filepath.Join(copied, "version-2"))
					opened := zk.Start(t, zk.Options{Apache: apache || server.Apache(), Data: copied, Extra: zkFilesOptions})
					dumps[i] = zkDump(t, opened)
					opened.Kill()
				}
				zkSame(t, damage.name, dumps[1], dumps[0])
				t.Logf("%s: %d nodes", damage.name, len(dumps[0]))
			}
		})
	}
}

func zkSame(t *testing.T, what string, want, got []string) {
	t.Helper()
	if slices.Equal(want, got) {
		return
	}
	shown := 0
	for _, one := range []struct {
		who      string
		its, not []string
	}{{"want", want, got}, {"got ", got, want}} {
		for _, line := range one.its {
			if shown++; !slices.Contains(one.not, line) && shown < 1000 {
				t.Errorf("%s, of %d nodes wanted and %d there:\n  %s %s", what, len(want), len(got), one.who, line)
				shown += 300
			}
		}
		shown = 0
	}
}

func zkNewest(t *testing.T, dir, prefix string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, prefix) && (len(n) > len(name) || len(n) == len(name) && n > name) {
			name = n
		}
	}
	if name == "" {
		t.Fatalf("no %s* in %s", prefix, dir)
	}
	return filepath.Join(dir, name)
}

// zkCut cuts bytes off what was written: what is preallocated behind it is zeros.
func zkCut(t *testing.T, file string, n int64) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	end := int64(len(b))
	for end > 0 && b[end-1] == 0 {
		end--
	}
	zkTruncate(t, file, max(0, end-n))
}

func zkTruncate(t *testing.T, file string, n int64) {
	t.Helper()
	if err := os.Truncate(file, n); err != nil {
		t.Fatal(err)
	}
}

func zkFlip(t *testing.T, file string, at int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-at] ^= 0xff
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
