package log

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// flusher is the state of a log's group commit: one goroutine syncs, the others that come meanwhile wait, and the next
// sync serves all of them.
type flusher struct {
	point   atomic.Int64 // the recovery point: everything below is on disk, and need not be read after a crash
	synced  atomic.Int64 // everything below is on disk; beyond the recovery point while a full disk has no room for the epochs
	lastMs  atomic.Int64 // when the last flush ended
	dirty   atomic.Bool  // files were created or removed since the directory was synced
	newborn atomic.Bool  // never flushed: it may not be on disk that there is such a log
	mu      sync.Mutex
	cond    sync.Cond
	running bool
	err     error // why nothing can be flushed any more

	told    atomic.Pointer[func()] // see OnFlushed
	pending int64                  // the end of what was appended and nobody waits for; guarded by mu
	soon    bool                   // a goroutine of the log flushes up to pending
	gathering
}

func (f *flusher) init() {
	f.cond.L = &f.mu
	f.enough = make(chan struct{}, 1)
}

// reset begins anew: the log is on disk up to an offset.
func (f *flusher) reset(offset int64) {
	f.point.Store(offset)
	f.synced.Store(offset)
}

// fail wakes those who wait.
func (f *flusher) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.cond.Broadcast()
}

// stop fails those who wait, and returns when no flush is under way.
func (f *flusher) stop(err error) {
	f.fail(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.running {
		f.cond.Wait()
	}
}

// truncated takes the recovery point back. The log's mutex is held, so no flush publishes meanwhile.
func (f *flusher) truncated(end int64) {
	f.point.Store(min(f.point.Load(), end))
	f.synced.Store(min(f.synced.Load(), end))
	f.mu.Lock()
	f.pending = min(f.pending, end)
	f.mu.Unlock()
}

// Flush returns when everything below an offset is on disk. All who call it at the same time share one fsync. Error:
// ErrDirOffline; after an fsync that failed the log is out of service, since nobody can tell what is on disk.
func (l *Log) Flush(upTo int64) error {
	f := &l.flush
	f.mu.Lock()
	for {
		if f.err != nil {
			defer f.mu.Unlock()
			return f.err
		}
		if f.synced.Load() >= upTo {
			f.mu.Unlock()
			return nil
		}
		if !f.running {
			break
		}
		f.cond.Wait()
	}
	f.running = true
	f.mu.Unlock()

	err := l.flushTo(upTo, false)
	for err == errFlushAgain {
		err = l.flushTo(upTo, false)
	}

	f.mu.Lock()
	f.running = false
	f.cond.Broadcast()
	f.mu.Unlock()
	return err
}

// OnFlushed has appends of the leader with flush.messages=1 not wait for the disk: f is called, by a goroutine of the log,
// after each flush that they asked for, when readers see what they wrote. So one caller may have many appends under way,
// in this log and in others, and they all share a flush.
func (l *Log) OnFlushed(f func()) { l.flush.told.Store(&f) }

// flushSoon has everything below an offset flushed by a goroutine of the log. Appends that come while it waits for the
// disk share its next flush.
func (l *Log) flushSoon(upTo int64) error {
	f := &l.flush
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = max(f.pending, upTo)
	f.arrive()
	if !f.soon && f.err == nil {
		f.soon = true
		go l.flushPending()
	}
	return f.err
}

func (l *Log) flushPending() {
	f := &l.flush
	for {
		f.mu.Lock()
		if f.err != nil || f.synced.Load() >= f.pending {
			f.soon = false
			f.cond.Broadcast()
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()

		f.gather()
		f.mu.Lock()
		upTo := f.pending
		f.served, f.arrived = f.arrived, 0
		f.mu.Unlock()
		began := time.Now()
		err := l.Flush(upTo)
		f.ended = time.Now()
		f.took = min(f.ended.Sub(began), gatherLimit)
		if err == nil {
			(*f.told.Load())()
		}
	}
}

// FlushPending returns when the leader's appends that are Pending are on disk, or cannot get there any more. The caller
// sees to it that there are no new ones meanwhile. It does not wait for what OnFlushed's function does.
func (l *Log) FlushPending() {
	f := &l.flush
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.err == nil && f.synced.Load() < f.pending {
		f.cond.Wait()
	}
}

// idle returns when the goroutine of flushSoon has ended.
func (f *flusher) idle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.soon {
		f.cond.Wait()
	}
}

// errFlushAgain: the log was truncated or rolled while the files were synced. What was synced may be gone, or the indexes
// of a segment that was active then are not synced, which a recovery point at the next segment would say.
var errFlushAgain = errors.New("changed during a flush")

// FlushIfDue flushes if flush.ms has passed since the last time.
func (l *Log) FlushIfDue(now time.Time) error {
	ms := l.config.Load().FlushMs
	if ms == math.MaxInt64 || l.EndOffset() <= l.RecoveryPoint() || now.UnixMilli()-l.flush.lastMs.Load() < ms {
		return nil
	}
	return l.Flush(l.EndOffset())
}

// FlushRecovered makes durable what a crash left in memory, if the configuration says that what can be read is on disk:
// else it would be taken for acknowledged, and lost with the power. It is called once the topic's configuration is known.
func (l *Log) FlushRecovered() error {
	n := l.config.Load().FlushMessages
	if end := l.EndOffset(); n != math.MaxInt64 && end-l.RecoveryPoint() >= n {
		return l.Flush(end)
	}
	return nil
}

// flushTo syncs the segments that have something below an offset, moves the recovery point, and publishes what was held
// back. closing syncs the active segment's indexes too.
func (l *Log) flushTo(upTo int64, closing bool) error {
	r := l.flushRound(upTo, closing)
	saved, err := r.sync(l)
	if err != nil {
		return l.syncFailed(err)
	}
	return r.publish(l, saved)
}

// syncNames makes it durable which files the log has; of a new log, that there is one.
func (l *Log) syncNames() error {
	l.flush.dirty.Store(false)
	newborn := l.flush.newborn.Swap(false)
	if newborn {
		if err := syncFileIfThere(l.fs, filepath.Join(l.dir, partitionMetadataFile)); err != nil {
			return err
		}
	}
	if err := l.fs.SyncDir(l.dir); err != nil || !newborn {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(l.dir))
}

// syncFailed takes the log out of service whatever the error: after a failed fsync the system may have dropped the
// pages, and a second one would succeed without them being on disk.
func (l *Log) syncFailed(err error) error {
	l.slog.Error("flush failed, log directory goes offline", "dir", l.dir, "error", err)
	l.Fail(fmt.Errorf("flushing %s: %w", filepath.Base(l.dir), err))
	return l.Err()
}
