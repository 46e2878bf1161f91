package e2e

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"gregor/test/server"
)

// stretch puts a few bytes into a batch in the middle of a segment: what another replica has there does not fill it.
func stretch(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const head, more = 12, 7
	at := 0
	for at < len(b)/2 {
		at += head + int(binary.BigEndian.Uint32(b[at+8:]))
	}
	size := int(binary.BigEndian.Uint32(b[at+8:]))
	binary.BigEndian.PutUint32(b[at+8:], uint32(size+more))
	b = slices.Insert(b, at+head+size, make([]byte, more)...)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDamageThatDoesNotFit: a damaged replica in whose place no other replica's bytes fit leaves the ISR, and the lead, and
// is copied again as a whole.
func TestDamageThatDoesNotFit(t *testing.T) {
	c := startCluster(t, "log.scrub.interval.ms=300", "auto.leader.rebalance.enable=false", "log.segment.delete.delay.ms=100")
	damageThatDoesNotFit(t, c)
}

func damageThatDoesNotFit(t *testing.T, c *server.Cluster) {
	h := newHeavyTopic(t, c)
	h.produce(40)
	copied := func(id int32) {
		t.Helper()
		path := sealed(t, c.Node(id), "t-0")[1]
		if err := c.Node(id).Stop(); err != nil { // else the file's end is known, and what was stretched fits in before it
			t.Fatal(err)
		}
		stretch(t, path)
		c.Node(id).Restart(t)
		// It is in sync until the controller has heard of it, and then its log goes.
		for _, step := range []string{"a damaged replica is copied again as a whole", "log taken out of use"} {
			awaitLog(t, c.Node(id), step)
		}
		h.produce(2)
		h.awaitInSync()
	}
	first := h.leader()
	copied(first%3 + 1)
	copied(first) // another one leads since it was stopped
	h.check()
	h.checkFiles()
}
