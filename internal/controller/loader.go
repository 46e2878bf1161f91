package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"gregor/internal/journal"
	"gregor/internal/metadata"
)

// loader turns what the journal commits into images and tells the publishers, on one goroutine. When it falls behind,
// it takes everything that waits into one step. It is the journal's handler: it leaves leadership to the controller,
// but only after the images up to that point.
type loader struct {
	log       *slog.Logger
	clusterID string
	onImage   func(*metadata.Image) // after the publishers were told
	onLead    func(epoch int32, nextOffset int64, image *metadata.Image, inTxn bool)
	onFollow  func(epoch, leader int32)
	onFail    func(error)
	saver     saver
	stepped   bool // there is no goroutine: see Controller.StepLoader

	mu     sync.Mutex // guards queue and closed
	queue  []any      // []journal.Batch, *metadata.Image, func()
	closed bool
	wake   chan struct{} // has room for one signal
	done   chan struct{}

	image      atomic.Pointer[metadata.Image] // published
	publishers []metadata.Publisher           // belongs to the goroutine
	delta      *metadata.Delta                // under construction, over image; nil when nothing waits
	inTxn      bool                           // between BeginTransaction and EndTransaction: nothing is published (KIP-868)
	ended      bool
	last       journal.Batch // newest batch in delta, without its values
}

func newLoader(clusterID string, log *slog.Logger) *loader {
	l := &loader{log: log, clusterID: clusterID, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.image.Store(metadata.NewImage(clusterID))
	return l
}

// Load implements journal.Handler: it reads the snapshot here, for its values are gone afterwards.
func (l *loader) Load(s journal.Snapshot) error {
	delta := metadata.NewDelta(metadata.NewImage(l.clusterID))
	for value, err := range s.Values {
		if err != nil {
			return err
		}
		r, err := metadata.Parse(value)
		if err == nil {
			err = delta.Apply(r.Record)
		}
		if err != nil {
			return fmt.Errorf("snapshot of the metadata as of offset %d: %w", s.LastOffset, err)
		}
	}
	image := delta.Image(s.LastOffset, s.Epoch)
	l.enqueue(func() error { return l.replace(image) })
	return nil
}

// Commit implements journal.Handler.
func (l *loader) Commit(batches []journal.Batch) error {
	l.enqueue(batches)
	return nil
}

// Lead implements journal.Handler.
func (l *loader) Lead(epoch int32, nextOffset int64) {
	l.enqueue(func() error {
		image := l.image.Load()
		if l.inTxn { // whose records count for nothing until it ends
			image = metadata.NewDelta(image).Image(l.last.LastOffset, l.last.Epoch)
		}
		l.onLead(epoch, nextOffset, image, l.inTxn)
		return nil
	})
}

// Follow implements journal.Handler.
func (l *loader) Follow(epoch int32, leader int32) {
	l.enqueue(func() error { l.onFollow(epoch, leader); return nil })
}

// Fail implements journal.Handler.
func (l *loader) Fail(err error) {
	l.enqueue(func() error { return err })
}

func (l *loader) enqueue(item any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.queue = append(l.queue, item)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// do runs f on the goroutine and waits for it.
func (l *loader) do(ctx context.Context, f func() error) error {
	answer := make(chan error, 1)
	l.enqueue(func() error { answer <- f(); return nil })
	if l.stepped {
		l.step()
	}
	select {
	case err := <-answer:
		return err
	case <-l.done:
		return journal.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *loader) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if l.stepped {
		l.step()
	}
	<-l.done
}

func (l *loader) run() {
	for range l.wake {
		if !l.turn() {
			return
		}
	}
}

// turn does everything that waits, and reports whether there is a next turn.
func (l *loader) turn() bool {
	l.mu.Lock()
	queue, closed := l.queue, l.closed
	l.queue = nil
	l.mu.Unlock()
	if !closed {
		err := l.work(queue)
		if err == nil {
			return true
		}
		l.onFail(err)
	}
	l.ended = true
	l.saver.wait()
	close(l.done)
	return false
}

func (l *loader) work(queue []any) error {
	for _, item := range queue {
		switch item := item.(type) {
		case []journal.Batch:
			for _, b := range item {
				if err := l.add(b); err != nil {
					return fmt.Errorf("metadata log at offset %d: %w", b.Offset, err)
				}
			}
		case func() error:
			l.publish()
			if err := item(); err != nil {
				return err
			}
		}
	}
	l.publish()
	return nil
}

// add takes a batch into the delta.
func (l *loader) add(b journal.Batch) error {
	if l.delta == nil {
		l.delta = metadata.NewDelta(l.image.Load())
	}
	for _, value := range b.Values {
		r, err := metadata.Parse(value)
		if err != nil {
			return err
		}
		switch r.Record.(type) {
		case *metadata.BeginTransactionRecord:
			l.publish()
			if l.delta == nil {
				l.delta = metadata.NewDelta(l.image.Load())
			}
			l.inTxn = true
		case *metadata.EndTransactionRecord:
			l.inTxn = false
		case *metadata.AbortTransactionRecord:
			l.delta, l.inTxn = metadata.NewDelta(l.image.Load()), false
		default:
			if err := l.delta.Apply(r.Record); err != nil {
				return err
			}
		}
	}
	b.Values = nil
	l.last = b
	l.saver.grow(b.SizeBytes)
	return nil
}

// publish tells the publishers of the delta, unless a transaction is open.
func (l *loader) publish() {
	if l.delta == nil || l.inTxn {
		return
	}
	delta := l.delta
	l.delta = nil
	l.tell(delta, delta.Image(l.last.LastOffset, l.last.Epoch))
	l.saver.maybeSave(l.image.Load(), l.last.TimestampMs)
}

func (l *loader) tell(delta *metadata.Delta, image *metadata.Image) {
	if !delta.IsEmpty() {
		for _, p := range l.publishers {
			p.Publish(delta, image)
		}
	}
	l.image.Store(image)
	l.onImage(image)
}

// replace goes on from a snapshot: the first thing that the journal tells, or a jump over a part of the log that it does
// not have. What the delta holds lies before the snapshot.
func (l *loader) replace(image *metadata.Image) error {
	l.delta, l.inTxn = nil, false
	delta := metadata.DeltaBetween(l.image.Load(), image)
	l.tell(delta, delta.Image(image.Offset(), image.Epoch()))
	return nil
}

// addPublisher tells a publisher what there is, and lets it follow.
func (l *loader) addPublisher(p metadata.Publisher) error {
	image := l.image.Load()
	delta, err := image.DeltaFromEmpty()
	if err != nil {
		return err
	}
	p.Publish(delta, image)
	l.publishers = append(l.publishers, p)
	return nil
}
