package zookeeper

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gregor/test/reference"
	"gregor/test/server"
)

// Any is the ZooKeeper that a suite of brokers runs on: ours, or what GREGOR_ZOOKEEPER says: "apache" is Apache's,
// "ensemble" three of Apache's.
type Any struct {
	Connect string // zookeeper.connect

	one *Server
	all *reference.Ensemble
}

// StartAny starts it; it ends with the test.
func StartAny(t testing.TB) *Any {
	t.Helper()
	switch which := os.Getenv("GREGOR_ZOOKEEPER"); which {
	case "", "apache":
		one := Start(t, Options{Apache: which == "apache"})
		return &Any{Connect: one.Addr, one: one}
	case "ensemble":
		k, err := reference.Fetch(t.Context(), reference.VersionZooKeeper)
		if err != nil {
			t.Fatal(err)
		}
		all, err := k.StartEnsemble(t.Context(), 3, reference.ZooKeeperOptions{Dir: t.TempDir(), Port: server.FreePorts(t, 9), Heap: "128m"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(all.Kill)
		return &Any{Connect: strings.Join(all.Addrs(), ","), all: all}
	default:
		t.Fatalf("GREGOR_ZOOKEEPER=%s: expected nothing, apache or ensemble", which)
		return nil
	}
}

// Kill ends every server at once, as a crash does.
func (a *Any) Kill() {
	if a.one != nil {
		a.one.Kill()
		return
	}
	a.all.Kill()
}

// Restart starts them again after Kill, and returns when they serve.
func (a *Any) Restart(t testing.TB) {
	t.Helper()
	if a.one != nil {
		a.one.Restart(t)
		return
	}
	for i := range a.all.Nodes {
		if err := a.all.Restart(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range a.all.Addrs() {
		for {
			answer, err := reference.FourLetterWord(ctx, addr, "srvr")
			if err == nil && strings.Contains(answer, "Mode: ") {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s does not serve: %q, %v", addr, answer, err)
			}
			<-tick.C
		}
	}
}

// Signal sends every server a signal.
func (a *Any) Signal(sig syscall.Signal) {
	if a.one != nil {
		a.one.Signal(sig)
		return
	}
	for _, n := range a.all.Nodes {
		_ = n.Signal(sig)
	}
}
