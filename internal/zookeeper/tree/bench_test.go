package tree

import (
	"fmt"
	"testing"

	"gregor/internal/zookeeper/proto"
)

func planted(b *testing.B, n int) *world {
	w := newWorld()
	for _, dir := range []string{"/dir"} {
		h, txn := w.tree.Decide(&proto.CreateRequest{Type: proto.OpCreate, Path: dir, ACL: proto.OpenACL()}, Origin{Session: 1})
		w.tree.Apply(h, txn)
	}
	for i := range n {
		req := &proto.CreateRequest{Type: proto.OpCreate, Path: fmt.Sprintf("/dir/n%07d", i), Data: make([]byte, 100), ACL: proto.OpenACL()}
		h, txn := w.tree.Decide(req, Origin{Session: 1})
		if r := w.tree.Apply(h, txn); r.Err != proto.OK {
			b.Fatal(r.Err)
		}
	}
	return w
}

func BenchmarkCreate(b *testing.B) {
	w := planted(b, 0)
	ws := NewWatches()
	req := &proto.CreateRequest{Type: proto.OpCreate, Path: "/dir/n-", Data: make([]byte, 100), ACL: proto.OpenACL(), Flags: 2}
	b.ReportAllocs()
	for b.Loop() {
		h, txn := w.tree.Decide(req, Origin{Session: 1})
		r := w.tree.Apply(h, txn)
		ws.Fire(r.Events, func(Watcher, Event) {})
	}
}

func BenchmarkSetData(b *testing.B) {
	w := planted(b, 100_000)
	data := make([]byte, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i*7919 + 13) % 100_000
		h, txn := w.tree.Decide(&proto.SetDataRequest{Path: fmt.Sprintf("/dir/n%07d", i), Data: data, Version: -1}, Origin{Session: 1})
		w.tree.Apply(h, txn)
	}
}

func BenchmarkGetData(b *testing.B) {
	w := planted(b, 100_000)
	ws := NewWatches()
	paths := make([]string, 1<<16)
	for i := range paths {
		paths[i] = fmt.Sprintf("/dir/n%07d", i*7919%100_000)
	}
	var out []byte
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 1) & (1<<16 - 1)
		reply, _, _ := w.tree.Read(ws, &proto.GetDataRequest{Path: paths[i]}, Reader{Session: 1})
		out = reply.Append(out[:0])
	}
}

func BenchmarkSnapshot(b *testing.B) {
	w := planted(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for s := w.tree.Snapshot(); s.Next(1000, func(NodeImage) { n++ }); {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/node")
}

// BenchmarkFire is a node that a thousand connections watch.
func BenchmarkFire(b *testing.B) {
	ws := NewWatches()
	b.ReportAllocs()
	for b.Loop() {
		for w := range Watcher(1000) {
			ws.add(w, dataOnce, "/dir/n")
		}
		ws.Fire([]Event{{Type: proto.EventNodeDataChanged, Path: "/dir/n"}}, func(Watcher, Event) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/watch")
}

// BenchmarkLoad reads a snapshot of 100,000 nodes, BenchmarkReplay a log of as many creations.
func BenchmarkLoad(b *testing.B) {
	s := planted(b, 100_000).tree.Snapshot()
	var nodes []NodeImage
	for s.Next(1000, func(n NodeImage) { nodes = append(nodes, n) }) {
	}
	for b.Loop() {
		l := NewLoader(Options{})
		for _, n := range nodes {
			if err := l.Node(n); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/node")
}

func BenchmarkReplay(b *testing.B) {
	w := newWorld()
	for i := range 100_000 {
		w.write(&proto.CreateRequest{Type: proto.OpCreate, Path: fmt.Sprintf("/n%07d", i), Data: make([]byte, 100), ACL: proto.OpenACL()}, 1)
	}
	for b.Loop() {
		replay(b, New(Options{}), w.log, false)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/txn")
}
