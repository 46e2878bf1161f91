package log

import (
	"fmt"
	"path/filepath"
)

// Close flushes and closes the log. The next Open may be told CleanShutdown if it returned nil.
func (l *Log) Close() error {
	l.flush.idle()
	l.structure.Lock()
	defer l.structure.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	if err := l.Err(); err != nil {
		l.closed = true
		l.mu.Unlock()
		l.retireAll()
		return err
	}
	if !l.pending() {
		l.closed = true
		l.mu.Unlock()
		l.retireAll()
		return nil
	}
	err := l.takeSnapshot(l.next)
	if serr := l.active().seal(); err == nil {
		err = serr
	}
	if err == nil {
		_, err = l.active().trim(l.config.Load())
	}
	l.active().flushed = false
	l.closed = true
	l.mu.Unlock()
	if err == nil {
		err = l.flushTo(l.next, true)
	}
	l.retireAll()
	if err != nil {
		return fmt.Errorf("closing log %s: %w", l.dir, err)
	}
	return nil
}

// pending tells whether a flush has anything to do. Of a log that was only opened, or made and never written to, it has
// not. mu is held.
func (l *Log) pending() bool {
	f := &l.flush
	for _, s := range *l.segments.Load() {
		if s.allocated || s.dirtyIndex {
			return true
		}
	}
	return l.next != f.point.Load() || f.dirty.Load() || len(l.unsyncedSnapshots) > 0 || l.config.Load().Preallocate || l.epochs.needsSave(l.next)
}

func (l *Log) retireAll() {
	for _, s := range *l.segments.Load() {
		s.retire()
	}
}

// Delete closes the log and deletes its directory: renamed at once, removed after file.delete.delay.ms.
func (l *Log) Delete() error {
	var id [16]byte
	randomID(&id)
	retired := filepath.Join(filepath.Dir(l.o.Dir), retiredDirName(l.o.Topic, l.o.Partition, id, deleteDirSuffix))
	err := l.moveAway(retired)
	if err == nil {
		err = l.writeFailed(l.fs.SyncDir(filepath.Dir(retired)))
	}
	if err != nil {
		return err
	}
	l.later(func() {
		if err := l.fs.RemoveAll(retired); err != nil {
			l.slog.Warn("a deleted partition's directory could not be removed", "dir", retired, "error", err)
		}
	})
	return nil
}

// moveAway closes the log without flushing and renames its directory. The caller syncs the directory above it.
func (l *Log) moveAway(to string) error {
	l.structure.Lock()
	defer l.structure.Unlock()
	// A flush that is under way would not find the files any more and take the whole directory for failed, or find those of
	// a partition that is made anew in their place.
	l.flush.stop(fmt.Errorf("%w: %s", ErrClosed, l.dir))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.retireAll()
	}
	if err := l.fs.Rename(l.o.Dir, to); err != nil && !isNotExist(err) {
		return l.writeFailed(err)
	}
	return nil
}

// abandon closes a log that is not to be used, without writing anything.
func (l *Log) abandon() {
	l.structure.Lock()
	defer l.structure.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.flush.fail(fmt.Errorf("%w: %s", ErrClosed, l.dir))
	l.retireAll()
}
