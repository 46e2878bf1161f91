package drive

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil sleeps to within some microseconds: Go's timers come up to a millisecond late while nothing else runs, which is
// more than what is measured. The caller has its thread for itself.
func sleepUntil(t time.Time) {
	for wait := time.Until(t); wait > 0; wait = time.Until(t) {
		ts := unix.NsecToTimespec(int64(wait))
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early
	}
}

// exact makes this thread's sleeps end when they should.
func exact() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }
