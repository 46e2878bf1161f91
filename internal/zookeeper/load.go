package zookeeper

import (
	"context"
	"fmt"
	"log/slog"

	"gregor/internal/zookeeper/proto"
	"gregor/internal/zookeeper/storage"
	"gregor/internal/zookeeper/tree"
)

// loader makes a tree of what the storage finds.
type loader struct {
	opts     tree.Options
	log      *slog.Logger
	snapshot *tree.Loader
	zxid     int64 // of the snapshot
	nodes    int
	tree     *tree.Tree // once the snapshot is read

	digest     storage.Digest // of the tree, when everything up to its zxid is replayed
	mismatches int64
}

// load reads the directory, and makes it one that ZooKeeper would open if it was empty.
func load(ctx context.Context, store *storage.Store, opts tree.Options, log *slog.Logger) (*loader, int, error) {
	l := &loader{opts: opts, log: log}
	last, replayed, fresh, err := store.Load(ctx, l)
	if err != nil {
		return nil, 0, err
	}
	if err := l.settle(); err != nil {
		return nil, 0, err
	}
	if l.tree.Zxid() != last {
		return nil, 0, fmt.Errorf("the tree is at 0x%x after the log ended at 0x%x", l.tree.Zxid(), last)
	}
	if fresh {
		if err := saveAll(store, l.tree); err != nil {
			return nil, 0, err
		}
	}
	return l, replayed, nil
}

// Begin implements storage.Loader.
func (l *loader) Begin(zxid int64) {
	*l = loader{opts: l.opts, log: l.log, zxid: zxid, snapshot: tree.NewLoader(l.opts)}
}

// Session implements storage.Loader.
func (l *loader) Session(id int64, timeoutMs int32) error {
	l.snapshot.Session(tree.Session{ID: id, TimeoutMs: timeoutMs})
	return nil
}

// ACL implements storage.Loader.
func (l *loader) ACL(id int64, list []proto.ACL) error {
	l.snapshot.ACL(tree.NumberedACL{ID: id, ACL: list})
	return nil
}

// Node implements storage.Loader.
func (l *loader) Node(n *storage.Node) error {
	l.nodes++
	return l.snapshot.Node(tree.NodeImage{Path: n.Path, Data: n.Data, ACL: n.ACL, Stat: n.Stat})
}

// Digest implements storage.Loader.
func (l *loader) Digest(d storage.Digest) { l.digest = d }

// Txn implements storage.Loader.
func (l *loader) Txn(b []byte) error {
	if err := l.settle(); err != nil {
		return err
	}
	h, txn, digest, err := proto.DecodeTxn(b)
	if err != nil {
		return err
	}
	l.tree.Replay(h, txn)
	if digest != nil && h.Zxid > l.digest.Zxid {
		l.compare(h.Zxid, *digest)
	}
	if h.Zxid == l.digest.Zxid {
		l.compare(h.Zxid, proto.TxnDigest{Version: l.digest.Version, Tree: uint64(l.digest.Value)})
	}
	return nil
}

// settle makes the tree when the snapshot has been read.
func (l *loader) settle() (err error) {
	switch {
	case l.tree != nil:
	case l.nodes == 0 && l.zxid == 0:
		l.tree = tree.New(l.opts)
	default:
		if l.tree, err = l.snapshot.Finish(l.zxid); err != nil {
			return err
		}
		if l.digest.Zxid == l.zxid && l.zxid > 0 {
			l.compare(l.zxid, proto.TxnDigest{Version: l.digest.Version, Tree: uint64(l.digest.Value)})
		}
	}
	return nil
}

// compare says once that the tree is not what it was when the digest was taken. ZooKeeper says so too, and goes on.
func (l *loader) compare(zxid int64, want proto.TxnDigest) {
	have := l.tree.Digest()
	if have.Version != want.Version || have.Tree == want.Tree {
		return
	}
	l.mismatches++
	if l.mismatches == 1 {
		l.log.Error("digests are not matching: the data differs from what it was when it was written; compare it with a copy",
			"zxid", fmt.Sprintf("0x%x", zxid), "expected", want.Tree, "actual", have.Tree)
	}
}

// saveAll writes a whole snapshot at once.
func saveAll(store *storage.Store, t *tree.Tree) error {
	snap := t.Snapshot()
	w, err := store.BeginSnapshot(snap.Zxid)
	if err != nil {
		return err
	}
	b := appendSnapshotHead(nil, snap)
	for more := true; more; {
		more = snap.Next(64, func(n tree.NodeImage) { b = appendNode(b, n) })
		if len(b) > snapshotChunkBytes || !more {
			if _, err := w.Write(b); err != nil {
				w.Abort()
				return err
			}
			b = b[:0]
		}
	}
	zxid, digest := snap.End()
	return w.Finish(zxid, &storage.Digest{Zxid: zxid, Version: digest.Version, Value: int64(digest.Tree)})
}

func appendSnapshotHead(b []byte, snap *tree.Snapshot) []byte {
	b = storage.AppendCount(b, len(snap.Sessions))
	for _, s := range snap.Sessions {
		b = storage.AppendSession(b, s.ID, s.TimeoutMs)
	}
	b = storage.AppendCount(b, len(snap.ACLs))
	for _, a := range snap.ACLs {
		b = storage.AppendACL(b, a.ID, a.ACL)
	}
	return b
}

func appendNode(b []byte, n tree.NodeImage) []byte {
	return storage.AppendNode(b, &storage.Node{Path: n.Path, Data: n.Data, ACL: n.ACL, Stat: n.Stat})
}
