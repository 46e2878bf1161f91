package log

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// background is the work that goes on beside appends and reads: flushing rolled segments and logs with flush.ms,
// retention, forgetting producers, checkpoints, and removing deleted files.
type background struct {
	d      *Dirs
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	removes []removal // not sorted
	flushes map[*logDir]*flushQueue
	wake    chan struct{} // for the remover
	crowded chan struct{} // for the sweeper

	periodic []*periodic // when stepped
}

// periodic is work that is done again and again by [Dirs.Step].
type periodic struct {
	interval time.Duration
	due      time.Time
	do       func()
}

// flushQueue is the logs of one directory that should be flushed soon, up to an offset.
type flushQueue struct {
	logs map[*Log]int64
	wake chan struct{}
}

type removal struct {
	due time.Time
	do  func()
}

func (b *background) start(d *Dirs) {
	b.d = d
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.wake = make(chan struct{}, 1)
	b.crowded = make(chan struct{}, 1)
	b.d.files.over = func() { notify(b.crowded) }
	b.flushes = map[*logDir]*flushQueue{}
	for _, dir := range d.dirs {
		b.flushes[dir] = &flushQueue{logs: map[*Log]int64{}, wake: make(chan struct{}, 1)}
	}
}

// begin starts the periodic work, once the logs are loaded.
func (b *background) begin() {
	o := &b.d.o
	if !o.Stepped {
		b.run(b.remove)
	}
	for _, dir := range b.d.dirs {
		if o.Stepped {
			b.every(o.FlushCheckInterval, func() { b.flushDue(dir) })
		} else {
			b.run(func() { b.flusher(dir) })
		}
	}
	if !o.Stepped {
		b.run(b.sweeper)
	}
	b.every(o.HighWatermarkInterval, func() {
		b.d.probe()
		b.checkpoint(b.d.checkpointHighWatermarks)
	})
	watch := func() {
		for _, dir := range b.d.dirs {
			dir.looking.Lock()
			b.d.watchSpace(dir)
			dir.looking.Unlock()
		}
	}
	b.run(watch)
	b.every(spaceInterval, watch)
	b.every(o.CheckpointInterval, func() {
		for _, p := range b.d.list(nil) {
			l := p.l
			if err := l.SaveIndexes(); err != nil && !errors.Is(err, ErrDirOffline) {
				b.d.slog.Warn("indexes not written", "dir", l.Dir(), "error", err)
			}
		}
		b.checkpoint(b.d.checkpointRecovery)
	})
	b.every(o.StartCheckpointInterval, func() { b.checkpoint(b.d.checkpointStarts) })
	b.every(o.RetentionCheckInterval, b.retention)
	b.d.cleaner.begin(b.d)
	if o.Scrub != nil && !o.Stepped {
		b.run(b.scrubber)
	}
	b.every(o.ProducerCheckInterval, func() {
		for _, p := range b.d.list(nil) {
			l := p.l
			l.ExpireProducers()
		}
	})
}

// run starts a goroutine that stop waits for. After stop it does nothing.
func (b *background) run(do func()) {
	if b.d.o.Stepped {
		do()
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.wg.Go(do)
	}
}

func (b *background) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

func (b *background) every(interval time.Duration, do func()) {
	if b.d.o.Stepped {
		b.periodic = append(b.periodic, &periodic{interval, b.d.o.Clock().Add(interval), do})
		return
	}
	b.run(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-b.ctx.Done():
				return
			case <-tick.C:
				do()
			}
		}
	})
}

func (b *background) checkpoint(write func(*logDir) error) {
	for _, dir := range b.d.dirs {
		if dir.offline() != nil {
			continue
		}
		if err := write(dir); err != nil && !errors.Is(err, ErrDirOffline) {
			b.d.slog.Warn("checkpoint not written", "dir", dir.path, "error", err)
		}
	}
}

func (b *background) retention() {
	for _, p := range b.d.list(nil) {
		l := p.l
		if b.ctx.Err() != nil {
			return
		}
		if _, err := l.DeleteOldSegments(); err != nil && !errors.Is(err, ErrDirOffline) && !errors.Is(err, ErrClosed) {
			b.d.slog.Warn("retention failed", "dir", l.Dir(), "error", err)
		}
		b.flushed(l, l.Sweep())
	}
}

// sweeper closes idle files when too many are open: those that were not used since the last sweep, and if that is not
// enough, those that were not used since a moment ago.
func (b *background) sweeper() {
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.crowded:
		}
		files := &b.d.files
		for round := 0; round < 2 && files.n.Load() > files.limit*3/4; round++ {
			for _, p := range b.d.list(nil) {
				l := p.l
				if b.ctx.Err() != nil {
					return
				}
				b.flushed(l, l.Sweep())
			}
		}
	}
}

// later runs a removal after a delay. What is not due when the directories are closed is left for the next start, which
// finds the files by their names.
func (b *background) later(delay time.Duration, do func()) {
	b.mu.Lock()
	b.removes = append(b.removes, removal{b.d.o.Clock().Add(delay), do})
	b.mu.Unlock()
	notify(b.wake)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (b *background) remove() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(b.removeDue())
		select {
		case <-b.ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
	}
}

// removeDue runs what is due and tells how long until the next.
func (b *background) removeDue() time.Duration {
	now := b.d.o.Clock()
	next := now.Add(time.Hour)
	var due []func()
	b.mu.Lock()
	b.removes = slices.DeleteFunc(b.removes, func(r removal) bool {
		if !r.due.After(now) {
			due = append(due, r.do)
			return true
		}
		if r.due.Before(next) {
			next = r.due
		}
		return false
	})
	b.mu.Unlock()
	for _, do := range due {
		do()
	}
	return next.Sub(b.d.o.Clock())
}

// flushSoon lets a log be flushed up to an offset: its segments below were rolled.
func (b *background) flushSoon(dir *logDir, l *Log, offset int64) {
	q := b.flushes[dir]
	b.mu.Lock()
	q.logs[l] = max(q.logs[l], offset)
	b.mu.Unlock()
	notify(q.wake)
}

// flusher flushes the logs of one directory, so that a slow disk holds up no other.
func (b *background) flusher(dir *logDir) {
	q := b.flushes[dir]
	tick := time.NewTicker(b.d.o.FlushCheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-q.wake:
			b.mu.Lock()
			logs := q.logs
			q.logs = map[*Log]int64{}
			b.mu.Unlock()
			for l, offset := range logs {
				b.flushed(l, l.Flush(offset))
			}
		case <-tick.C:
			b.flushDue(dir)
		}
	}
}

// flushDue flushes the logs with flush.ms.
func (b *background) flushDue(dir *logDir) {
	now := b.d.o.Clock()
	for _, p := range b.d.list(dir) {
		b.flushed(p.l, p.l.FlushIfDue(now))
	}
}

func (b *background) flushed(l *Log, err error) {
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDirOffline) {
		b.d.slog.Warn("flush failed", "dir", l.Dir(), "error", err)
	}
}
