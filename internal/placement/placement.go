// Package placement chooses the brokers of new replicas as Kafka does. The controller uses it for new partitions, and
// kafka-reassign-partitions for the plans that it proposes.
package placement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Replicas are placed in stripes: over racks first, over the brokers of a rack second, from a random start. The first
// replica is on a broker that is not fenced, and fenced brokers are taken only when a rack has no others left. A
// partition never has two replicas on one broker.

// Broker is what placement needs to know of one.
type Broker struct {
	ID     int32
	Rack   string // "" without a rack
	Fenced bool
}

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

// Placer places partitions one after the other.
type Placer struct {
	racks  []*rack
	total  int
	live   int
	start  int // rack that the next partition begins with
	round  int
	used   int // stripes since the last shuffle
	random func(n int) int
}

// New starts a placement over these brokers. random returns a number from 0 to below n.
func New(brokers []Broker, random func(n int) int) *Placer {
	p := &Placer{random: random}
	byName := map[string]*rack{}
	for _, b := range brokers {
		r := byName[b.Rack]
		if r == nil {
			r = &rack{name: b.Rack}
			byName[b.Rack] = r
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

// Check says, in Kafka's words, why a number of replicas cannot be placed.
func (p *Placer) Check(replicas int) error {
	switch {
	case replicas <= 0:
		return fmt.Errorf("Invalid replication factor %d: the replication factor must be positive.", replicas)
	case p.live == 0:
		return errors.New("All brokers are currently fenced.")
	case replicas > p.total:
		return fmt.Errorf("The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", replicas, p.total)
	}
	return nil
}

// Place returns the replicas of the next partition, the preferred leader first. Check has passed.
func (p *Placer) Place(replicas int) []int32 {
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

func (p *Placer) shuffle() {
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
