package coordinator

import "testing"

// Hash codes as Java gives them, and Kafka's partitions of 50 for them.
func TestPartitionOf(t *testing.T) {
	for _, c := range []struct {
		key       string
		hash      int32
		partition int32
	}{
		{"", 0, 0},
		{"a", 97, 47},
		{"my-group", -1906497762, 12},
		{"polygenelubricants", -1 << 31, 0},
		{"über", 7604755, 5},
		{"😀", 1772899, 49},
	} {
		if got := javaHash(c.key); got != c.hash {
			t.Errorf("hash of %q: got %d, want %d", c.key, got, c.hash)
		}
		if got := PartitionOf(c.key, 50); got != c.partition {
			t.Errorf("partition of %q: got %d, want %d", c.key, got, c.partition)
		}
	}
}
