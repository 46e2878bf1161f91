package rabbitmq

import "testing"

// Confirms come in any order, some for all messages up to theirs; a request is done when all of its are, in order.
func TestConfirms(t *testing.T) {
	c := newConfirms(3, 2) // requests 0, 1, 2 are messages 1-2, 3-4, 5-6
	for i, step := range []struct {
		tag      uint64
		multiple bool
		done     int // requests that are done now
	}{
		{4, false, 0}, {2, false, 0}, {1, false, 1}, {3, true, 1}, {6, true, 1},
		{7, false, 0}, {8, true, 1}, // used again
	} {
		if err := c.confirm(step.tag, step.multiple); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		done := 0
		for c.slots.Done() {
			done++
		}
		if done != step.done {
			t.Errorf("step %d: %d requests are done, not %d", i, done, step.done)
		}
	}
	for _, tag := range []uint64{8, 100} {
		if c.confirm(tag, false) == nil {
			t.Errorf("a confirm of message %d, which is not under way", tag)
		}
	}
}
