package log

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gregor/internal/log/cleaner"
)

// CleanerConfig is what the cleaner of a node acts on; a change is noticed with the next log.
type CleanerConfig struct {
	Disabled       bool          // log.cleaner.enable is false
	Threads        int           // log.cleaner.threads: logs that are compacted at the same time
	DedupeBytes    int64         // log.cleaner.dedupe.buffer.size: for the offset maps of all threads; taken as far as it is needed
	LoadFactor     float64       // log.cleaner.io.buffer.load.factor
	IOBytes        int           // log.cleaner.io.buffer.size: what all threads write at once
	BytesPerSecond float64       // log.cleaner.io.max.bytes.per.second, read and written; 0: no limit
	Backoff        time.Duration // log.cleaner.backoff.ms: until logs are looked at again when none is to be cleaned
}

// DefaultCleanerConfig is Kafka's default.
func DefaultCleanerConfig() CleanerConfig {
	return CleanerConfig{Threads: 1, DedupeBytes: 128 << 20, LoadFactor: 0.9, IOBytes: 512 << 10, Backoff: 15 * time.Second}
}

// cleanerPool is the cleaner of a node: one goroutine chooses the dirtiest log, others clean.
type cleanerPool struct {
	d        *Dirs
	throttle *cleaner.Throttle
}

// cleanState is what the cleaner notes of a log.
type cleanState struct {
	upTo        atomic.Int64 // below this offset the log is compacted; -1 if it never was
	running     atomic.Bool
	uncleanable atomic.Bool  // a segment could not be read; until the next start
	againMs     atomic.Int64 // not to be tried before
}

func (d *Dirs) cleanerConfig() CleanerConfig {
	if d.o.Cleaner == nil {
		return DefaultCleanerConfig()
	}
	return d.o.Cleaner()
}

func (p *cleanerPool) begin(d *Dirs) {
	p.d = d
	p.throttle = cleaner.NewThrottle(func() float64 { return d.cleanerConfig().BytesPerSecond })
	b := &d.background
	if d.o.Stepped {
		p.throttle = nil
		b.every(d.cleanerConfig().Backoff, func() {
			for l, dirt := p.dirtiest(); l != nil; l, dirt = p.dirtiest() {
				p.clean(l, dirt, d.cleanerConfig())
			}
		})
		return
	}
	b.run(p.run)
}

// run keeps up to log.cleaner.threads cleanings going.
func (p *cleanerPool) run() {
	b := &p.d.background
	running, done := 0, make(chan struct{})
	timer := time.NewTimer(p.d.cleanerConfig().Backoff)
	defer timer.Stop()
	for {
		select {
		case <-b.ctx.Done():
			for ; running > 0; running-- {
				<-done
			}
			return
		case <-done:
			running--
		case <-timer.C:
		}
		cfg := p.d.cleanerConfig()
		for running < cfg.Threads && b.ctx.Err() == nil {
			l, dirt := p.dirtiest()
			if l == nil {
				break
			}
			running++
			go func() {
				p.clean(l, dirt, cfg)
				done <- struct{}{}
			}()
		}
		timer.Reset(max(cfg.Backoff, time.Millisecond))
	}
}

// dirtiest takes the log that needs cleaning most: the one with the largest part of it dirty. The caller cleans it.
func (p *cleanerPool) dirtiest() (*Log, dirtiness) {
	d := p.d
	if d.cleanerConfig().Disabled {
		return nil, dirtiness{}
	}
	now := d.o.Clock()
	var best *Log
	var most dirtiness
	for _, placed := range d.current() {
		l := placed.l
		cfg, state := l.Config(), &l.compaction
		if !cfg.CleanupCompact || l.Segments() == 1 || l.Err() != nil ||
			state.running.Load() || state.uncleanable.Load() || state.againMs.Load() > now.UnixMilli() {
			continue
		}
		dirt, err := l.dirtiness(cfg, now)
		if err != nil {
			if !errors.Is(err, errGone) {
				p.failed(l, err)
			}
			continue
		}
		if dirt.due(cfg) && (best == nil || dirt.ratio() > most.ratio()) {
			best, most = l, dirt
		}
	}
	if best != nil {
		best.compaction.running.Store(true)
	}
	return best, most
}

// clean cleans one log and notes how far.
func (p *cleanerPool) clean(l *Log, dirt dirtiness, cfg CleanerConfig) {
	d := p.d
	defer l.compaction.running.Store(false)
	ctx := d.background.ctx
	if d.o.Stepped {
		ctx = context.Background()
	}
	began := time.Now()
	threads := max(cfg.Threads, 1)
	done, err := l.clean(ctx, dirt, cleanOptions{mapBytes: cfg.DedupeBytes / int64(threads), loadFactor: cfg.LoadFactor, chunk: min(cfg.IOBytes/threads, 16<<20), throttle: p.throttle})
	if err != nil {
		p.failed(l, err)
		return
	}
	d.slog.Info("log compacted", "topic", l.Topic(), "partition", l.Partition(), "from", done.from, "to", done.to,
		"bytes_before", done.bytesBefore, "bytes_after", done.bytesAfter, "records_read", done.ReadRecords, "records_kept", done.KeptRecords,
		"map_bytes", done.mapBytes, "ms", time.Since(began).Milliseconds())
	if done.InvalidRecords > 0 {
		d.slog.Warn("records without a key were removed from a compacted log", "topic", l.Topic(), "partition", l.Partition(), "records", done.InvalidRecords)
	}
	if dir := d.logDirOf(l); dir != nil {
		if err := d.checkpointCleaner(dir); err != nil && !errors.Is(err, ErrDirOffline) {
			d.slog.Warn("checkpoint not written", "dir", dir.path, "error", err)
		}
	}
}

// failed says why a log was not cleaned. One that cannot be read is not tried again before the next start.
func (p *cleanerPool) failed(l *Log, err error) {
	switch {
	case errors.Is(err, errCleanStopped), errors.Is(err, context.Canceled), errors.Is(err, ErrClosed), errors.Is(err, ErrDirOffline):
		return
	case errors.Is(err, ErrNoSpace), errors.Is(err, ErrTooManyFiles):
		p.d.slog.Warn("log not compacted, it is tried again", "topic", l.Topic(), "partition", l.Partition(), "error", err)
		l.compaction.againMs.Store(p.d.o.Clock().Add(p.d.cleanerConfig().Backoff).UnixMilli())
		return
	}
	p.d.slog.Error("log cannot be compacted, it is left as it is until the next start", "topic", l.Topic(), "partition", l.Partition(), "dir", l.Dir(), "error", err)
	l.compaction.uncleanable.Store(true)
}

// Uncleanable lists the logs that the cleaner has given up.
func (d *Dirs) Uncleanable() []Name {
	var list []Name
	for l := range d.All() {
		if l.compaction.uncleanable.Load() {
			list = append(list, Name{l.Topic(), l.Partition()})
		}
	}
	return list
}

func (d *Dirs) logDirOf(l *Log) *logDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.logs[partitionKey{l.Topic(), l.Partition()}]; p.l == l {
		return p.dir
	}
	return nil
}

func (d *Dirs) checkpointCleaner(dir *logDir) error {
	return d.writeCheckpoint(dir, cleanerCheckpoint, func(l *Log) int64 { return l.compaction.upTo.Load() })
}

// checkpointLowered writes what a truncation takes back.
func (d *Dirs) checkpointLowered(dir *logDir) error {
	if err := d.checkpointRecovery(dir); err != nil {
		return err
	}
	return d.checkpointCleaner(dir)
}
