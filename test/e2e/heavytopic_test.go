package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// heavyTopic is a topic "t" of one partition on three brokers, whose segments are full after ten records.
type heavyTopic struct {
	t   *testing.T
	c   *server.Cluster
	cl  *kgo.Client
	adm *kadm.Client
	n   int // records that were produced
}

func newHeavyTopic(t *testing.T, c *server.Cluster) *heavyTopic {
	t.Helper()
	cl := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	h := &heavyTopic{t: t, c: c, cl: cl, adm: kadm.NewClient(cl)}
	if _, err := h.adm.CreateTopic(client.Context(t), 1, 3, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}, "t"); err != nil {
		t.Fatal(err)
	}
	h.awaitInSync()
	return h
}

func (h *heavyTopic) awaitInSync() {
	h.t.Helper()
	awaitInSync(h.t, h.adm, "t", 3)
}

func (h *heavyTopic) produce(count int) {
	h.t.Helper()
	for range count {
		client.Produce(h.t, h.cl, &kgo.Record{Topic: "t", Partition: 0, Value: fmt.Appendf(nil, "%d %s", h.n, strings.Repeat("x", 100_000))})
		h.n++
	}
}

func (h *heavyTopic) leader() int32 {
	h.t.Helper()
	topics, err := h.adm.ListTopics(client.Context(h.t), "t")
	if err != nil {
		h.t.Fatal(err)
	}
	return topics["t"].Partitions[0].Leader
}

// check reads all records.
func (h *heavyTopic) check() {
	h.t.Helper()
	for i, r := range client.ReadPartition(h.t, h.c.Nodes[0].Addr, "t", 0, int64(h.n)) {
		if !strings.HasPrefix(string(r.Value), fmt.Sprintf("%d x", i)) {
			h.t.Fatalf("record %d is %.20q", i, r.Value)
		}
	}
}

// checkFiles stops the brokers and has gregor check look at what they leave.
func (h *heavyTopic) checkFiles() {
	h.t.Helper()
	for _, s := range h.c.Nodes {
		if err := s.Stop(); err != nil {
			h.t.Fatal(err)
		}
		if result := server.Tool(client.Context(h.t), h.t, "", "check", s.Dir); result.Code != 0 {
			h.t.Errorf("gregor check %s: %s%s", s.Dir, result.Stdout, result.Stderr)
		}
	}
}
