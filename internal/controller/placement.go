package controller

import (
	"cmp"
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Placement spreads the replicas of new partitions in stripes: over racks first, over the brokers of a rack second,
// from a random start. The first replica is on a broker that is not fenced, and fenced brokers are taken only when a
// rack has no others left. A partition never has two replicas on one broker.

// ring hands out brokers in turn. Each round begins one further than the round before.
type ring struct {
	brokers []int32
	start   int
	taken   int
	round   int
}

// next returns a broker that was not handed out in this round, or false.
func (r *ring) next(round int) (int32, bool) {
	if len(r.brokers) == 0 {
		return 0, false
	}
	if r.round != round {
		r.round, r.taken = round, 0
		r.start = (r.start + 1) % len(r.brokers)
	}
	if r.taken >= len(r.brokers) {
		return 0, false
	}
	b := r.brokers[(r.start+r.taken)%len(r.brokers)]
	r.taken++
	return b, true
}

type rack struct {
	name   string // "" for brokers without a rack
	live   ring
	fenced ring
}

func (r *rack) next(round int) (int32, bool) {
	if b, ok := r.live.next(round); ok {
		return b, true
	}
	return r.fenced.next(round)
}

// placer places partitions one after the other.
type placer struct {
	racks  []*rack
	total  int
	live   int
	start  int // rack that the next partition begins with
	round  int
	used   int // stripes since the last shuffle
	random func(n int) int
}

func newPlacer(brokers []*metadata.Broker, random func(n int) int) *placer {
	p := &placer{random: random}
	byName := map[string]*rack{}
	for _, b := range brokers {
		name := ""
		if b.Rack != nil {
			name = *b.Rack
		}
		r := byName[name]
		if r == nil {
			r = &rack{name: name}
			byName[name] = r
			p.racks = append(p.racks, r)
		}
		p.total++
		if b.Fenced {
			r.fenced.brokers = append(r.fenced.brokers, b.ID)
		} else {
			p.live++
			r.live.brokers = append(r.live.brokers, b.ID)
		}
	}
	slices.SortFunc(p.racks, func(a, b *rack) int { return cmp.Compare(a.name, b.name) })
	for _, r := range p.racks {
		for _, brokers := range []*ring{&r.live, &r.fenced} {
			slices.Sort(brokers.brokers)
			if n := len(brokers.brokers); n > 0 {
				brokers.start = random(n)
			}
		}
	}
	if len(p.racks) > 0 {
		p.start = random(len(p.racks))
	}
	return p
}

// check says why a number of replicas cannot be placed.
func (p *placer) check(replicas int) *apiError {
	switch {
	case replicas <= 0:
		return refuse(kerr.InvalidReplicationFactor, "Invalid replication factor %d: the replication factor must be positive.", replicas)
	case p.live == 0:
		return refuse(kerr.InvalidReplicationFactor, "All brokers are currently fenced.")
	case replicas > p.total:
		return refuse(kerr.InvalidReplicationFactor, "The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", replicas, p.total)
	}
	return nil
}

// place returns the replicas of one partition, the preferred leader first. check has passed.
func (p *placer) place(replicas int) []int32 {
	if p.used == p.live && p.live > 1 {
		p.shuffle() // every stripe was used once
	}
	if p.start == len(p.racks) {
		p.start = 0
	}
	placed := make([]int32, 0, replicas)
	first := p.start
	for {
		if b, ok := p.racks[first].live.next(p.round); ok {
			placed = append(placed, b)
			break
		}
		first = (first + 1) % len(p.racks)
	}
	// The leader's rack had its turn; from the second time around it is one of all again.
	skip := first
	for at := p.start; len(placed) < replicas; at = (at + 1) % len(p.racks) {
		if at == skip {
			skip = -1
			continue
		}
		if b, ok := p.racks[at].next(p.round); ok {
			placed = append(placed, b)
		}
	}
	p.round++
	p.used++
	p.start++
	return placed
}

func (p *placer) shuffle() {
	p.used = 0
	shuffle(p.racks, p.random)
	for _, r := range p.racks {
		shuffle(r.live.brokers, p.random)
		shuffle(r.fenced.brokers, p.random)
	}
}

func shuffle[T any](items []T, random func(n int) int) {
	for i := len(items) - 1; i > 0; i-- {
		j := random(i + 1)
		items[i], items[j] = items[j], items[i]
	}
}
