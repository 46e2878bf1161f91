package zookeeper

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// TestKill cuts the power under load, again and again: nothing that was acknowledged is lost.
func TestKill(t *testing.T) {
	ts := newServer(t, func(c *Config) { c.SnapCount = 300 })
	var mu sync.Mutex
	acked := map[string]string{}
	p := ts.session(60000)
	for w := range 4 {
		p.must(create(fmt.Sprintf("/w%d", w), ""))
	}
	for round := range 8 {
		var wg sync.WaitGroup
		var wrote atomic.Int64
		for w := range 4 {
			c := ts.session(60000)
			wg.Go(func() {
				for i := 0; ; i++ { // eight at a time, until the server is gone
					var b []byte
					var paths []string
					for k := range 8 {
						path := fmt.Sprintf("/w%d/r%d-%d-%d", w, round, i, k)
						paths = append(paths, path)
						b = c.encode(b, create(path, path))
					}
					if _, err := c.Write(b); err != nil {
						return
					}
					for _, path := range paths {
						b, err := c.read()
						if err != nil {
							return
						}
						if h := proto.NewDecoder(b).ReplyHeader(); h.Err != proto.OK {
							t.Error(path, h)
							return
						}
						mu.Lock()
						acked[path] = path
						mu.Unlock()
						wrote.Add(1)
					}
				}
			})
		}
		eventually(t, "the clients write", func() bool { return wrote.Load() > 200 })
		ts.crash()
		wg.Wait()
		p = ts.session(60000)
		for path, data := range acked {
			if got := proto.NewDecoder(p.must(&proto.GetDataRequest{Path: path})).Buffer(); string(got) != data {
				t.Fatalf("%s: %q", path, got)
			}
		}
	}
	entries, err := ts.disk.ReadDir("/zk/version-2")
	if err != nil {
		t.Fatal(err)
	}
	snapshots := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "snapshot.") {
			snapshots++
		}
	}
	if snapshots < 3 {
		t.Errorf("only %d snapshots", snapshots)
	}
}

// TestFullDisk ends the server with a clear message, and nothing that was acknowledged is lost.
func TestFullDisk(t *testing.T) {
	ts := newServer(t)
	p := ts.session(60000)
	p.must(create("/a", "1"))
	ts.disk.SetLimit(ts.disk.Used() + 10_000)
	acked := 0
	for i := 0; ; i++ {
		p.send(create(fmt.Sprintf("/n%d", i), strings.Repeat("x", 1000)))
		if _, err := p.read(); err != nil {
			break
		}
		acked = i + 1
	}
	<-ts.Done()
	err := ts.Err()
	if !errors.Is(err, vfs.ErrNoSpace) || !strings.Contains(err.Error(), "every change that was acknowledged is there") {
		t.Fatal(err)
	}
	if acked == 0 || acked > 10 {
		t.Fatal(acked)
	}
	ts.disk.SetLimit(0)
	ts.start()
	p = ts.session(60000)
	for i := range acked {
		p.must(exists(fmt.Sprintf("/n%d", i), false))
	}
}

// TestNothingLeavesBeforeTheDisk holds an fsync up: neither the answer, nor an event, nor what another client reads of
// the change comes before it ends.
func TestNothingLeavesBeforeTheDisk(t *testing.T) {
	ts := newServer(t)
	if err := ts.stop(); err != nil {
		t.Fatal(err)
	}
	var hold atomic.Bool
	entered, leave := make(chan bool, 10), make(chan bool)
	ts.fs = &vfs.Fault{FS: ts.disk, Hook: func(op vfs.Op, name string) error {
		if op == vfs.OpSync && hold.Load() {
			entered <- true
			<-leave
		}
		return nil
	}}
	ts.start()
	writer, reader := ts.session(60000), ts.session(60000)
	reader.must(create("/a", "old"))
	reader.must(&proto.GetDataRequest{Path: "/a", Watch: true})
	hold.Store(true)
	writer.send(setData("/a", "new"))
	<-entered
	reader.send(&proto.GetDataRequest{Path: "/a"})
	eventually(t, "the reader's request is there", func() bool { return ts.gate.waiting() == 2 })
	if n := ts.counters.sent.Load(); n != 4 { // two sessions, two answers
		t.Errorf("%d answers have left", n)
	}
	hold.Store(false)
	close(leave)
	if h, _ := writer.receive(); h.Err != proto.OK {
		t.Error(h)
	}
	if h, _ := reader.receive(); h.Xid != proto.XidNotification {
		t.Error(h)
	}
	if h, body := reader.receive(); h.Err != proto.OK || string(proto.NewDecoder(body).Buffer()) != "new" {
		t.Error(h, body)
	}
}

// A register is one node, written and read by several clients; each operation has a beginning and an end.
type registerInput struct {
	node    int
	write   bool
	value   string
	version int32 // a write is done only if the node has this version; -1: any
}

type registerOutput struct {
	value   string
	version int32
	code    proto.Code
	unknown bool // the connection broke: it was done or not
}

type registerState struct {
	value   string
	version int32
}

var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byNode := map[int][]porcupine.Operation{}
		for _, o := range history {
			n := o.Input.(registerInput).node
			byNode[n] = append(byNode[n], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range byNode {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return registerState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(registerState), input.(registerInput), output.(registerOutput)
		switch {
		case !in.write:
			return out.unknown || out.value == s.value && out.version == s.version, s
		case out.unknown: // it was done: what was not done is left out of the history by an end that never comes
			if in.version != -1 && in.version != s.version {
				return true, s
			}
			return true, registerState{in.value, s.version + 1}
		case in.version != -1 && in.version != s.version:
			return out.code == proto.BadVersion, s
		}
		return out.code == proto.OK && out.version == s.version+1, registerState{in.value, s.version + 1}
	},
	Equal: func(a, b any) bool { return a == b },
}

// TestLinearizable has clients read and write the same nodes while the power fails now and then, and looks whether there
// is one order of all that explains what each was told.
func TestLinearizable(t *testing.T) {
	const nodes, clients, rounds = 3, 5, 4
	ts := newServer(t, func(c *Config) { c.SnapCount = 50 })
	ts.slow.Store(true)
	p := ts.session(60000)
	for n := range nodes {
		p.must(create(fmt.Sprintf("/r%d", n), ""))
	}
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	for round := range rounds {
		var wg sync.WaitGroup
		var done atomic.Int64
		for c := range clients {
			p := ts.session(60000)
			wg.Go(func() {
				var version [nodes]int32
				for i := 0; ; i++ {
					in := registerInput{node: (i + c) % nodes, write: i%2 == 0, value: fmt.Sprintf("%d.%d.%d", round, c, i), version: -1}
					var req proto.Request = &proto.GetDataRequest{Path: fmt.Sprintf("/r%d", in.node)}
					if in.write {
						if i%4 == 0 {
							in.version = version[in.node]
						}
						req = &proto.SetDataRequest{Path: fmt.Sprintf("/r%d", in.node), Data: []byte(in.value), Version: in.version}
					}
					op := porcupine.Operation{ClientId: c, Input: in, Call: int64(time.Since(began))}
					var out registerOutput
					_, err := p.Write(p.encode(nil, req))
					var b []byte
					if err == nil {
						b, err = p.read()
					}
					op.Return = int64(time.Since(began))
					if err != nil {
						out.unknown = true
						op.Return = int64(1<<62) + int64(round) // it may take effect at any time, or never: see below
					} else {
						d := proto.NewDecoder(b)
						out.code = d.ReplyHeader().Err
						switch {
						case !in.write:
							out.value = string(d.Buffer())
							out.version = d.Stat().Version
							version[in.node] = out.version
						case out.code == proto.OK:
							out.version = d.Stat().Version
							version[in.node] = out.version
						}
					}
					op.Output = out
					if !out.unknown || in.write {
						mu.Lock()
						history = append(history, op)
						mu.Unlock()
					}
					if done.Add(1); err != nil {
						return
					}
				}
			})
		}
		eventually(t, "the clients work", func() bool { return done.Load() > 150 })
		ts.crash()
		wg.Wait()
	}
	last := ts.session(60000)
	for n := range nodes {
		call := int64(time.Since(began))
		d := proto.NewDecoder(last.must(&proto.GetDataRequest{Path: fmt.Sprintf("/r%d", n)}))
		out := registerOutput{value: string(d.Buffer())}
		out.version = d.Stat().Version
		history = append(history, porcupine.Operation{ClientId: clients, Input: registerInput{node: n}, Call: call, Output: out, Return: int64(time.Since(began))})
	}
	if res := porcupine.CheckOperationsTimeout(register, history, patience); res != porcupine.Ok {
		t.Errorf("%d operations: %v", len(history), res)
	}
}
