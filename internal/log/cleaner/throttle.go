package cleaner

import (
	"context"
	"math"
	"sync"
	"time"
)

// Throttle keeps the reading and writing of all cleanings of a node below a rate together.
type Throttle struct {
	rate func() float64 // bytes a second; 0 or less: no limit

	mu   sync.Mutex
	free time.Time // when what was let through will have taken its time
}

// NewThrottle asks for the rate each time, so that it may change.
func NewThrottle(rate func() float64) *Throttle { return &Throttle{rate: rate} }

// maxWait bounds one wait, so that a rate that was raised is soon noticed.
const maxWait = time.Second

// Wait lets n bytes through when it is their turn. Error: that of ctx.
func (t *Throttle) Wait(ctx context.Context, n int) error {
	if t == nil {
		return ctx.Err()
	}
	rate := t.rate()
	if rate <= 0 || rate >= math.MaxInt64 {
		return ctx.Err()
	}
	now := time.Now()
	t.mu.Lock()
	if t.free.Before(now) {
		t.free = now
	}
	wait := t.free.Sub(now)
	t.free = t.free.Add(time.Duration(min(float64(n)/rate, 3600) * float64(time.Second)))
	t.mu.Unlock()
	return sleep(ctx, t, wait)
}

func sleep(ctx context.Context, t *Throttle, wait time.Duration) error {
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(min(wait, maxWait))
	defer timer.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		left := wait - time.Since(began)
		if left <= 0 || t.rate() <= 0 || t.rate() >= math.MaxInt64 {
			return nil
		}
		timer.Reset(min(left, maxWait))
	}
}
