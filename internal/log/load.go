package log

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gregor/internal/log/vfs"
)

// load reads the directory and recovers what a crash left.
func (l *Log) load() error {
	if !exists(l.fs, l.dir) {
		return l.create()
	}
	l.flush.newborn.Store(l.o.RecoveryPoint == 0)
	if err := l.finishSwap(); err != nil {
		return err
	}
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	if err := l.loadTopicID(); err != nil {
		return err
	}
	lost, err := l.openEpochs()
	if err != nil {
		return err
	}
	list, err := l.listSegments(names)
	if err != nil {
		return err
	}
	return l.recover(list, lost)
}

// create makes a log where there is none. Nothing is synced: the first flush does it, before it says that something is on
// disk. Until then a power failure may leave no log, or an empty one, which is what was promised.
func (l *Log) create() error {
	if err := makeDir(l.fs, filepath.Dir(l.dir)); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return err
	}
	l.flush.newborn.Store(true)
	l.id = l.o.TopicID
	if l.id != [16]byte{} {
		if err := vfs.WriteFile(l.fs, filepath.Join(l.dir, partitionMetadataFile), encodePartitionMetadata(l.id), false); err != nil {
			return err
		}
	}
	l.epochs = newEpochs(l.fs, l.dir)
	l.epochs.compared.Store(true)
	return l.startEmpty(l.o.LogStartOffset)
}

// loadTopicID compares partition.metadata with the topic id that the log is opened for, and writes it if it is missing.
func (l *Log) loadTopicID() error {
	path := filepath.Join(l.dir, partitionMetadataFile)
	b, err := readFile(l.fs, path)
	var zero [16]byte
	id, derr := decodePartitionMetadata(path, b)
	if err == nil && derr != nil && l.o.RecoveryPoint == 0 {
		// The log was never flushed, so neither was this file.
		l.slog.Warn("a power failure took the topic id of a log", "dir", l.dir, "error", derr)
		if err := removeFile(l.fs, path); err != nil {
			return err
		}
		err = fs.ErrNotExist
	}
	switch {
	case isNotExist(err):
		l.id = l.o.TopicID
		if l.id == zero {
			return nil
		}
		return vfs.ReplaceFile(l.fs, path, encodePartitionMetadata(l.id), true)
	case err != nil:
		return err
	case derr != nil:
		return fmt.Errorf("%w; restore it from the id that kafka-topics --describe shows (version: 0, topic_id: ID), or remove it, and the log is taken for that of the topic of this name", derr)
	}
	l.id = id
	if l.o.TopicID != zero && l.o.TopicID != l.id {
		return fmt.Errorf("%w: %s holds topic id %s, but topic %s has %s", ErrInconsistent, l.dir, formatID(l.id), l.o.Topic, formatID(l.o.TopicID))
	}
	return nil
}

// finishSwap ends what a crash interrupted: the deletion of files, and the cleaner's replacement of segments. Files that
// the cleaner was still writing (.cleaned) are removed; those it had finished (.swap) replace the segments they stand
// for. See cleanSwap for what can be there.
func (l *Log) finishSwap() error {
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	minCleaned := int64(-1)
	var cleaned, swaps, undone []string
	for _, e := range names {
		name := e.Name()
		switch {
		case e.IsDir():
		case strings.HasSuffix(name, ".checkpoint"+deletedSuffix): // a snapshot of the metadata log; its journal removes it
		case strings.HasSuffix(name, deletedSuffix), strings.HasSuffix(name, vfs.TmpSuffix):
			if err := removeFile(l.fs, filepath.Join(l.dir, name)); err != nil {
				return err
			}
		case strings.HasSuffix(name, cleanedSuffix):
			if base, _, ok := parseSegmentName(name); ok && (minCleaned < 0 || base < minCleaned) {
				minCleaned = base
			}
			cleaned = append(cleaned, name)
		case strings.HasSuffix(name, swapSuffix):
			swaps = append(swaps, name)
		}
	}
	// What did not become .swap as a whole, or of Apache Kafka's splitting of a segment not all parts, is undone. The .cleaned
	// files go last: without them the others would count.
	kept := swaps[:0]
	for _, name := range swaps {
		if base, _, ok := parseSegmentName(name); ok && minCleaned >= 0 && base >= minCleaned {
			undone = append(undone, name)
			continue
		}
		kept = append(kept, name)
	}
	for _, list := range [][]string{undone, cleaned} {
		if len(list) == 0 {
			continue
		}
		for _, name := range list {
			if err := removeFile(l.fs, filepath.Join(l.dir, name)); err != nil {
				return err
			}
		}
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return l.swapIn(kept, names)
}

// swapIn puts the finished segments of the cleaner in the place of those they were made from. Its order is that of
// cleanSwap, so that it may be interrupted too.
func (l *Log) swapIn(swaps []string, names []fs.DirEntry) error {
	from, to := int64(-1), int64(-1)
	var logs, indexes []string
	for _, name := range swaps {
		base, suffix, ok := parseSegmentName(strings.TrimSuffix(name, swapSuffix))
		switch {
		case !ok || !isSegmentSuffix(suffix):
			continue
		case suffix != logSuffix:
			indexes = append(indexes, name)
			continue
		}
		logs = append(logs, name)
		next, err := l.nextOffsetOf(filepath.Join(l.dir, name), base)
		if err != nil {
			return err
		}
		if from < 0 || base < from {
			from = base
		}
		to = max(to, next, base+1)
	}
	for _, e := range names {
		if base, suffix, ok := parseSegmentName(e.Name()); ok && isSegmentSuffix(suffix) && base >= from && base < to {
			if err := removeFile(l.fs, filepath.Join(l.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, list := range [][]string{logs, indexes} {
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
		for _, name := range list {
			path := filepath.Join(l.dir, name)
			if err := l.fs.Rename(path, strings.TrimSuffix(path, swapSuffix)); err != nil {
				return err
			}
		}
	}
	l.slog.Info("finished an interrupted compaction", "dir", l.dir, "from", from, "to", to)
	return l.fs.SyncDir(l.dir)
}

// nextOffsetOf walks a file of batches to its end.
func (l *Log) nextOffsetOf(path string, base int64) (int64, error) {
	f, err := l.fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	w := newWalker(f, walkChunk)
	defer w.close()
	next := base
	for pos := int64(0); pos < size; {
		b, bytes, err := w.header(pos, size)
		if err != nil {
			return next, nil
		}
		next = b.NextOffset()
		pos += bytes
	}
	return next, nil
}

func isSegmentSuffix(suffix string) bool {
	switch suffix {
	case logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix:
		return true
	}
	return false
}

// listSegments finds the segments and snapshots, and removes indexes without a segment.
func (l *Log) listSegments(names []fs.DirEntry) ([]*segment, error) {
	var list []*segment
	bases := map[int64]bool{}
	for _, e := range names {
		base, suffix, ok := parseSegmentName(e.Name())
		if !ok || e.IsDir() {
			continue
		}
		switch suffix {
		case logSuffix:
			info, err := e.Info()
			if isNotExist(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			s := newSegment(l.fs, l.o.files, l.dir, base, l.o.Config)
			s.written = info.Size()
			s.size.Store(info.Size())
			s.trust.own.Store(info.Size())
			s.createdMs = info.ModTime().UnixMilli()
			list = append(list, s)
			bases[base] = true
		case snapshotSuffix:
			l.snapshots = append(l.snapshots, base)
		}
	}
	for _, e := range names {
		base, suffix, ok := parseSegmentName(e.Name())
		if ok && suffix != logSuffix && isSegmentSuffix(suffix) && !bases[base] {
			if err := removeFile(l.fs, filepath.Join(l.dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return int(min(max(a.base-b.base, -1), 1)) })
	slices.Sort(l.snapshots)
	return list, nil
}
