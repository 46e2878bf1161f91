package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"gregor/test/reference"
	"gregor/test/server"
	"gregor/test/zookeeper"
)

// kazooVersion is the one that is installed, once, beside the jars of the reference.
const kazooVersion = "2.11.0"

// kazoo returns a python that has it.
func kazoo(t *testing.T) string {
	t.Helper()
	home, err := reference.Home()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "kazoo-"+kazooVersion)
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return python
	}
	for _, line := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "kazoo==" + kazooVersion},
	} {
		if out, err := exec.CommandContext(t.Context(), line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v (Python 3 with venv is needed)\n%s", strings.Join(line, " "), err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

// TestKazoo runs kazoo's recipes against our server and Apache's, and compares what they print.
func TestKazoo(t *testing.T) {
	python := kazoo(t)
	ours, apache := zkPair(t, zookeeper.Options{})
	run := func(s *zookeeper.Server) []string {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, python, "python/kazoo_recipes.py", s.Addr).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", s.Addr, err, out)
		}
		return strings.Split(string(out), "\n")
	}
	differ(t, run(ours), run(apache))
}

// goClient is go-zookeeper's, with its events.
func goClient(t *testing.T, addr string) (*zk.Conn, <-chan zk.Event) {
	t.Helper()
	c, events, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	awaitState(t, events, zk.StateHasSession)
	return c, events
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func awaitState(t *testing.T, events <-chan zk.Event, want zk.State) {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case e := <-events:
			if e.Type == zk.EventSession && e.State == want {
				return
			}
		case <-deadline:
			t.Fatalf("%v does not come", want)
		}
	}
}

// TestGoZooKeeper uses go-zookeeper, which our brokers use, as its users do: locks, multis, watches, and a session that
// lives through a kill -9 of the server.
func TestGoZooKeeper(t *testing.T) {
	s := zookeeper.Start(t, zookeeper.Options{Apache: server.Apache()})
	a, events := goClient(t, s.Addr)
	b, _ := goClient(t, s.Addr)
	open := zk.WorldACL(zk.PermAll)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Create("/go", nil, 0, open))

	// Nobody is in a lock twice.
	var inside, most, entered int
	var work sync.WaitGroup
	for range 4 {
		c, _ := goClient(t, s.Addr)
		work.Go(func() {
			for range 5 {
				l := zk.NewLock(c, "/go/lock", open)
				if err := l.Lock(); err != nil {
					t.Error(err)
					return
				}
				inside++
				most = max(most, inside)
				entered++
				inside--
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if most != 1 || entered != 20 {
		t.Errorf("%d at once in the lock, %d in all", most, entered)
	}

	if _, err := a.Multi(&zk.CreateRequest{Path: "/go/m", Acl: open}, &zk.SetDataRequest{Path: "/go/m", Data: []byte("1"), Version: 0}, &zk.CheckVersionRequest{Path: "/go/m", Version: 1}); err != nil {
		t.Error(err)
	}
	results, err := a.Multi(&zk.DeleteRequest{Path: "/go/m", Version: -1}, &zk.CheckVersionRequest{Path: "/go", Version: 5}, &zk.DeleteRequest{Path: "/go/none", Version: -1})
	codes := ""
	for _, r := range results {
		codes += fmt.Sprint(r.Error, "; ")
	}
	if err != zk.ErrBadVersion || codes != "<nil>; zk: version conflict; zk: unknown error: -2; " && codes != "<nil>; zk: version conflict; unknown error: -2; " {
		t.Errorf("a multi that fails: %v: %s", err, codes)
	}

	// The session and its nodes live through the restart, and so do watches: the client sets them again.
	must(a.Create("/go/e", nil, zk.FlagEphemeral, open))
	_, _, there, err := a.GetW("/go/m")
	must(nil, err)
	_, _, children, err := a.ChildrenW("/go")
	must(nil, err)
	_, _, notThere, err := a.ExistsW("/go/later")
	must(nil, err)
	session := a.SessionID()
	s.Kill()
	awaitState(t, events, zk.StateDisconnected)
	s.Restart(t)
	awaitState(t, events, zk.StateHasSession)
	if a.SessionID() != session {
		t.Errorf("the session was %#x and is %#x", session, a.SessionID())
	}
	change := func(f func() error) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			err := f()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	change(func() error { _, stat, err := b.Exists("/go/e"); _ = stat; return err })
	if ok, stat, err := b.Exists("/go/e"); err != nil || !ok || stat.EphemeralOwner != session {
		t.Errorf("the session's node: %v, %+v, %v", ok, stat, err)
	}
	change(func() error { _, err := b.Set("/go/m", []byte("after"), -1); return err })
	change(func() error { _, err := b.Create("/go/later", nil, 0, open); return err })
	var heard []string
	for _, ch := range []<-chan zk.Event{there, children, notThere} {
		select {
		case e := <-ch:
			heard = append(heard, fmt.Sprint(e.Type, " ", e.Path))
		case <-time.After(30 * time.Second):
			t.Fatalf("a watch did not fire; heard %q", heard)
		}
	}
	if want := []string{"EventNodeDataChanged /go/m", "EventNodeChildrenChanged /go", "EventNodeCreated /go/later"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
	a.Close()
	change(func() error {
		ok, _, err := b.Exists("/go/e")
		if err == nil && ok {
			err = fmt.Errorf("the node outlived its session")
		}
		return err
	})
}
