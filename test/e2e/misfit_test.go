package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
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
	cl := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(client.Context(t), 1, 3, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}, "t"); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, "t", 3)
	n := 0
	produce := func(count int) {
		t.Helper()
		for range count {
			client.Produce(t, cl, &kgo.Record{Topic: "t", Partition: 0, Value: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", 100_000))})
			n++
		}
	}
	produce(40)
	leader := func() int32 {
		t.Helper()
		topics, err := adm.ListTopics(client.Context(t), "t")
		if err != nil {
			t.Fatal(err)
		}
		return topics["t"].Partitions[0].Leader
	}
	copied := func(id int32) {
		t.Helper()
		path := sealed(t, c.Node(id), "t-0")[1]
		if err := c.Node(id).Stop(); err != nil { // else the file's end is known, and what was stretched fits in before it
			t.Fatal(err)
		}
		stretch(t, path)
		c.Node(id).Restart(t)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		// It is in sync until the controller has heard of it, and then its log goes.
		for _, step := range []string{"a damaged replica is copied again as a whole", "log taken out of use"} {
			for deadline := time.Now().Add(client.Patience); !strings.Contains(c.Node(id).Log(), step); <-tick.C {
				if time.Now().After(deadline) {
					t.Fatalf("node %d does not give its replica up: %s", id, step)
				}
			}
		}
		produce(2)
		awaitInSync(t, adm, "t", 3)
	}
	first := leader()
	copied(first%3 + 1)
	copied(first) // another one leads since it was stopped
	for i, r := range client.ReadPartition(t, c.Nodes[0].Addr, "t", 0, int64(n)) {
		if !strings.HasPrefix(string(r.Value), fmt.Sprintf("%d x", i)) {
			t.Fatalf("record %d is %.20q", i, r.Value)
		}
	}
	for _, s := range c.Nodes {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if result := server.Tool(client.Context(t), t, "", "check", s.Dir); result.Code != 0 {
			t.Errorf("gregor check %s: %s%s", s.Dir, result.Stdout, result.Stderr)
		}
	}
}
