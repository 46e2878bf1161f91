package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gregor/internal/journal"
	"gregor/internal/record"

	gozk "github.com/go-zookeeper/zk"
)

// A snapshot is a stream of record batches, cut into znodes as the log is. Their offsets count its records from 0.

// snapshotBatchBytes is about how large the batches of a snapshot are.
const snapshotBatchBytes = 64 << 10

// Save implements journal.Journal. Only the leader keeps snapshots, for all: elsewhere the error is ErrNotLeader.
func (e *Engine) Save(ctx context.Context, snap journal.Snapshot) error {
	var f *fence
	needed := false
	if err := e.perform(ctx, func(context.Context) (err error) {
		f = e.leading()
		needed, err = e.isNeeded(f, snap)
		return err
	}); err != nil || !needed {
		return err
	}
	ref := &snapshotRef{
		Name:       fmt.Sprintf("%019d-%010d-%010d", snap.LastOffset+1, snap.Epoch, f.epoch),
		LastOffset: snap.LastOffset, Epoch: snap.Epoch, TimestampMs: snap.TimestampMs,
	}
	if err := e.remove(ctx, f, snapshotPath(ref.Name)); err != nil { // of an attempt that failed
		return err
	}
	if err := e.writeChunks(ctx, f, ref, snap); err != nil {
		return errors.Join(err, e.remove(ctx, f, snapshotPath(ref.Name)))
	}
	if err := e.perform(ctx, func(context.Context) error { return e.adopt(f, ref) }); err != nil {
		return err
	}
	return e.sweepOld(ctx, f)
}

// isNeeded reports whether a snapshot is newer than the one that there is.
func (e *Engine) isNeeded(f *fence, snap journal.Snapshot) (bool, error) {
	switch {
	case f == nil:
		return false, journal.ErrNotLeader
	case e.head.Snapshot != nil && e.head.Snapshot.LastOffset >= snap.LastOffset:
		return false, nil
	case snap.LastOffset >= e.head.EndOffset:
		return false, fmt.Errorf("snapshot as of offset %d: the log ends at %d", snap.LastOffset, e.head.EndOffset)
	}
	return true, nil
}

// adopt makes a snapshot count, and the log before it not.
func (e *Engine) adopt(f *fence, ref *snapshotRef) error {
	if e.leading() != f {
		return journal.ErrNotLeader
	}
	h := e.head
	h.Snapshot = ref
	// Batches of one znode are before the snapshot's end and behind it: it stays, and who reads it leaves out the first.
	for _, p := range e.position.begins {
		if p.offset <= ref.LastOffset+1 && p.entry > h.First {
			h.First = p.entry
		}
	}
	if h.EndOffset == ref.LastOffset+1 {
		h.First = h.Last + 1
	}
	version, err := e.moveHead(f, h, nil)
	if err == nil {
		e.advanced(h, version)
	}
	return err
}

// writeChunks writes the znodes of a snapshot.
func (e *Engine) writeChunks(ctx context.Context, f *fence, ref *snapshotRef, snap journal.Snapshot) error {
	s := f.s
	if err := e.write1(ctx, f, s.create(snapshotPath(ref.Name), nil, 0)); err != nil {
		return err
	}
	var buf []byte
	flush := func(all bool) error {
		for len(buf) >= maxZnodeBytes || all && len(buf) > 0 {
			n := min(len(buf), maxZnodeBytes)
			if err := e.write1(ctx, f, s.create(chunkPath(ref.Name, ref.Chunks), buf[:n:n], 0)); err != nil {
				return err
			}
			ref.Chunks++
			ref.Bytes += int64(n)
			buf = slices.Clone(buf[n:])
		}
		if ref.Chunks >= maxChunks {
			return fmt.Errorf("the snapshot as of offset %d is over %d MB", ref.LastOffset, ref.Bytes>>20)
		}
		return nil
	}
	offset := int64(0)
	b := record.NewBuilder(record.BuilderOptions{LeaderEpoch: ref.Epoch})
	for value, err := range snap.Values {
		if err != nil {
			return err
		}
		b.Append(ref.TimestampMs, nil, value)
		if b.Len() < snapshotBatchBytes {
			continue
		}
		offset += int64(b.Count())
		buf = append(buf, b.Build()...)
		b.Reset(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: ref.Epoch})
		if err := flush(false); err != nil {
			return err
		}
	}
	if b.Count() > 0 {
		buf = append(buf, b.Build()...)
	}
	return flush(true)
}

// write1 does one operation of a snapshot, under the fence. That it was done before is as good.
func (e *Engine) write1(ctx context.Context, f *fence, op any) error {
	err := f.s.again(ctx, func() error {
		_, err := f.s.try(ctx, ops{f.check(), op})
		return err
	})
	if errors.Is(err, gozk.ErrNodeExists) {
		return nil // nobody else makes a snapshot of this epoch, and remove saw to it that there was none
	}
	return e.refused(err)
}

// load hands over the snapshot of a head. missed says that it is not there (any more).
func (e *Engine) load(s *session, h head) (missed bool, err error) {
	ref := *h.Snapshot
	chunks := make([][]byte, ref.Chunks)
	err = parallel(len(chunks), window, func(i int) error {
		n, err := s.get(e.ctx, chunkPath(ref.Name, i))
		chunks[i] = n.data
		return err
	})
	if errors.Is(err, gozk.ErrNoNode) {
		n, err := s.get(e.ctx, headPath)
		if err != nil {
			return false, e.explain(headPath, err)
		}
		if now, err := parseHead(n.data); err != nil || now.Snapshot == nil || now.Snapshot.Name == ref.Name {
			return false, corrupt(fmt.Errorf("a part of the snapshot %s is not there; somebody deleted it", e.c.path(snapshotPath(ref.Name))))
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var data []byte
	for i, c := range chunks {
		data, chunks[i] = append(data, c...), nil
	}
	if int64(len(data)) != ref.Bytes {
		return false, corrupt(fmt.Errorf("the snapshot %s has %d bytes, the head says %d", e.c.path(snapshotPath(ref.Name)), len(data), ref.Bytes))
	}
	err = e.handler.Load(journal.Snapshot{
		LastOffset: ref.LastOffset, Epoch: ref.Epoch, TimestampMs: ref.TimestampMs,
		Values: func(yield func([]byte, error) bool) { walkSnapshot(ref.Name, data, yield) },
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", errHandler, err)
	}
	e.position.end, e.position.epoch = ref.LastOffset+1, ref.Epoch
	e.log.Info("read the snapshot of the metadata", "offset", ref.LastOffset, "bytes", ref.Bytes)
	return false, nil
}

func walkSnapshot(name string, data []byte, yield func([]byte, error) bool) {
	bad := func(at int, err error) {
		yield(nil, corrupt(fmt.Errorf("snapshot %s at byte %d: %w", snapshotPath(name), at, err)))
	}
	for at := 0; at < len(data); {
		if len(data)-at < record.HeaderSize {
			bad(at, errors.New("a batch is cut off"))
			return
		}
		size, err := batchSize(data[at:])
		if err == nil && size > len(data)-at {
			err = fmt.Errorf("a batch of %d bytes, %d are left", size, len(data)-at)
		}
		if err != nil {
			bad(at, err)
			return
		}
		b := record.Batch(data[at : at+size : at+size])
		if err := b.CheckCRC(); err != nil {
			bad(at, err)
			return
		}
		for r, err := range b.Records() {
			if err != nil {
				bad(at, err)
				return
			}
			if !yield(r.Value, nil) {
				return
			}
		}
		at += size
	}
}
