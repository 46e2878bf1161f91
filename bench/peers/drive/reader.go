package drive

import (
	"context"
	"sync"
	"time"

	"gregor/bench/load"
)

// Hooks are told of what a reader does; each may be nil.
type Hooks struct {
	Started func()              // the reader has asked for records
	Each    func(record []byte) // one came to the first reader of a partition; it is valid until Each returns
}

// Began calls Started.
func (h Hooks) Began() {
	if h.Started != nil {
		h.Started()
	}
}

// Read runs readers beside each other until each has returned, and adds up what they have read. The first error ends all.
func Read(ctx context.Context, readers int, read func(ctx context.Context, reader int) (load.Result, error)) (load.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total load.Result
	)
	start := time.Now()
	for i := range readers {
		wg.Go(func() {
			got, err := read(ctx, i)
			if err != nil {
				cancel(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total.Records += got.Records
			total.Bytes += got.Bytes
			total.Requests += got.Requests
		})
	}
	wg.Wait()
	total.Elapsed = time.Since(start)
	return total, context.Cause(ctx)
}
