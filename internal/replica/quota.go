package replica

import "time"

// quota measures a rate over the samples of a sliding window, as Kafka's quotas do, and tells whether it is above a
// limit. It is a machine: time comes in. The zero quota has no limit.
type quota struct {
	limit   float64 // bytes a second; not positive and unlimited are told apart by set
	set     bool
	width   time.Duration // of a sample
	samples []quotaSample // a ring: as many as the window has
	at      int           // the current one
}

type quotaSample struct {
	start time.Time
	sum   float64
}

// newQuota has a window of n samples. Kafka's defaults are 11 of one second.
func newQuota(n int, width time.Duration) quota {
	return quota{width: width, samples: make([]quotaSample, max(n, 2))}
}

// setLimit changes the limit; what was measured stays.
func (q *quota) setLimit(bytesPerSecond int64) {
	q.limit, q.set = float64(bytesPerSecond), bytesPerSecond != unlimited
}

const unlimited = int64(^uint64(0) >> 1)

// record notes bytes that went by.
func (q *quota) record(bytes int, now time.Time) {
	s := &q.samples[q.at]
	if s.start.IsZero() {
		s.start = now
	}
	if now.Sub(s.start) >= q.width {
		q.at = (q.at + 1) % len(q.samples)
		s = &q.samples[q.at]
		*s = quotaSample{start: now}
	}
	s.sum += float64(bytes)
}

// rate is the bytes a second over the window: of the samples that are not too old, over the time since the oldest of them
// began, which is taken for at least one sample's width.
func (q *quota) rate(now time.Time) float64 {
	oldest, sum := now, 0.0
	window := q.width * time.Duration(len(q.samples))
	for i := range q.samples {
		s := &q.samples[i]
		if s.start.IsZero() || now.Sub(s.start) >= window {
			continue
		}
		sum += s.sum
		if s.start.Before(oldest) {
			oldest = s.start
		}
	}
	return sum / max(now.Sub(oldest), q.width).Seconds()
}

// exceeded tells whether the rate is above the limit.
func (q *quota) exceeded(now time.Time) bool { return q.set && q.rate(now) > q.limit }

// wait is how long nothing must go by until the rate is at the limit again; at most the window.
func (q *quota) wait(now time.Time) time.Duration {
	if !q.exceeded(now) {
		return 0
	}
	window := q.width * time.Duration(len(q.samples))
	low, high := time.Duration(0), window
	for high-low > time.Millisecond { // the rate falls as time passes
		if mid := (low + high) / 2; q.exceeded(now.Add(mid)) {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
