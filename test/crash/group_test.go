package crash

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
)

// group is what the members of a consumer group have done together.
type group struct {
	places []place
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	read   []int   // by place: every offset below was read
	marks  []int64 // by place: the largest offset of which the commit was acknowledged
	count  int     // of acknowledged commits
	failed error
	change chan struct{}
}

func newGroup(places []place) *group {
	ctx, cancel := context.WithCancel(context.Background())
	return &group{places: places, ctx: ctx, cancel: cancel, read: make([]int, len(places)), marks: make([]int64, len(places)), change: make(chan struct{}, 1)}
}

func (g *group) index(p place) int { return slices.Index(g.places, p) }

// commit commits and notes what was acknowledged. A commit that failed is of no promise: the next one holds more.
func (g *group) commit(c *kgo.Client, next map[place]int64, records []*kgo.Record) {
	if len(records) == 0 || c.CommitRecords(g.ctx, records...) != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	for p, offset := range next {
		i := g.index(p)
		g.marks[i] = max(g.marks[i], offset)
	}
	select {
	case g.change <- struct{}{}:
	default:
	}
}

func (g *group) commits() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

func (g *group) committed() []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.marks)
}

// waitFor waits until so many commits are acknowledged.
func (g *group) waitFor(t *testing.T, commits int) {
	t.Helper()
	ctx := client.Context(t)
	for g.commits() < commits {
		g.check(t)
		select {
		case <-g.change:
		case <-ctx.Done():
			t.Fatalf("%d commits acknowledged, want %d", g.commits(), commits)
		}
	}
}

func (g *group) check(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		t.Fatal(g.failed)
	}
}

func (g *group) end() {
	g.cancel()
	g.done.Wait()
}

func (g *group) stop(t *testing.T) {
	t.Helper()
	g.end()
	g.check(t)
}
