package storage

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"strings"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// Loader takes what Load finds: a snapshot, then transactions. It keeps what it is given, but not the slice of Txn.
type Loader interface {
	// Begin starts with an empty tree. It is called again if the snapshot turns out to be invalid; with zxid 0 nothing
	// may follow it but transactions, or nothing at all.
	Begin(zxid int64)
	Session(id int64, timeoutMs int32) error
	ACL(id int64, list []proto.ACL) error
	Node(n *Node) error
	Digest(d Digest)

	// Txn is a transaction's header and body, and its digest if it has one. The first ones may already have been
	// applied to some of the nodes.
	Txn(txn []byte) error
}

// maxStringBytes bounds what is believed of the length of a path or a name. A path is smaller than the request that
// made it.
const maxStringBytes = maxTxnBytes

// snapReader reads a snapshot as a stream.
type snapReader struct {
	r     *bufio.Reader
	sums  interface{ Sum32() uint32 }
	hash  io.Writer
	buf   []byte
	nodes int
}

// readSnapshot gives a snapshot to a loader. Every error wraps ErrSnapshot.
func readSnapshot(fsys vfs.FS, path string, load Loader) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %s: %w", ErrSnapshot, path, err)
		}
	}()
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	var src io.Reader = io.NewSectionReader(f, 0, size)
	switch {
	case strings.HasSuffix(path, gzSuffix):
		zip, err := gzip.NewReader(bufio.NewReaderSize(src, snapshotBufferBytes))
		if err != nil {
			return err
		}
		src = zip
	case strings.HasSuffix(path, ".snappy"):
		return errors.New("snapshots compressed with snappy are not read here; let ZooKeeper write one with another snapshot.compression.method")
	}
	sums := adler32.New()
	r := &snapReader{r: bufio.NewReaderSize(src, snapshotBufferBytes), sums: sums, hash: sums}
	if err := r.read(load); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("it ends after %d nodes", r.nodes)
		}
		return err
	}
	return nil
}

func (r *snapReader) read(load Loader) error {
	head, err := r.bytes(fileHeaderBytes)
	if err != nil {
		return err
	}
	if [4]byte(head) != snapshotMagic {
		return fmt.Errorf("it begins with %q instead of %q", head[:4], snapshotMagic[:])
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != fileVersion {
		return fmt.Errorf("its version is %d instead of %d", v, fileVersion)
	}
	sessions, err := r.int32()
	for i := int32(0); i < sessions && err == nil; i++ {
		var b []byte
		if b, err = r.bytes(12); err == nil {
			d := proto.NewDecoder(b)
			err = load.Session(d.Int64(), d.Int32())
		}
	}
	if err != nil {
		return err
	}
	if err := r.acls(load); err != nil {
		return err
	}
	if err := r.tree(load); err != nil {
		return err
	}
	if err := r.seal(); err != nil {
		return err
	}
	return r.digest(load)
}

func (r *snapReader) acls(load Loader) error {
	lists, err := r.int32()
	if err != nil {
		return err
	}
	for range max(lists, 0) {
		b, err := r.bytes(12)
		if err != nil {
			return err
		}
		d := proto.NewDecoder(b)
		id, n := d.Int64(), d.Int32()
		var list []proto.ACL
		for range max(n, 0) {
			var a proto.ACL
			if a.Perms, err = r.int32(); err != nil {
				return err
			}
			if a.ID.Scheme, err = r.string("scheme"); err != nil {
				return err
			}
			if a.ID.ID, err = r.string("id"); err != nil {
				return err
			}
			list = append(list, a)
		}
		if err := load.ACL(id, list); err != nil {
			return err
		}
	}
	return nil
}

func (r *snapReader) tree(load Loader) error {
	for {
		var n Node
		var err error
		if n.Path, err = r.string("path"); err != nil {
			return err
		}
		if n.Path == "/" {
			return nil
		}
		length, err := r.int32()
		if err != nil {
			return err
		}
		if length < -1 {
			return fmt.Errorf("data of %s has the length %d", n.Path, length)
		}
		if length >= 0 {
			b, err := r.bytes(int(length))
			if err != nil {
				return err
			}
			n.Data = append(make([]byte, 0, length), b...)
		}
		b, err := r.bytes(8 + proto.StatPersistedSize)
		if err != nil {
			return err
		}
		d := proto.NewDecoder(b)
		n.ACL, n.Stat = d.Int64(), d.StatPersisted()
		if err := load.Node(&n); err != nil {
			return err
		}
		r.nodes++
	}
}

// digest reads what ZooKeeper 3.6 and later write behind the first seal. An older snapshot ends before it.
func (r *snapReader) digest(load Loader) error {
	if _, err := r.r.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	b, err := r.bytes(12)
	if err != nil {
		return err
	}
	dec := proto.NewDecoder(b)
	d := Digest{Zxid: dec.Int64(), Version: dec.Int32()}
	if d.Version < 2 {
		if _, err := r.string("digest"); err != nil { // as text, of a way to compute it that nobody uses any more
			return err
		}
		return r.seal()
	}
	if b, err = r.bytes(8); err != nil {
		return err
	}
	d.Value = proto.NewDecoder(b).Int64()
	if err := r.seal(); err != nil {
		return err
	}
	load.Digest(d)
	return nil
}

// seal reads a checksum and compares it with that of everything before.
func (r *snapReader) seal() error {
	have := uint64(r.sums.Sum32())
	b, err := r.bytes(8)
	if err != nil {
		return err
	}
	if want := binary.BigEndian.Uint64(b); want != have {
		return errors.New("CRC corruption")
	}
	_, err = r.string("path")
	return err
}

func (r *snapReader) int32() (int32, error) {
	b, err := r.bytes(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

func (r *snapReader) string(what string) (string, error) {
	n, err := r.int32()
	if err != nil {
		return "", err
	}
	if n > maxStringBytes {
		return "", fmt.Errorf("a %s of %d bytes", what, n)
	}
	b, err := r.bytes(int(max(n, 0)))
	return string(b), err
}

// bytes reads n bytes, valid until the next call. Memory grows with what is there, not with what a length says.
func (r *snapReader) bytes(n int) ([]byte, error) {
	const step = 1 << 20
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		more := min(n-len(r.buf), step)
		at := len(r.buf)
		if cap(r.buf) < at+more {
			grown := make([]byte, at, max(at+more, min(n, 2*at)))
			copy(grown, r.buf)
			r.buf = grown
		}
		r.buf = r.buf[:at+more]
		if _, err := io.ReadFull(r.r, r.buf[at:]); err != nil {
			return nil, err
		}
	}
	_, _ = r.hash.Write(r.buf)
	return r.buf, nil
}

// looksWhole is ZooKeeper's quick look at a snapshot, which a purge goes by: its first bytes, and that it has an end.
func looksWhole(fsys vfs.FS, path string) bool {
	f, err := fsys.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size < 10 {
		return false
	}
	if strings.HasSuffix(path, gzSuffix) {
		var magic [2]byte
		_, err := f.ReadAt(magic[:], 0)
		return err == nil && magic == [2]byte{0x1f, 0x8b}
	}
	var end [5]byte
	if _, err := f.ReadAt(end[:], size-5); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return end == [5]byte{0, 0, 0, 1, '/'}
}
