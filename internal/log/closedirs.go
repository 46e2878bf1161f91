package log

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"gregor/internal/log/vfs"
)

// Close ends the work in the background, closes all logs, writes checkpoints and markers, and unlocks the directories.
// A directory where anything failed gets no marker, so that the next start recovers it.
func (d *Dirs) Close() error {
	d.background.stop()
	errs := make([]error, len(d.dirs))
	parallel(len(d.dirs), d.dirThreads(), func(i int) { errs[i] = d.closeDir(d.dirs[i]) })
	return errors.Join(errs...)
}

func (d *Dirs) closeDir(dir *logDir) error {
	defer func() {
		if dir.lock != nil {
			dir.lock.Close()
		}
	}()
	list := d.list(dir)
	errs := make([]error, len(list))
	parallel(len(list), d.closeThreads(), func(i int) { errs[i] = list[i].l.Close() })
	if err := dir.offline(); err != nil {
		return nil // known, and reported when it failed
	}
	// Checkpoints read what closed logs still hold: their offsets.
	err := errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
	if err == nil {
		err = d.checkpoint(dir, true)
	}
	if err != nil {
		return err
	}
	if d.hasBroken(dir) {
		d.slog.Warn("a log could not be opened, so no clean shutdown is noted", "dir", dir.path)
		return nil
	}
	marker := cleanShutdown{Version: 0, BrokerEpoch: d.brokerEpoch.Load()}
	if err := vfs.WriteFile(d.fs, filepath.Join(dir.path, cleanShutdownFile), marker.encode(), true); err != nil {
		return err
	}
	return d.fs.SyncDir(dir.path)
}

// dirThreads is how many directories are opened and closed at the same time: all, for they are on different disks.
func (d *Dirs) dirThreads() int {
	if d.o.Stepped {
		return 1
	}
	return len(d.dirs)
}

func (d *Dirs) closeThreads() int {
	if d.o.Stepped {
		return 1
	}
	return max(d.o.RecoveryThreads, 4)
}

func (d *Dirs) hasBroken(dir *logDir) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.broken {
		if b.dir == dir {
			return true
		}
	}
	return false
}

// parallel calls do for 0 to n-1 on at most width goroutines and waits.
func parallel(n, width int, do func(i int)) {
	if min(n, width) <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, width) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}
