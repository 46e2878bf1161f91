package coordinator

import "time"

// alarm wakes a shard at a time. It only ever moves forward in time when it has rung: a deadline that is put off (a
// heartbeat does that thousands of times a second) leaves the alarm where it is, at the price of ringing once in vain.
type alarm struct {
	clock Clock
	ring  func()
	at    int64 // 0: not set
	undo  func()
}

// set has ring called at or before at.
func (a *alarm) set(at int64) {
	now := a.clock.Now().UnixMilli()
	if a.at != 0 && a.at > now && a.at <= at {
		return
	}
	a.stop()
	a.at = at
	a.undo = a.clock.AfterFunc(time.Duration(max(0, at-now))*time.Millisecond, a.ring)
}

func (a *alarm) stop() {
	if a.undo != nil {
		a.undo()
		a.undo = nil
	}
	a.at = 0
}
