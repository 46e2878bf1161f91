package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gregor/internal/metadata"

	"pgregory.net/rapid"
)

// What any placement keeps, whatever the racks, the fenced brokers and the chance.
func TestPlacementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var brokers []*metadata.Broker
		racks := rapid.IntRange(0, 4).Draw(t, "racks") // 0: none has a rack
		perRack := map[string]int{}
		live := 0
		for id := range int32(rapid.IntRange(1, 12).Draw(t, "brokers")) {
			b := &metadata.Broker{ID: id, Fenced: rapid.IntRange(0, 3).Draw(t, "fenced") == 0}
			if racks > 0 {
				name := fmt.Sprint(rapid.IntRange(1, racks).Draw(t, "rack"))
				b.Rack = &name
			}
			if !b.Fenced {
				live++
			}
			perRack[rackOf(b)]++
			brokers = append(brokers, b)
		}
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		p := newPlacer(brokers, rnd.IntN)
		replicas := rapid.IntRange(-1, 14).Draw(t, "replicas")
		if err := p.check(replicas); err != nil {
			if replicas > 0 && live > 0 && replicas <= len(brokers) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		leaders, load := map[int32]int{}, map[int32]int{}
		partitions := rapid.IntRange(1, 60).Draw(t, "partitions")
		for range partitions {
			placed := p.place(replicas)
			checkPlaced(t, brokers, placed, replicas)
			leaders[placed[0]]++
			for _, id := range placed {
				load[id]++
			}
		}
		if racks == 0 && live == len(brokers) {
			checkSpread(t, leaders, len(brokers), partitions)
			checkSpread(t, load, len(brokers), partitions*replicas)
		}
	})
}

func rackOf(b *metadata.Broker) string {
	if b.Rack == nil {
		return ""
	}
	return *b.Rack
}

func checkPlaced(t *rapid.T, brokers []*metadata.Broker, placed []int32, replicas int) {
	if len(placed) != replicas || len(slices.Compact(slices.Sorted(slices.Values(placed)))) != replicas {
		t.Fatalf("placed %v, want %d different brokers", placed, replicas)
	}
	if brokers[placed[0]].Fenced {
		t.Fatalf("the leader of %v is fenced", placed)
	}
	// Racks are used evenly: none has two replicas more than another that had a broker left.
	used, size := map[string]int{}, map[string]int{}
	for _, b := range brokers {
		size[rackOf(b)]++
	}
	for _, id := range placed {
		used[rackOf(brokers[id])]++
	}
	for a := range size {
		for b := range size {
			if used[a] > used[b]+1 && used[b] < size[b] {
				t.Fatalf("placed %v: rack %q has %d replicas, rack %q %d of %d brokers", placed, a, used[a], b, used[b], size[b])
			}
		}
	}
	// A fenced broker is taken only when its rack has no other left.
	for _, id := range placed {
		if !brokers[id].Fenced {
			continue
		}
		for _, b := range brokers {
			if !b.Fenced && rackOf(b) == rackOf(brokers[id]) && !slices.Contains(placed, b.ID) {
				t.Fatalf("placed %v: %d is fenced and %d is not", placed, id, b.ID)
			}
		}
	}
}

// checkSpread: without racks and fenced brokers, whole rounds are even; after a shuffle a round may be cut short twice.
func checkSpread(t *rapid.T, counts map[int32]int, brokers, total int) {
	for id := range int32(brokers) {
		if n, even := counts[id], total/brokers; n < even-2 || n > even+2+brokers {
			t.Fatalf("broker %d has %d of %d, %d brokers: %v", id, n, total, brokers, counts)
		}
	}
}
