package coordinator

import "time"

// Clock is what a shard knows of time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f on a goroutine of its own after d, unless the returned function is called before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// SystemClock is the clock of package time (and so the false one in a testing/synctest bubble).
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}
