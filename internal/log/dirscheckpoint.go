package log

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"gregor/internal/log/vfs"
)

// Checkpoint writes the checkpoint files now.
func (d *Dirs) Checkpoint() error {
	var errs []error
	for _, dir := range d.dirs {
		errs = append(errs, d.checkpoint(dir, true))
	}
	return errors.Join(errs...)
}

// checkpoint writes the checkpoints of a directory; all, or only those that go with the high watermark.
func (d *Dirs) checkpoint(dir *logDir, all bool) error {
	if err := dir.offline(); err != nil {
		return err
	}
	err := d.checkpointHighWatermarks(dir)
	if all && err == nil {
		if err = d.checkpointRecovery(dir); err == nil {
			if err = d.checkpointStarts(dir); err == nil {
				err = d.checkpointCleaner(dir)
			}
		}
	}
	return err
}

// checkpointKind is one of the files that keep an offset for each log of a directory.
type checkpointKind int

const (
	highWatermarkCheckpoint checkpointKind = iota
	recoveryPointCheckpoint
	logStartCheckpoint
	cleanerCheckpoint
	checkpointKinds = 4
)

func (k checkpointKind) file() string {
	return [...]string{highWatermarkCheckpointFile, recoveryPointCheckpointFile, logStartCheckpointFile, cleanerCheckpointFile}[k]
}

func (d *Dirs) checkpointHighWatermarks(dir *logDir) error {
	return d.writeCheckpoint(dir, highWatermarkCheckpoint, (*Log).HighWatermark)
}

func (d *Dirs) checkpointRecovery(dir *logDir) error {
	return d.writeCheckpoint(dir, recoveryPointCheckpoint, (*Log).RecoveryPoint)
}

// checkpointStarts keeps the log starts that the segments' names do not tell.
func (d *Dirs) checkpointStarts(dir *logDir) error {
	return d.writeCheckpoint(dir, logStartCheckpoint, func(l *Log) int64 {
		start := l.StartOffset()
		if start <= (*l.segments.Load())[0].base {
			return -1
		}
		return start
	})
}

// writeCheckpoint writes a file if it changes; value gives the offset of a log, -1 if it has none to keep. Whether it
// changes is found by comparing with what each log remembers, since of ten thousand logs most are idle.
func (d *Dirs) writeCheckpoint(dir *logDir, kind checkpointKind, value func(*Log) int64) error {
	dir.checkpoints.Lock()
	defer dir.checkpoints.Unlock()
	list, broken := d.list(dir), d.brokenOffsets(dir, kind)
	n, changed := len(broken), false
	for _, p := range list {
		offset := value(p.l)
		changed = changed || offset != p.l.checkpointed[kind]
		if offset >= 0 {
			n++
		}
	}
	if !changed && n == dir.written[kind] {
		return nil
	}
	c := make(offsetCheckpoint, n)
	maps.Copy(c, broken)
	offsets := make([]int64, len(list))
	for i, p := range list {
		if offsets[i] = value(p.l); offsets[i] >= 0 {
			c[partitionKey{p.l.Topic(), p.l.Partition()}] = offsets[i]
		}
	}
	err := vfs.ReplaceFile(d.fs, filepath.Join(dir.path, kind.file()), c.encode(), true)
	switch {
	case err == nil:
		for i, p := range list {
			p.l.checkpointed[kind] = offsets[i]
		}
		dir.written[kind] = len(c)
		return nil
	case isNoSpace(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	d.fail(dir, err)
	return dir.offline()
}

// brokenOffsets is what the checkpoint says of the logs that could not be opened. It stays there: without its recovery point
// the next start would take what is damaged for a torn tail, and without its log start it would give out deleted records.
func (d *Dirs) brokenOffsets(dir *logDir, kind checkpointKind) offsetCheckpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	var c offsetCheckpoint
	for key, b := range d.broken {
		if b.dir == dir && b.offsets[kind] >= 0 {
			if c == nil {
				c = offsetCheckpoint{}
			}
			c[key] = b.offsets[kind]
		}
	}
	return c
}
