package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"
)

// saver has the journal keep a snapshot when enough was written since the last one, or enough time went by
// (metadata.log.max.record.bytes.between.snapshots, metadata.log.max.snapshot.interval.ms). It writes beside the loader,
// from the image, which nobody changes.
type saver struct {
	journal journal.Journal
	config  *config.Live
	log     *slog.Logger
	now     func() time.Time
	stepped bool // write before maybeSave returns

	bytes  int64 // committed since the last snapshot began
	lastMs int64
	busy   atomic.Bool
	cancel context.CancelFunc
	ctx    context.Context
	writes sync.WaitGroup
}

func (s *saver) grow(bytes int) { s.bytes += int64(bytes) }

func (s *saver) maybeSave(image *metadata.Image, timestampMs int64) {
	nowMs := s.now().UnixMilli()
	if s.lastMs == 0 {
		s.lastMs = nowMs
	}
	v := s.config.Load()
	interval := v.Int64("metadata.log.max.snapshot.interval.ms")
	enough := s.bytes >= v.Int64("metadata.log.max.record.bytes.between.snapshots")
	due := interval > 0 && nowMs-s.lastMs >= interval && s.bytes > 0
	if !enough && !due || !s.busy.CompareAndSwap(false, true) {
		return
	}
	s.bytes, s.lastMs = 0, nowMs
	write := func() {
		defer s.busy.Store(false)
		s.save(image, timestampMs)
	}
	if s.stepped {
		write()
	} else {
		s.writes.Go(write)
	}
}

func (s *saver) save(image *metadata.Image, timestampMs int64) {
	began := s.now()
	err := s.journal.Save(s.ctx, snapshotOf(image, timestampMs))
	if errors.Is(err, journal.ErrNotLeader) {
		return // one snapshot serves all, and its leader makes it
	}
	if err != nil && s.ctx.Err() == nil {
		s.log.Error("cannot write a snapshot of the metadata; the log stays longer", "offset", image.Offset(), "error", err)
	} else if err == nil {
		s.log.Info("wrote a snapshot of the metadata", "offset", image.Offset(), "took", s.now().Sub(began))
	}
}

func snapshotOf(image *metadata.Image, timestampMs int64) journal.Snapshot {
	return journal.Snapshot{
		LastOffset: image.Offset(), Epoch: image.Epoch(), TimestampMs: timestampMs,
		Values: func(yield func([]byte, error) bool) {
			for r := range image.Records() {
				if !yield(r.Append(nil), nil) {
					return
				}
			}
		},
	}
}

// wait ends a snapshot that is being written.
func (s *saver) wait() {
	s.cancel()
	s.writes.Wait()
}
