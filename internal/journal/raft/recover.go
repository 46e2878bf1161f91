package raft

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
	"gregor/internal/record"
)

// openLog opens the log in a directory, or makes an empty one: it removes what a crash left half made, and reads the
// log from the newest snapshot on to number its batches. base is who votes as long as the log does not say.
func openLog(fsys vfs.FS, dir string, segmentBytes int64, base voterSet, logger *slog.Logger) (*metaLog, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	if err := fsys.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	l := &metaLog{fs: fsys, dir: dir, segmentBytes: segmentBytes, first: 1, base: base}
	var bases []int64
	for _, f := range files {
		name := f.Name()
		if base, ok := parseSegmentName(name); ok {
			bases = append(bases, base)
		}
		if strings.HasSuffix(name, ".checkpoint.part") || strings.HasSuffix(name, ".checkpoint.deleted") || strings.HasSuffix(name, ".tmp") {
			if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(bases)
	if found := checkpointsIn(files); len(found) > 0 {
		if err := l.adopt(found[len(found)-1]); err != nil {
			return nil, err
		}
	}
	if err := l.openSegments(bases, logger); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// adopt makes a snapshot that was found on disk the start of the table.
func (l *metaLog) adopt(c checkpoint) error {
	header, err := readCheckpointHeader(l.fs, filepath.Join(l.dir, c.name()))
	if err != nil {
		return err
	}
	if len(header.voters.voters) > 0 {
		l.base = header.voters
		l.base.offset = c.end - 1
	}
	c.index = header.raftIndex
	if c.index == 0 {
		c.index = uint64(c.end) // written by Apache Kafka; see docs/decisions/0002-raft-index-and-offset.md
	}
	if c.index > 1<<62 || c.epoch > maxEpoch {
		return fmt.Errorf("%w: %s: epoch %d, Raft index %d", journal.ErrCorrupt, filepath.Join(l.dir, c.name()), c.epoch, c.index)
	}
	l.snapshot, l.first = c, c.index+1
	return nil
}

// openSegments reads the segments that the newest snapshot does not make needless.
func (l *metaLog) openSegments(bases []int64, logger *slog.Logger) error {
	for len(bases) > 1 && bases[1] <= l.snapshot.end {
		l.old = append(l.old, bases[0])
		bases = bases[1:]
	}
	if len(bases) > 0 && bases[0] > l.snapshot.end {
		return fmt.Errorf("%w: %s: the records from offset %d to %d are missing before it", journal.ErrCorrupt,
			filepath.Join(l.dir, segmentName(bases[0], ".log")), l.snapshot.end, bases[0])
	}
	end := int64(-1)
	for i, base := range bases {
		if end >= 0 && base != end {
			return fmt.Errorf("%w: %s: the segment before it ends at offset %d", journal.ErrCorrupt,
				filepath.Join(l.dir, segmentName(base, ".log")), end)
		}
		seg, err := openSegment(l.fs, l.dir, base)
		if err != nil {
			return err
		}
		l.segments = append(l.segments, seg)
		if end, err = l.scan(seg, i == len(bases)-1, logger); errors.Is(err, errOtherHistory) {
			logger.Warn("dropped a metadata log that the snapshot of the leader replaces", "file", seg.log.Name(), "snapshot", l.snapshot.name(), "cause", err)
			l.old = append(l.old, bases[i+1:]...)
			return l.restart()
		} else if err != nil {
			return err
		}
	}
	if end < l.snapshot.end {
		return l.restart()
	}
	return l.writeEpochs()
}

// restart begins an empty log at the end of the newest snapshot: there was none, or all of it lies before the snapshot,
// or it is of another history. The segments go one after the other, the last one first: what a crash leaves has no gap.
func (l *metaLog) restart() error {
	for _, s := range l.segments {
		s.close()
		l.old = append(l.old, s.base)
	}
	slices.Sort(l.old)
	for _, base := range slices.Backward(l.old) {
		if err := removeSegment(l.fs, l.dir, base); err != nil {
			return err
		}
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	l.entries, l.changes = nil, nil
	l.segments, l.old, l.epochs = nil, nil, nil
	seg, err := openSegment(l.fs, l.dir, l.snapshot.end)
	if err != nil {
		return err
	}
	l.segments = []*segment{seg}
	return vfs.ReplaceFile(l.fs, filepath.Join(l.dir, "partition.metadata"), []byte("version: 0\ntopic_id: "+metadata.MetadataTopicID.String()), true)
}

// scan reads a segment, enters the batches that the newest snapshot does not hold, and returns where it ends.
func (l *metaLog) scan(seg *segment, last bool, logger *slog.Logger) (end int64, err error) {
	end = seg.base
	for pos := int64(0); pos < seg.size; {
		b, err := readBatch(seg.log, pos, seg.size)
		switch {
		case err != nil:
		case b.BaseOffset() != end:
			err = fmt.Errorf("%w: it says offset %d", errBadBatch, b.BaseOffset())
		case len(l.entries) > 0 && b.LeaderEpoch() < l.lastEpoch() || b.LeaderEpoch() > maxEpoch:
			err = fmt.Errorf("%w: it says leader epoch %d after %d", errBadBatch, b.LeaderEpoch(), l.lastEpoch())
		}
		if err != nil {
			if !errors.Is(err, errBadBatch) {
				return 0, fmt.Errorf("%s at position %d: %w", seg.log.Name(), pos, err)
			}
			return end, cutTail(seg, pos, end, last, err, logger)
		}
		if l.otherHistory(b) {
			return 0, fmt.Errorf("%w: at position %d offset %d of epoch %d", errOtherHistory, pos, b.BaseOffset(), b.LeaderEpoch())
		}
		end = b.NextOffset()
		if b.BaseOffset() >= l.snapshot.end {
			err = l.enter(b, seg, pos, false)
		} else {
			err = seg.note(b, pos)
		}
		if err != nil {
			return 0, err
		}
		pos += int64(len(b))
	}
	return end, nil
}

// errOtherHistory is a log that the newest snapshot does not belong to: power failed after the snapshot of a leader came,
// which replaces what this node had and nobody committed, and before the log was gone.
var errOtherHistory = errors.New("the log is not that of the snapshot")

// otherHistory looks at the batches where the newest snapshot ends: one ends there, of the snapshot's epoch, and no older
// one follows.
func (l *metaLog) otherHistory(b record.Batch) bool {
	c := l.snapshot
	switch {
	case c.end == 0 || b.NextOffset() < c.end:
		return false
	case b.NextOffset() == c.end:
		return b.LeaderEpoch() != c.epoch
	case b.BaseOffset() < c.end:
		return true
	}
	return len(l.entries) == 0 && b.LeaderEpoch() < c.epoch
}

// errBadBatch is what lies where a batch should, after a torn write or damage.
var errBadBatch = errors.New("no valid batch")

// readBatch reads one batch whose checksum is right.
func readBatch(f vfs.File, pos, size int64) (record.Batch, error) {
	var head [record.HeaderSize]byte
	if size-pos < int64(len(head)) {
		return nil, fmt.Errorf("%w: %d bytes are too few for a header", errBadBatch, size-pos)
	}
	if _, err := f.ReadAt(head[:], pos); err != nil && err != io.EOF {
		return nil, err
	}
	length, err := record.SizeOf(head[:])
	if err != nil || length < record.HeaderSize || head[16] != record.Magic {
		return nil, fmt.Errorf("%w: header with size %d, magic %d", errBadBatch, length, head[16])
	}
	if length > size-pos {
		return nil, fmt.Errorf("%w: it is %d bytes long, %d are there", errBadBatch, length, size-pos)
	}
	b := make(record.Batch, length)
	if _, err := f.ReadAt(b, pos); err != nil && err != io.EOF {
		return nil, err
	}
	if b.CheckCRC() != nil || b.LastOffsetDelta() < 0 || b.NextOffset() < b.BaseOffset() {
		return nil, fmt.Errorf("%w: its checksum is wrong", errBadBatch)
	}
	return b, nil
}

// cutTail decides about bytes that are not a batch. Only the last write before a crash may be torn, and nothing valid
// comes after it: then it was never acknowledged and is cut off. Anything else is damage to what was durable, and
// cutting there would lose acknowledged records without a word.
func cutTail(seg *segment, pos, offset int64, last bool, cause error, logger *slog.Logger) error {
	name := seg.log.Name()
	next, found, err := findBatch(seg, pos+1, offset)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !last || found {
		after := "segments follow"
		if found {
			after = fmt.Sprintf("a valid one follows at position %d", next)
		}
		return fmt.Errorf("%w: %s at position %d, offset %d: %v, and %s; restore the file from a copy, or delete the directory if this is one of several voters",
			journal.ErrCorrupt, name, pos, offset, cause, after)
	}
	logger.Warn("cut a torn write off the metadata log", "file", name, "position", pos, "offset", offset, "bytes", seg.size-pos, "cause", cause)
	return seg.cutTail(pos)
}

// findBatch looks for a valid batch at any position from pos on that could belong behind offset.
func findBatch(seg *segment, pos, offset int64) (int64, bool, error) {
	tail := make([]byte, max(0, seg.size-pos))
	if _, err := seg.log.ReadAt(tail, pos); err != nil && err != io.EOF {
		return 0, false, err
	}
	for i := 0; i+record.HeaderSize <= len(tail); i++ {
		if tail[i+16] != record.Magic {
			continue
		}
		b, _, err := record.Next(tail[i:])
		if err == nil && b.BaseOffset() > offset && b.BaseOffset()-offset <= int64(seg.size) && b.CheckCRC() == nil {
			return pos + int64(i), true, nil
		}
	}
	return 0, false, nil
}
