package storage

import (
	"bytes"
	"context"
	"errors"
	"hash/adler32"
	"math/rand/v2"
	"runtime"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// discard is a Loader that keeps nothing.
type discard struct{ txns []int64 }

func (*discard) Begin(int64)                  {}
func (*discard) Session(int64, int32) error   { return nil }
func (*discard) ACL(int64, []proto.ACL) error { return nil }
func (*discard) Node(*Node) error             { return nil }
func (*discard) Digest(Digest)                {}
func (d *discard) Txn(b []byte) error         { d.txns = append(d.txns, txnZxid(b)); return nil }

// FuzzOpen opens a directory with any bytes for a snapshot and a log: it never panics, takes no more memory than there
// are bytes, and if it opens, it opens again with the same transactions.
func FuzzOpen(f *testing.F) {
	log := appendFileHeader(nil, logMagic, logDatabase)
	for z := int64(1); z < 4; z++ {
		log = appendEntry(log, txn(z, "body"))
	}
	snap := appendFileHeader(nil, snapshotMagic, snapDatabase)
	snap = AppendSession(AppendCount(snap, 1), 5, 6000)
	snap = AppendACL(AppendCount(snap, 1), 1, proto.OpenACL())
	snap = AppendNode(snap, &Node{ACL: -1})
	snap = proto.AppendString(snap, "/")
	f.Add(snap, log)
	f.Add([]byte{}, []byte{})
	f.Add(snap, append(bytes.Clone(log), make([]byte, 5000)...))
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		s, l := bytes.Clone(snap), bytes.Clone(log)
		s[rnd.IntN(len(s))] ^= 1 << rnd.IntN(8)
		l[rnd.IntN(len(l))] ^= 1 << rnd.IntN(8)
		f.Add(s, l)
	}
	f.Fuzz(func(t *testing.T, snapshot, log []byte) {
		disk := vfs.NewMem(nil)
		if err := disk.MkdirAll("/d/version-2"); err != nil {
			t.Fatal(err)
		}
		// The checksum is put right, so that what is behind it is reached.
		sealed := append([]byte{}, snapshot...)
		sums := adler32.New()
		_, _ = sums.Write(sealed)
		sealed = proto.AppendString(proto.AppendInt64(sealed, int64(sums.Sum32())), "/")
		for name, b := range map[string][]byte{"snapshot.0": sealed, "log.1": log} {
			if err := vfs.WriteFile(disk, "/d/version-2/"+name, b, false); err != nil {
				t.Fatal(err)
			}
		}
		open := func() ([]int64, error) {
			s, err := Open(Options{Dir: "/d", FS: disk})
			if err != nil {
				t.Fatal(err)
			}
			d := &discard{}
			_, _, _, err = s.Load(context.Background(), d)
			if closeErr := s.Close(); closeErr != nil {
				t.Fatal(closeErr)
			}
			return d.txns, err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		first, err := open()
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20+100*uint64(len(log)+len(snapshot)) {
			t.Fatalf("%d bytes of memory for %d", used, len(log)+len(snapshot))
		}
		again, err2 := open()
		if (err == nil) != (err2 == nil) || err == nil && len(first) != len(again) {
			t.Fatalf("%v, %v; then %v, %v", first, err, again, err2)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrNoSnapshot) && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
	})
}
