package raft

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// A snapshot file holds batches as the log does, with offsets counted from 0: a control batch with the header, the
// records of the state, and a control batch with the footer. A file without a footer is not a snapshot.

// snapshotBatchBytes is about how large the batches of a snapshot are.
const snapshotBatchBytes = 64 << 10

// writeCheckpoint writes a snapshot under a temporary name, makes it durable and gives it its name.
func writeCheckpoint(fsys vfs.FS, dir string, c checkpoint, s journal.Snapshot, nowMs int64) error {
	final := filepath.Join(dir, c.name())
	part := final + ".part"
	f, err := fsys.Create(part)
	if err != nil {
		return err
	}
	w := checkpointWriter{file: f, epoch: c.epoch, nowMs: nowMs}
	err = w.write(snapshotHeader{s.TimestampMs, c.index}, s.Values)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", part, err), fsys.Remove(part))
	}
	if err := fsys.Rename(part, final); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

type checkpointWriter struct {
	file   vfs.File
	pos    int64
	offset int64
	epoch  int32
	nowMs  int64
}

func (w *checkpointWriter) write(header snapshotHeader, values iter.Seq2[[]byte, error]) error {
	if err := w.control(record.ControlSnapshotHeader, header.append(nil)); err != nil {
		return err
	}
	b := w.builder(false)
	for value, err := range values {
		if err != nil {
			return err
		}
		b.Append(w.nowMs, nil, value)
		if b.Len() >= snapshotBatchBytes {
			if err := w.flush(b); err != nil {
				return err
			}
			b = w.builder(false)
		}
	}
	if err := w.flush(b); err != nil {
		return err
	}
	return w.control(record.ControlSnapshotFooter, snapshotFooter())
}

func (w *checkpointWriter) builder(control bool) *record.Builder {
	return record.NewBuilder(record.BuilderOptions{BaseOffset: w.offset, LeaderEpoch: w.epoch, Control: control})
}

func (w *checkpointWriter) control(kind record.ControlType, value []byte) error {
	b := w.builder(true)
	b.Append(w.nowMs, record.AppendControlKey(nil, kind), value)
	return w.flush(b)
}

func (w *checkpointWriter) flush(b *record.Builder) error {
	if b.Count() == 0 {
		return nil
	}
	w.offset += int64(b.Count())
	batch := b.Build()
	_, err := w.file.WriteAt(batch, w.pos)
	w.pos += int64(len(batch))
	return err
}

// readCheckpointHeader reads the first record of a snapshot.
func readCheckpointHeader(fsys vfs.FS, dir string, c checkpoint) (h snapshotHeader, err error) {
	path := filepath.Join(dir, c.name())
	f, err := fsys.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return h, err
	}
	b, err := readBatch(f, 0, size)
	if err != nil {
		return h, fmt.Errorf("%w: %s at position 0: %v", journal.ErrCorrupt, path, err)
	}
	for r, err := range b.Records() {
		if err != nil {
			return h, fmt.Errorf("%w: %s: %v", journal.ErrCorrupt, path, err)
		}
		if _, kind, err := record.ParseControlKey(r.Key); err != nil || kind != record.ControlSnapshotHeader {
			return h, fmt.Errorf("%w: %s does not begin with a snapshot header", journal.ErrCorrupt, path)
		}
		return parseSnapshotHeader(r.Value)
	}
	return h, fmt.Errorf("%w: %s begins with an empty batch", journal.ErrCorrupt, path)
}

// readCheckpoint returns the values of a snapshot, and an error if it is damaged or has no footer.
func readCheckpoint(fsys vfs.FS, path string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		stopped, err := walkCheckpoint(fsys, path, func(v []byte) bool { return yield(v, nil) })
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

func walkCheckpoint(fsys vfs.FS, path string, visit func([]byte) bool) (stopped bool, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	footer := false
	for pos := int64(0); pos < size; {
		b, err := readBatch(f, pos, size)
		if err != nil && !errors.Is(err, errBadBatch) && err != io.EOF {
			return false, err
		}
		if err != nil {
			return false, fmt.Errorf("%w: %s at position %d: %v", journal.ErrCorrupt, path, pos, err)
		}
		for r, err := range b.Records() {
			if err != nil {
				return false, fmt.Errorf("%w: %s at position %d: %v", journal.ErrCorrupt, path, pos, err)
			}
			if b.IsControl() {
				_, kind, _ := record.ParseControlKey(r.Key)
				footer = kind == record.ControlSnapshotFooter
			} else if !visit(r.Value) {
				return true, nil
			}
		}
		pos += int64(len(b))
	}
	if !footer {
		return false, fmt.Errorf("%w: %s ends without a snapshot footer", journal.ErrCorrupt, path)
	}
	return false, nil
}
