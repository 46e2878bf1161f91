package log

import (
	"fmt"
	"math/rand/v2"

	"gregor/internal/log/vfs"
)

// segmentFor gives the segment for an append, a new one if the active is full. mu is held.
func (l *Log) segmentFor(size int, info *AppendInfo, cfg *Config, nowMs int64) (*segment, error) {
	s := l.active()
	switch {
	case !s.fits(info.LastOffset):
	case s.written == 0:
		return s, nil
	case s.written > int64(cfg.SegmentBytes-size):
	case l.waited(s, info.MaxTimestampMs, nowMs) > cfg.segmentMs()-s.jitterMs:
	case s.full(cfg):
	default:
		return s, nil
	}
	return l.roll(max(info.FirstOffset, l.next))
}

// waited is the age of a segment: by the timestamps if it has some, so that a log which is copied quickly is rolled as
// the original was; else by the clock.
func (l *Log) waited(s *segment, maxTimestampMs, nowMs int64) int64 {
	if s.firstTs >= 0 && maxTimestampMs >= 0 {
		return maxTimestampMs - s.firstTs
	}
	return nowMs - s.createdMs
}

func (s *segment) full(cfg *Config) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idx.full(cfg.SegmentIndexBytes) || s.tidx.full(cfg.SegmentIndexBytes)
}

// Roll starts a new segment at the end of the log, unless the active one is empty.
func (l *Log) Roll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.active().written == 0 {
		return nil
	}
	_, err := l.roll(l.next)
	return l.writeFailed(err)
}

// roll seals the active segment and starts one at base. If that fails the old one stays the active one. mu is held.
func (l *Log) roll(base int64) (*segment, error) {
	cfg, old := l.config.Load(), l.active()
	list := *l.segments.Load()
	if old.base == base {
		return nil, fmt.Errorf("%w: segment %d of %s is to be rolled at its own base", errBroken, base, l.dir)
	}
	if l.flush.newborn.Load() {
		// A power failure must not leave the second segment without the first.
		if err := l.fs.SyncDir(l.dir); err != nil {
			return nil, err
		}
	}
	if err := l.trimForRoll(old, base, cfg); err != nil {
		return nil, err
	}
	s, err := createSegment(l.fs, l.o.files, l.dir, base, cfg, l.now())
	if err != nil {
		return nil, err
	}
	s.jitterMs = jitter(cfg)
	l.flush.dirty.Store(true)
	if err := l.sealForRoll(old, base, cfg); err != nil {
		s.markDeletedNow()
		return nil, err
	}
	l.setSegments(append(list[:len(list):len(list)], s))
	l.slog.Debug("rolled", "segment", base)
	if l.o.Flusher != nil {
		l.o.Flusher(l, base)
	}
	return s, nil
}

// trimForRoll cuts off what lies behind the records. That is on disk before there is a segment at the recovery point: with
// that, the old one is not read any more after a crash.
func (l *Log) trimForRoll(old *segment, base int64, cfg *Config) error {
	if trimmed, err := old.trim(cfg); err != nil || !trimmed || l.flush.point.Load() < base {
		return err
	}
	if err := old.sync(false); err != nil {
		return l.syncFailed(err)
	}
	return nil
}

func (l *Log) sealForRoll(old *segment, base int64, cfg *Config) error {
	if err := old.seal(); err != nil {
		return err
	}
	if l.flush.point.Load() >= base {
		// A recovery point at or above a segment's base says that the segments before are on disk with their indexes. This
		// one's records are, as always with flush.messages=1; now its indexes.
		if err := old.sync(true); err != nil {
			return l.syncFailed(err)
		}
		old.flushed = true
	}
	l.producers.end = base
	return l.takeSnapshot(base)
}

// jitter is what is taken off segment.ms of one segment.
func jitter(cfg *Config) int64 {
	if cfg.SegmentJitterMs <= 0 {
		return 0
	}
	return rand.Int64N(min(cfg.SegmentJitterMs, cfg.segmentMs()) + 1)
}

// takeSnapshot writes the producers' state at an offset, unless the file is there. It is synced by the next flush. mu
// is held.
func (l *Log) takeSnapshot(offset int64) error {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] >= offset || offset <= l.start.Load() && n == 0 && len(l.producers.byID) == 0 {
		return nil
	}
	path := segmentPath(l.dir, offset, snapshotSuffix)
	if err := vfs.WriteFile(l.fs, path, encodeSnapshot(l.producers.snapshot()), false); err != nil {
		removeFile(l.fs, path)
		return err
	}
	l.flush.dirty.Store(true)
	l.snapshots = append(l.snapshots, offset)
	l.unsyncedSnapshots = append(l.unsyncedSnapshots, offset)
	return nil
}
