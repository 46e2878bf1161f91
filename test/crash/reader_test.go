package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
)

// reader follows every partition through all crashes and checks that numbers come without a gap and without a repeat.
type reader struct {
	mu     sync.Mutex
	next   []int // by place
	failed error
	change chan struct{}
}

func startReader(t *testing.T, addr string, places []place) *reader {
	offsets := map[string]map[int32]kgo.Offset{}
	for _, p := range places {
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.Offset{}
		}
		offsets[p.topic][p.partition] = kgo.NewOffset().At(0)
	}
	c := client.New(t, addr, kgo.ConsumePartitions(offsets), kgo.FetchMaxWait(100*time.Millisecond))
	r := &reader{next: make([]int, len(places)), change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := c.PollFetches(ctx)
			r.mu.Lock()
			fetches.EachError(func(topic string, p int32, err error) {
				var lost *kgo.ErrDataLoss
				if errors.As(err, &lost) {
					r.failed = fmt.Errorf("%v: %w", place{topic, p}, err)
				}
			})
			fetches.EachRecord(func(record *kgo.Record) {
				p := place{record.Topic, record.Partition}
				i := slices.Index(places, p)
				if want := r.next[i]; number(record) != want && r.failed == nil {
					r.failed = fmt.Errorf("%v: record %d at offset %d, want %d", p, number(record), record.Offset, want)
				}
				r.next[i]++
			})
			r.mu.Unlock()
			select {
			case r.change <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *reader) waitFor(t *testing.T, want []int) {
	t.Helper()
	ctx := client.Context(t)
	for {
		r.mu.Lock()
		next, failed := slices.Clone(r.next), r.failed
		r.mu.Unlock()
		if failed != nil {
			t.Fatal(failed)
		}
		missing := false
		for p := range want {
			missing = missing || next[p] < want[p]
		}
		if !missing {
			return
		}
		select {
		case <-r.change:
		case <-ctx.Done():
			t.Fatalf("read up to %v, acknowledged were %v", next, want)
		}
	}
}
