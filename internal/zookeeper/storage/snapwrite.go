package storage

import (
	"compress/gzip"
	"encoding/binary"
	"hash/adler32"
	"io"
	"path/filepath"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// Node is one node of a snapshot; the root's path is "". Data may be nil, which is not the same as empty. ACL is the
// number of its list; -1 is world:anyone:cdrwa.
type Node struct {
	Path string
	Data []byte
	ACL  int64
	Stat proto.StatPersisted
}

// Digest is ZooKeeper's digest of a tree as of a zxid.
type Digest struct {
	Zxid    int64
	Version int32
	Value   int64
}

// AppendSession encodes a session; the number of them, as AppendCount, comes first.
func AppendSession(b []byte, id int64, timeoutMs int32) []byte {
	return proto.AppendInt32(proto.AppendInt64(b, id), timeoutMs)
}

// AppendCount encodes how many sessions, or lists of ACLs, follow.
func AppendCount(b []byte, n int) []byte { return proto.AppendInt32(b, int32(n)) }

// AppendACL encodes one list of ACLs; the number of lists, as AppendCount, comes first.
func AppendACL(b []byte, id int64, list []proto.ACL) []byte {
	return proto.AppendACLs(proto.AppendInt64(b, id), list)
}

// AppendNode encodes a node; its parent was before it.
func AppendNode(b []byte, n *Node) []byte {
	b = proto.AppendBuffer(proto.AppendString(b, n.Path), n.Data)
	return n.Stat.Append(proto.AppendInt64(b, n.ACL))
}

// SnapshotWriter writes one snapshot. Until Finish has returned nobody finds it.
type SnapshotWriter struct {
	fs        vfs.FS
	tmp, path string
	wait      func(zxid int64) error
	file      vfs.File
	pos       int64
	out       io.Writer // file, or zip over it
	zip       *gzip.Writer
	buf       []byte
	sums      interface {
		io.Writer
		Sum32() uint32
	}
}

const snapshotBufferBytes = 1 << 16

// newSnapshot begins a snapshot of the tree as it was after a zxid, or after some later ones here and there.
func newSnapshot(fsys vfs.FS, dir string, zxid int64, zip bool, wait func(int64) error) (*SnapshotWriter, error) {
	name := snapshotName(zxid, zip)
	w := &SnapshotWriter{fs: fsys, wait: wait, tmp: filepath.Join(dir, tmpPrefix+name), path: filepath.Join(dir, name), sums: adler32.New()}
	f, err := fsys.Create(w.tmp)
	if err != nil {
		return nil, err
	}
	w.file = f
	w.out = (*fileWriter)(w)
	if zip {
		w.zip = gzip.NewWriter(w.out)
		w.out = w.zip
	}
	w.buf = make([]byte, 0, snapshotBufferBytes)
	_, err = w.Write(appendFileHeader(nil, snapshotMagic, snapDatabase))
	if err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// fileWriter writes behind what was written.
type fileWriter SnapshotWriter

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.pos)
	w.pos += int64(n)
	return n, err
}

// Write takes pieces of the body in their order: sessions, lists of ACLs, nodes.
func (w *SnapshotWriter) Write(p []byte) (int, error) {
	_, _ = w.sums.Write(p)
	if len(w.buf)+len(p) > cap(w.buf) {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(w.buf) {
		return w.out.Write(p)
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

func (w *SnapshotWriter) flush() error {
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *SnapshotWriter) seal() error {
	b := binary.BigEndian.AppendUint64(nil, uint64(w.sums.Sum32()))
	_, err := w.Write(proto.AppendString(b, "/"))
	return err
}

// Finish writes the end, the digest if there is one, and makes the snapshot durable. Nodes may show what transactions up
// to last did: it waits until these are on disk, or a crash could leave effects of transactions that never were.
func (w *SnapshotWriter) Finish(last int64, d *Digest) (err error) {
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	if _, err := w.Write(proto.AppendString(nil, "/")); err != nil {
		return err
	}
	if err := w.seal(); err != nil {
		return err
	}
	if d != nil {
		b := binary.BigEndian.AppendUint64(nil, uint64(d.Zxid))
		b = binary.BigEndian.AppendUint32(b, uint32(d.Version))
		b = binary.BigEndian.AppendUint64(b, uint64(d.Value))
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.seal(); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.zip != nil {
		if err := w.zip.Close(); err != nil {
			return err
		}
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := w.wait(last); err != nil {
		return err
	}
	f := w.file
	w.file = nil
	if err := f.Close(); err != nil {
		return err
	}
	if err := w.fs.Rename(w.tmp, w.path); err != nil {
		return err
	}
	return w.fs.SyncDir(filepath.Dir(w.path))
}

// Abort gives the snapshot up. After Finish it does nothing.
func (w *SnapshotWriter) Abort() {
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
		_ = w.fs.Remove(w.tmp)
	}
}
