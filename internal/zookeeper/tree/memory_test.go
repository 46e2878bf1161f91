package tree

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"gregor/internal/zookeeper/proto"
)

func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size != 128 {
		t.Errorf("a node takes %d bytes, want 128: the next size that Go allocates is 144", size)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfNodes bounds what 100,000 nodes of 100 bytes take.
func TestMemoryOfNodes(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		name string
		path func(i int) string
	}{
		{"one directory", func(i int) string { return fmt.Sprintf("/dir/node-%010d", i) }},
		{"a long path", func(i int) string { return fmt.Sprintf("/dir/%0200d/node-%010d", 0, i) }},
		{"a hundred in each", func(i int) string { return fmt.Sprintf("/dir/d%04d/node-%04d", i/100, i%100) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			w := newWorld()
			create := func(path string, data []byte) {
				h, txn := w.tree.Decide(&proto.CreateRequest{Type: proto.OpCreate, Path: path, Data: data, ACL: proto.OpenACL()}, Origin{Session: 1})
				if r := w.tree.Apply(h, txn); r.Err != proto.OK && r.Err != proto.NodeExists {
					t.Fatal(path, r.Err)
				}
			}
			create("/dir", nil)
			for i := range n {
				path := c.path(i)
				parent, _ := cut(path)
				if parent != "/dir" && i%100 == 0 {
					create(parent, nil)
				}
				create(path, make([]byte, 100))
			}
			took := heap() - before
			t.Logf("%d MB, %d bytes a node", took>>20, took/n)
			if took/n > 310 {
				t.Errorf("%d bytes a node", took/n)
			}
			if w.tree.Counts().Nodes < n {
				t.Error(w.tree.Counts())
			}
		})
	}
}

// TestMemoryOfWatches bounds what hundreds of thousands of watches take.
func TestMemoryOfWatches(t *testing.T) {
	for _, c := range []struct {
		name            string
		watchers, paths int
		maxBytes        int64
	}{
		{"one connection, many paths", 1, 200_000, 160},
		{"many connections, the same paths", 1000, 200, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			ws := NewWatches()
			for w := range c.watchers {
				for i := range c.paths {
					ws.add(Watcher(w), dataOnce, fmt.Sprintf("/brokers/topics/t%07d", i))
				}
			}
			n := int64(c.watchers * c.paths)
			took := heap() - before
			t.Logf("%d watches: %d MB, %d bytes each", n, took>>20, took/n)
			if took/n > c.maxBytes || int64(ws.Len()) != n {
				t.Errorf("%d watches take %d bytes each", ws.Len(), took/n)
			}
			for i := range c.paths {
				ws.Fire([]Event{{Type: proto.EventNodeDataChanged, Path: fmt.Sprintf("/brokers/topics/t%07d", i)}}, func(Watcher, Event) {})
			}
			if ws.Len() != 0 || len(ws.watchers) != 0 {
				t.Error(ws.Len(), len(ws.watchers))
			}
		})
	}
}
