package replica

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gregor/internal/metadata"
)

// tickInterval is how often followers that are missing in an ISR are looked at, apart from their own fetches.
const tickInterval = 500 * time.Millisecond

// ticker is the one goroutine of a Manager apart from those of its fetchers: it takes steps that nobody else would.
type ticker struct {
	ctx    context.Context
	cancel context.CancelFunc
	woken  chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	shrunk time.Time // when lagging followers were looked for last
	closed bool
}

func (m *Manager) start() {
	t := &m.ticker
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.woken = make(chan struct{}, 1)
	m.proposals.m, m.proposals.ctx = m, t.ctx
	m.placements.m, m.placements.ctx = m, t.ctx
	m.followers.m = m
	m.moves.m = m
	m.startThrottles()
	m.watched.leaders = make(map[*leader]struct{})
	if m.o.Inline || m.o.Alter == nil {
		return
	}
	t.wg.Go(func() {
		timer := time.NewTimer(tickInterval)
		defer timer.Stop()
		for {
			select {
			case <-t.ctx.Done():
				return
			case <-timer.C:
			case <-t.woken:
			}
			timer.Reset(m.Tick())
		}
	})
}

// run starts a goroutine that Close waits for; false after Close.
func (t *ticker) run(do func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(do)
	return true
}

// wake has the ticker's goroutine look at the clock again.
func (m *Manager) wake() {
	select {
	case m.ticker.woken <- struct{}{}:
	default:
	}
}

// Close ends the fetchers and what else goes on beside. The partitions stay as they are: followers are not fetched for,
// and ISRs do not change any more.
func (m *Manager) Close() {
	m.ticker.mu.Lock()
	m.ticker.closed = true
	m.ticker.mu.Unlock()
	m.ticker.cancel()
	m.followers.close()
	m.ticker.wg.Wait()
}

// Tick does what is due by the clock: followers that lag leave the ISR, others come back, and changes of ISRs that failed
// are asked for again. It returns how soon it wants to be called again. Only the owner of an Inline manager calls it.
func (m *Manager) Tick() time.Duration {
	now := m.now()
	t := &m.ticker
	t.mu.Lock()
	shrink := now.Sub(t.shrunk) >= m.lag()/2 || now.Before(t.shrunk)
	if shrink {
		t.shrunk = now
	}
	t.mu.Unlock()
	m.proposals.hold()
	if shrink {
		m.All(func(p *Partition) {
			if ld := p.role.Load().leader; ld != nil {
				ld.review(now, true)
			}
		})
	}
	m.reviewWatched()
	m.proposals.release() // and sends what is due
	m.placements.send()
	m.startRepairs()
	if m.o.Inline {
		m.moves.step()
	}
	wait := tickInterval
	for _, due := range []time.Time{m.proposals.due(), m.placements.due()} {
		if !due.IsZero() {
			wait = min(wait, max(due.Sub(now), time.Millisecond))
		}
	}
	return wait
}

// watched are the leaders with followers outside of the ISR.
type watched struct {
	mu      sync.Mutex
	leaders map[*leader]struct{}
}

// watch notes a leader that misses followers. ld.mu may be held.
func (m *Manager) watch(ld *leader) {
	m.watched.mu.Lock()
	defer m.watched.mu.Unlock()
	m.watched.leaders[ld] = struct{}{}
}

// reviewWatched looks whether missing followers can come back: their own fetches may have come before the broker was
// unfenced, or while another change of the ISR was under way, and a follower with nothing to fetch is silent.
func (m *Manager) reviewWatched() {
	m.watched.mu.Lock()
	list := slices.Collect(maps.Keys(m.watched.leaders))
	m.watched.mu.Unlock()
	if m.o.Inline { // the same order in every run
		slices.SortFunc(list, func(a, b *leader) int { return a.p.compare(b.p) })
	}
	now := m.now()
	for _, ld := range list {
		// Taken off first: an ISR that shrinks during the review puts it on again.
		m.watched.mu.Lock()
		delete(m.watched.leaders, ld)
		m.watched.mu.Unlock()
		if ld.review(now, false) {
			m.watch(ld)
		}
	}
}

// returned reports whether a broker may go into ISRs since a step of the metadata.
func returned(delta *metadata.Delta) bool {
	for _, b := range delta.Brokers() {
		if b.New != nil && !b.New.Fenced && !b.New.ShuttingDown {
			return true
		}
	}
	return false
}
