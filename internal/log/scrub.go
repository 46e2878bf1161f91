package log

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gregor/internal/log/cleaner"
)

// The scrub reads everything over and over, slowly, so that a damaged copy is found while another is whole. It takes no lock
// while it reads, and the rate bounds what it takes of the disk.

const (
	scrubDelay = time.Minute // before the first pass, unless passes are closer together
	scrubLook  = time.Second // how often the configuration is looked at
)

func (b *background) scrubber() {
	throttle := cleaner.NewThrottle(func() float64 { rate, _ := b.d.o.Scrub(); return float64(rate) })
	began := time.Now()
	first := true
	tick := time.NewTicker(scrubLook)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		rate, interval := b.d.o.Scrub()
		if first {
			interval = min(interval, scrubDelay)
		}
		if rate <= 0 || time.Since(began) < interval {
			continue
		}
		began, first = time.Now(), false
		b.d.scrub(b.ctx, func(n int) error { return throttle.Wait(b.ctx, n) })
	}
}

// scrub makes one pass over all logs.
func (d *Dirs) scrub(ctx context.Context, pay func(int) error) {
	begun := time.Now()
	var bytes int64
	found := 0
	for _, p := range d.list(nil) {
		if ctx.Err() != nil {
			return
		}
		n, err := p.l.scrub(pay)
		bytes += n
		found += len(p.l.Damages())
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDirOffline) {
			d.slog.Warn("a log could not be read over", "dir", p.l.Dir(), "error", err)
		}
	}
	d.slog.Info("all segments were read over", "bytes", bytes, "damaged", found, "ms", time.Since(begun).Milliseconds())
}

// scrub checks all batches of a log.
func (l *Log) scrub(pay func(int) error) (bytes int64, err error) {
	if l.Err() != nil {
		return 0, nil
	}
	for _, s := range *l.segments.Load() {
		n, err := l.scrubSegment(s, pay)
		bytes += n
		switch {
		case err == nil || errors.Is(err, errGone):
		case isDiskFailure(err):
			l.Fail(err)
			return bytes, l.Err()
		default:
			return bytes, err
		}
	}
	return bytes, nil
}

func (l *Log) scrubSegment(s *segment, pay func(int) error) (bytes int64, err error) {
	s.mu.Lock()
	f, err := s.acquireUnused()
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	defer f.release()
	lo, first, size := int64(0), s.base, s.size.Load()
	for lo < size {
		top, truncations, err := l.topOf(s)
		if err != nil {
			return bytes, err
		}
		n := l.inspect(s, f, size, top, first)
		reached, offset, bad, err := n.run(lo, size, pay)
		n.w.close()
		bytes += reached - lo
		if err != nil {
			return bytes, err
		}
		s.checked(lo, reached)
		if bad == nil {
			return bytes, nil
		}
		s.mu.Lock()
		known := s.trust.at(reached)
		s.mu.Unlock()
		if known == nil {
			if err := l.damagedAt(s, f, size, top, truncations, reached, offset, bad); !errors.Is(err, errLookAgain) {
				return bytes, err
			}
			s.mu.Lock()
			known = s.trust.at(reached)
			s.mu.Unlock()
			if known == nil {
				return bytes, nil // truncated meanwhile: the next pass sees
			}
		}
		lo, first = known.End, known.EndOffset
	}
	return bytes, nil
}

func (d *Dirs) noteDamaged(l *Log) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.damaged == nil {
		d.damaged = map[*Log]struct{}{}
	}
	d.damaged[l] = struct{}{}
}

// Damaged lists the logs with damage that is known. A log's segments may be busy with reading their indexes, so none is asked
// with mu held, which everybody who looks for a log waits for.
func (d *Dirs) Damaged() (list []*Log) {
	d.mu.Lock()
	noted := slices.Collect(maps.Keys(d.damaged))
	d.mu.Unlock()
	for _, l := range noted {
		d.mu.Lock()
		if d.logs[partitionKey{l.Topic(), l.Partition()}].l != l {
			delete(d.damaged, l)
			l = nil
		}
		d.mu.Unlock()
		switch {
		case l == nil:
		case len(l.Damages()) > 0:
			list = append(list, l)
		default:
			d.forgetDamaged(l)
		}
	}
	return list
}

// forgetDamaged takes a log off the list that has no damage any more. What is found meanwhile puts it on again, before or
// after.
func (d *Dirs) forgetDamaged(l *Log) {
	d.mu.Lock()
	delete(d.damaged, l)
	d.mu.Unlock()
	if len(l.Damages()) > 0 {
		d.noteDamaged(l)
	}
}
