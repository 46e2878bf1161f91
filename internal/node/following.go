package node

import (
	"sync/atomic"

	"gregor/internal/config"
)

// following gives what a part reads of the configuration: a value that is made anew when the configuration changes, not when it
// is asked for, since parts ask per request.
func following[T any](live *config.Live, read func(*config.Values) T) func() T {
	var current atomic.Pointer[T]
	set := func(v *config.Values) {
		t := read(v)
		current.Store(&t)
	}
	set(live.Load())
	live.Subscribe(func(_, v *config.Values) { set(v) })
	return func() T { return *current.Load() }
}
