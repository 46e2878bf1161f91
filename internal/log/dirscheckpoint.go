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
			err = d.checkpointStarts(dir)
		}
	}
	return err
}

func (d *Dirs) checkpointHighWatermarks(dir *logDir) error {
	return d.writeCheckpoint(dir, highWatermarkCheckpointFile, func(l *Log) (int64, bool) { return l.HighWatermark(), true })
}

func (d *Dirs) checkpointRecovery(dir *logDir) error {
	return d.writeCheckpoint(dir, recoveryPointCheckpointFile, func(l *Log) (int64, bool) { return l.RecoveryPoint(), true })
}

// checkpointStarts keeps the log starts that the segments' names do not tell.
func (d *Dirs) checkpointStarts(dir *logDir) error {
	return d.writeCheckpoint(dir, logStartCheckpointFile, func(l *Log) (int64, bool) {
		start := l.StartOffset()
		return start, start > (*l.segments.Load())[0].base
	})
}

// writeCheckpoint writes a file if it changes.
func (d *Dirs) writeCheckpoint(dir *logDir, name string, value func(*Log) (int64, bool)) error {
	dir.checkpoints.Lock()
	defer dir.checkpoints.Unlock()
	c := offsetCheckpoint{}
	for _, p := range d.list(dir) {
		if offset, ok := value(p.l); ok {
			c[partitionKey{p.l.Topic(), p.l.Partition()}] = offset
		}
	}
	if old, ok := dir.written[name]; ok && maps.Equal(old, c) {
		return nil
	}
	err := vfs.ReplaceFile(d.fs, filepath.Join(dir.path, name), c.encode(), true)
	switch {
	case err == nil:
		dir.written[name] = c
		return nil
	case isNoSpace(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	d.fail(dir, err)
	return dir.offline()
}
