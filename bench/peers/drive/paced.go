package drive

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// pace sends each request when it is due, whatever the acknowledgements do: one thread for all connections, which take turns.
func (l Load) pace(ctx context.Context, writers []*driven, start time.Time) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	exact()
	var wg sync.WaitGroup
	failed := make(chan error, len(writers))
	due := make([]chan time.Time, len(writers))
	for i, w := range writers {
		due[i] = make(chan time.Time, pacedSlots-1) // one more is being waited for
		wg.Go(func() {
			for d := range due[i] {
				if err := w.take(d); err != nil {
					failed <- err
					w.Close()
					for range due[i] { // let the sender go on to its end
					}
				}
			}
		})
	}
	every := time.Second / time.Duration(l.PerSecond)
	var err error
	for n := 0; err == nil && ctx.Err() == nil; n++ {
		d := start.Add(time.Duration(n) * every)
		if !d.Before(writers[0].end) {
			break
		}
		sleepUntil(d)
		i := n % len(writers)
		due[i] <- d
		err = writers[i].Send(d)
	}
	for _, c := range due {
		close(c)
	}
	wg.Wait()
	select {
	case err = <-failed: // it is the cause of what the sender may have seen
	default:
	}
	return err
}
