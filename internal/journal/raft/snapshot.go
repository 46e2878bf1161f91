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

// writeCheckpoint writes a snapshot under a temporary name, makes it durable and gives it its name. voters are those as of
// the snapshot; they are written if they are from the log (KIP-853).
func writeCheckpoint(fsys vfs.FS, dir string, c checkpoint, voters voterSet, s journal.Snapshot, nowMs int64) error {
	final := filepath.Join(dir, c.name())
	part := final + ".part"
	f, err := fsys.Create(part)
	if err != nil {
		return err
	}
	w := checkpointWriter{file: f, epoch: c.epoch, nowMs: nowMs}
	err = w.write(snapshotHeader{lastContainedMs: s.TimestampMs, raftIndex: c.index, voters: voters}, s.Values)
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
	head := w.builder(true)
	head.Append(w.nowMs, record.AppendControlKey(nil, record.ControlSnapshotHeader), header.append(nil))
	if set := header.voters; set.version > 0 {
		head.Append(w.nowMs, record.AppendControlKey(nil, record.ControlKRaftVersion), record.KRaftVersion{KRaftVersion: set.version}.AppendTo(nil))
		head.Append(w.nowMs, record.AppendControlKey(nil, record.ControlKRaftVoters), set.record().AppendTo(nil))
	}
	if err := w.flush(head); err != nil {
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
	foot := w.builder(true)
	foot.Append(w.nowMs, record.AppendControlKey(nil, record.ControlSnapshotFooter), record.SnapshotFooter{}.AppendTo(nil))
	return w.flush(foot)
}

func (w *checkpointWriter) builder(control bool) *record.Builder {
	return record.NewBuilder(record.BuilderOptions{BaseOffset: w.offset, LeaderEpoch: w.epoch, Control: control})
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

// readCheckpointHeader reads the first batch of a snapshot: its header, and who voted as of it.
func readCheckpointHeader(fsys vfs.FS, path string) (h snapshotHeader, err error) {
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
	if err == nil && !b.IsControl() {
		err = errors.New("no control batch")
	}
	if err != nil {
		return h, fmt.Errorf("%w: %s at position 0: %v", journal.ErrCorrupt, path, err)
	}
	first := true
	for r, err := range b.RecordsWithin(journal.MaxBatchBytes) {
		if err == nil {
			err = h.read(r, first)
		}
		if err != nil {
			return h, fmt.Errorf("%w: %s does not begin with a snapshot header: %v", journal.ErrCorrupt, path, err)
		}
		first = false
	}
	if first {
		return h, fmt.Errorf("%w: %s begins with an empty batch", journal.ErrCorrupt, path)
	}
	return h, nil
}

func (h *snapshotHeader) read(r record.Record, first bool) error {
	_, kind, err := record.ParseControlKey(r.Key)
	if err != nil {
		return err
	}
	if (kind == record.ControlSnapshotHeader) != first {
		return fmt.Errorf("record of type %s", kind)
	}
	if first {
		*h, err = parseSnapshotHeader(r.Value)
		return err
	}
	h.voters, _, err = h.voters.with(kind, r.Value)
	return err
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
