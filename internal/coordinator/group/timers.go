package group

import "container/heap"

// timer is a deadline in a heap. The zero value is not set. Setting one again moves it.
type timer struct {
	at    int64
	index int // in the heap, plus one; 0: not set
	fire  func()
}

func (t *timer) set() bool { return t.index != 0 }

// timers is the heap of what a machine waits for. It is soft state: a machine that is elected sets its timers anew.
type timers []*timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push and Pop are for container/heap.
func (h *timers) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

// Pop removes the last.
func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = 0
	return t
}

func (h *timers) schedule(t *timer, at int64, fire func()) {
	t.at = at
	if fire != nil {
		t.fire = fire
	}
	if t.set() {
		heap.Fix(h, t.index-1)
	} else {
		heap.Push(h, t)
	}
}

func (h *timers) cancel(t *timer) {
	if t.set() {
		heap.Remove(h, t.index-1)
	}
}

// next is the earliest deadline.
func (h timers) next() (at int64, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].at, true
}

// due takes the earliest timer out if its time has come.
func (h *timers) due(now int64) *timer {
	if len(*h) == 0 || (*h)[0].at > now {
		return nil
	}
	return heap.Pop(h).(*timer)
}
