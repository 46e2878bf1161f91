package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/peer"
)

// greeted opens a listener at which a process says who it is, and returns its port.
func greeted(t *testing.T, who func() peer.Identity) (*greeter, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := greet([]*bound{{net: l}}, who)
	t.Cleanup(func() { g.stop(); l.Close() })
	return g, l.Addr().(*net.TCPAddr).Port
}

func finder(self func() peer.Identity, out *bytes.Buffer) *discovery {
	return &discovery{asker: asker{self: self}, log: slog.New(slog.NewTextHandler(out, nil)), now: time.Now}
}

// Three voters on empty directories agree on one cluster id.
func TestDiscoveryAgrees(t *testing.T) {
	var ids [3]atomic.Pointer[peer.Identity]
	var voters []config.Voter
	for i := range ids {
		ids[i].Store(&peer.Identity{NodeID: int32(i + 1), Controller: true, ClockMs: time.Now().UnixMilli()})
		_, port := greeted(t, func() peer.Identity { return *ids[i].Load() })
		voters = append(voters, config.Voter{ID: int32(i + 1), Host: "127.0.0.1", Port: port})
	}
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var out bytes.Buffer
			v, err := finder(func() peer.Identity { return *ids[i].Load() }, &out).voter(within(t), false, voters)
			if err != nil || v.joining {
				t.Errorf("voter %d: %+v, %v", i+1, v, err)
			}
			id := *ids[i].Load()
			if id.ClusterID = v.clusterID; id.ClusterID == "" {
				id.ClusterID = fmt.Sprintf("made by %d", i+1)
			}
			ids[i].Store(&id)
		})
	}
	wg.Wait()
	for i := range ids {
		if got := ids[i].Load().ClusterID; got != "made by 1" {
			t.Errorf("voter %d is in cluster %q", i+1, got)
		}
	}
}

// A voter that cannot be reached is named, and the wait ends with the context.
func TestDiscoverySaysWhoIsMissing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), helloPatience+500*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	self := func() peer.Identity { return peer.Identity{NodeID: 1, Controller: true} }
	_, err = finder(self, &out).voter(ctx, false, []config.Voter{{ID: 1}, {ID: 2, Host: "127.0.0.1", Port: port}})
	missing := fmt.Sprintf("2@127.0.0.1:%d", port)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), missing) {
		t.Errorf("error: %v", err)
	}
	if log := out.String(); !strings.Contains(log, missing) || !strings.Contains(log, "refused") || !strings.Contains(log, "kafka-storage format") {
		t.Errorf("log: %s", log)
	}
}

func TestObserverTakesTheClusterID(t *testing.T) {
	_, undecided := greeted(t, func() peer.Identity { return peer.Identity{NodeID: 1} })
	_, decided := greeted(t, func() peer.Identity {
		return peer.Identity{NodeID: 2, ClusterID: "c", ClockMs: time.Now().Add(time.Hour).UnixMilli()}
	})
	var out bytes.Buffer
	d := finder(func() peer.Identity { return peer.Identity{NodeID: 9} }, &out)
	id, err := d.observer(within(t), []string{fmt.Sprintf("127.0.0.1:%d", undecided), fmt.Sprintf("127.0.0.1:%d", decided)})
	if id != "c" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	if log := out.String(); !strings.Contains(log, "1h0m") || !strings.Contains(log, "ahead of") {
		t.Errorf("an hour's difference is not said: %s", log)
	}
}

// A second process with this node's id is found out at the address that the quorum has for it.
func TestOwnVoterAddress(t *testing.T) {
	self := peer.Identity{NodeID: 1, Process: [16]byte{1}}
	for want, other := range map[string]peer.Identity{
		"":                                     self,
		"node.id=1 belongs to another process": {NodeID: 1, Process: [16]byte{2}},
		"node 2 answers there":                 {NodeID: 2, Process: [16]byte{2}},
	} {
		_, port := greeted(t, func() peer.Identity { return other })
		var out bytes.Buffer
		d := finder(func() peer.Identity { return self }, &out)
		err := d.checkOwnVoter(within(t), []config.Voter{{ID: 1, Host: "127.0.0.1", Port: port}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The greeter gives its listener back: who was refused by it is served by whoever comes next.
func TestGreeterGivesTheListenerBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := greet([]*bound{{net: l}}, func() peer.Identity { return peer.Identity{} })
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	g.stop()
	g.stop()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives the greeter")
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	next.Close()
}

// Bytes that are no request end the connection, and nothing else.
func TestGreeterHostile(t *testing.T) {
	g, port := greeted(t, func() peer.Identity { return peer.Identity{NodeID: 3} })
	for _, b := range [][]byte{{0, 0, 0, 2, 1, 1}, {0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, []byte("GET / HTTP/1.1\r\n\r\n"),
		{0, 0, 0, 10, 0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff}, {0, 0, 0, 12, 0x67, 0x73, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}} {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%x is answered", b)
		}
		c.Close()
	}
	if id, err := (asker{self: g.who}).hello(within(t), fmt.Sprintf("127.0.0.1:%d", port)); err != nil || id.NodeID != 3 {
		t.Errorf("afterwards: %+v, %v", id, err)
	}
}
