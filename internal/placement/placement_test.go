package placement

import (
	"slices"
	"testing"
)

// Stripes over three racks: each partition has a replica in each, and the leaders take turns.
func TestStripesOverRacks(t *testing.T) {
	brokers := []Broker{{1, "a", false}, {2, "a", false}, {3, "b", false}, {4, "b", false}, {5, "c", false}, {6, "c", false}}
	p := New(brokers, first)
	var got [][]int32
	for range 3 {
		got = append(got, p.Place(3))
	}
	// Each round begins one rack further, and one broker further in each rack.
	for i, want := range [][]int32{{1, 3, 5}, {4, 6, 2}, {5, 1, 3}} {
		if !slices.Equal(got[i], want) {
			t.Errorf("partition %d is on %v, want %v", i, got[i], want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	p := New([]Broker{{1, "", false}, {2, "", true}}, first)
	for replicas, want := range map[int]string{
		0: "Invalid replication factor 0: the replication factor must be positive.",
		2: "",
		3: "The target replication factor of 3 cannot be reached because only 2 broker(s) are registered or some brokers have all their log directories cordoned.",
	} {
		got := ""
		if err := p.Check(replicas); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d replicas: %q, want %q", replicas, got, want)
		}
	}
	if err := New([]Broker{{1, "", true}}, first).Check(1); err == nil || err.Error() != "All brokers are currently fenced." {
		t.Errorf("only fenced brokers: %v", err)
	}
}

func first(int) int { return 0 }
