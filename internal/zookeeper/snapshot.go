package zookeeper

import (
	"time"

	"gregor/internal/zookeeper/storage"
	"gregor/internal/zookeeper/tree"
)

// snapshotChunkBytes is about what the loop encodes at a time; between two chunks it serves requests.
const snapshotChunkBytes = 128 << 10

// snapshotter writes a snapshot while the loop goes on. The goroutine asks for a chunk, the loop encodes the next
// nodes, the goroutine writes them.
type snapshotter struct {
	snap   *tree.Snapshot
	want   chan struct{}
	chunks chan []byte // closed after the last one
	given  bool        // the loop has given the last one
	last   int64       // set before chunks is closed
	digest storage.Digest
}

// startSnapshot begins a snapshot in the background, unless one is being written.
func (l *loop) startSnapshot() {
	l.sinceSnapshot, l.bytesSinceSnapshot = 0, 0
	if l.snapshot != nil {
		l.s.log.Warn("the last snapshot is not finished; skipping one")
		return
	}
	snap := l.tree.Snapshot()
	w, err := l.store.BeginSnapshot(snap.Zxid)
	if err != nil {
		l.s.log.Error("cannot write a snapshot; the log grows until one succeeds", "error", err.Error())
		return
	}
	sn := &snapshotter{snap: snap, want: make(chan struct{}, 1), chunks: make(chan []byte, 1)}
	sn.want <- struct{}{}
	l.snapshot = sn
	l.chunk = appendSnapshotHead(nil, snap)
	l.s.goes.Go(func() {
		began := time.Now()
		err := sn.run(w, l.s.quit)
		if err != nil {
			l.s.log.Error("cannot write a snapshot; the log grows until one succeeds", "error", err.Error())
		} else {
			l.s.counters.snapshots.Add(1)
			l.s.log.Info("snapshot taken", "zxid", hexOf(snap.Zxid), "took", time.Since(began).Round(time.Millisecond))
		}
		l.s.post(event{kind: evSnapshot})
	})
}

// run writes what the loop gives.
func (sn *snapshotter) run(w *storage.SnapshotWriter, quit <-chan struct{}) error {
	for {
		select {
		case b, ok := <-sn.chunks:
			if !ok {
				return w.Finish(sn.last, &sn.digest)
			}
			if _, err := w.Write(b); err != nil {
				w.Abort()
				return err
			}
			sn.want <- struct{}{}
		case <-quit:
			w.Abort()
			return nil
		}
	}
}

// wanted is the channel on which the loop is asked for nodes; nil while no snapshot is written, or when it has all.
func (l *loop) wanted() <-chan struct{} {
	if l.snapshot == nil || l.snapshot.given {
		return nil
	}
	return l.snapshot.want
}

// giveNodes encodes the next part of the tree.
func (l *loop) giveNodes() {
	sn := l.snapshot
	b := l.chunk
	l.chunk = nil
	for len(b) < snapshotChunkBytes {
		if !sn.snap.Next(4, func(n tree.NodeImage) { b = appendNode(b, n) }) {
			zxid, digest := sn.snap.End()
			sn.last = zxid
			sn.digest = storage.Digest{Zxid: zxid, Version: digest.Version, Value: int64(digest.Tree)}
			sn.given = true
			sn.chunks <- b
			close(sn.chunks)
			return
		}
	}
	sn.chunks <- b
}
