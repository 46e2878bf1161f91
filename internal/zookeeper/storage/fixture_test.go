package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// recorder is a Loader that notes what it is given.
type recorder struct {
	begins   []int64
	sessions map[int64]int32
	acls     map[int64][]proto.ACL
	nodes    []Node
	digest   *Digest
	txns     []string
}

func (r *recorder) Begin(zxid int64) {
	*r = recorder{begins: append(r.begins, zxid), sessions: map[int64]int32{}, acls: map[int64][]proto.ACL{}}
}
func (r *recorder) Session(id int64, timeoutMs int32) error { r.sessions[id] = timeoutMs; return nil }
func (r *recorder) ACL(id int64, list []proto.ACL) error    { r.acls[id] = list; return nil }
func (r *recorder) Node(n *Node) error                      { r.nodes = append(r.nodes, *n); return nil }
func (r *recorder) Digest(d Digest)                         { r.digest = &d }
func (r *recorder) Txn(b []byte) error                      { r.txns = append(r.txns, describe(b)); return nil }
func describe(b []byte) string {
	return fmt.Sprintf("%x:%s", txnZxid(b), strings.TrimRight(string(b[txnHeaderBytes:]), "\x00"))
}
func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.txns, want) {
		t.Fatalf("transactions %v, want %v", r.txns, want)
	}
}

// txn is a transaction of a zxid with a body that nobody looks into.
func txn(zxid int64, body string) []byte {
	b := make([]byte, txnHeaderBytes, txnHeaderBytes+len(body))
	binary.BigEndian.PutUint64(b[12:], uint64(zxid))
	return append(b, body...)
}

// fixture is a directory on a disk in memory.
type fixture struct {
	t       *testing.T
	disk    *vfs.Mem
	fs      vfs.FS
	opts    Options
	mu      sync.Mutex
	changed sync.Cond
	durable int64
	failure error
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, disk: vfs.NewMem(nil)}
	f.changed.L = &f.mu
	f.fs = f.disk
	f.opts = Options{Dir: "/d", PreAllocBytes: 4096}
	f.opts.Durable = func(zxid int64) { f.note(func() { f.durable = zxid }) }
	f.opts.Failed = func(err error) { f.note(func() { f.failure = err }) }
	return f
}

func (f *fixture) note(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.changed.Broadcast()
}

// try opens and loads the directory.
func (f *fixture) try() (*Store, *recorder, error) {
	o := f.opts
	o.FS = f.fs
	s, err := Open(o)
	if err != nil {
		return nil, nil, err
	}
	r := &recorder{}
	_, _, fresh, err := s.Load(context.Background(), r)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	if fresh {
		err = snapshot(s, 0, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, r, nil
}

func (f *fixture) open() (*Store, *recorder) {
	f.t.Helper()
	s, r, err := f.try()
	if err != nil {
		f.t.Fatal(err)
	}
	return s, r
}

// snapshot saves a tree of a root and one node that names the zxid.
func snapshot(s *Store, zxid, last int64) error {
	w, err := s.BeginSnapshot(zxid)
	if err != nil {
		return err
	}
	b := AppendCount(nil, 1)
	b = AppendSession(b, 77, 6000)
	b = AppendCount(b, 1)
	b = AppendACL(b, 1, proto.OpenACL())
	b = AppendNode(b, &Node{ACL: -1})
	b = AppendNode(b, &Node{Path: fmt.Sprintf("/at%x", zxid), Data: []byte{}, ACL: 1, Stat: proto.StatPersisted{Czxid: zxid, Pzxid: 5}})
	if _, err := w.Write(b); err != nil {
		w.Abort()
		return err
	}
	return w.Finish(last, &Digest{Zxid: last, Version: 2, Value: 99})
}

// put appends transactions and waits until they are on disk, or cannot be.
func (f *fixture) put(s *Store, from, to int64) error {
	for z := from; z <= to; z++ {
		if err := s.Append(z, txn(z, fmt.Sprint("t", z))); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.durable < to && f.failure == nil {
		f.changed.Wait()
	}
	if f.durable >= to {
		return nil
	}
	return f.failure
}

func texts(from, to int64) (list []string) {
	for z := from; z <= to; z++ {
		list = append(list, fmt.Sprintf("%x:t%d", z, z))
	}
	return list
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// files lists what is in the directory.
func (f *fixture) files() (names []string) {
	entries, err := f.disk.ReadDir("/d/version-2")
	f.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// patch changes the bytes of a file.
func (f *fixture) patch(name string, change func(b []byte) []byte) {
	f.t.Helper()
	file, err := f.disk.Reopen("/d/version-2/" + name)
	f.must(err)
	size, err := file.Size()
	f.must(err)
	b := make([]byte, size)
	_, err = file.ReadAt(b, 0)
	f.must(err)
	b = change(b)
	f.must(file.Truncate(0))
	_, err = file.WriteAt(b, 0)
	f.must(err)
	f.must(file.Sync())
	f.must(file.Close())
}
