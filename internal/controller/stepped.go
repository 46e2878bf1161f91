package controller

import "time"

// Step does what waits for the controller, if anything does, and reports whether it did. next is in how long Tick is to
// be called, if that is new. It is for a controller that is Stepped, as all methods here.
func (c *Controller) Step() (next time.Duration, did bool) {
	select {
	case <-c.wake:
		if !c.stopped {
			var ok bool
			next, ok = c.turn()
			c.stopped = !ok
		}
		return next, true
	default:
		return 0, false
	}
}

// Tick lets the controller see the time, and returns in how long it wants to see it again.
func (c *Controller) Tick() time.Duration { return c.tick() }

// StepLoader does what waits for the loader, if anything does, and reports whether it did.
func (c *Controller) StepLoader() bool { return c.loader.step() }

func (l *loader) step() bool {
	select {
	case <-l.wake:
		if !l.ended {
			l.turn()
		}
		return true
	default:
		return false
	}
}
