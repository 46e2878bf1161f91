package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refused starts a node that must not start, and checks what it says.
func (c *cluster) refused(id int, extra []string, want ...string) {
	c.t.Helper()
	n, err := c.start(id, extra...)
	if err == nil {
		// It may serve for a moment before it knows.
		select {
		case <-n.Failed():
			err = n.Err()
		case <-time.After(10 * time.Second):
			c.t.Errorf("node %d with %q is not refused", id, extra)
		}
		c.stopNode(n)
	}
	for _, w := range want {
		if err != nil && !strings.Contains(err.Error(), w) {
			c.t.Errorf("node %d with %q: %v, want %q", id, extra, err, w)
		}
	}
}

// TestNodeIDInUse: a second process with the id of a member of the cluster is refused, and the member goes on.
func TestNodeIDInUse(t *testing.T) {
	c := newCluster(t, 3)
	c.run()
	elsewhere := func(name string) []string {
		return []string{"log.dirs=" + filepath.Join(c.dir, name), fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", freePort(t), freePort(t))}
	}
	c.refused(2, elsewhere("a"), "node.id=2 belongs to another process", fmt.Sprintf("127.0.0.1:%d", c.ports[1]))
	// One that is only a broker is found out by its registration.
	var servers []string
	for _, p := range c.ports {
		servers = append(servers, fmt.Sprintf("127.0.0.1:%d", p))
	}
	broker := append(elsewhere("b"), "process.roles=broker", "controller.quorum.voters=", "controller.quorum.bootstrap.servers="+strings.Join(servers, ","))
	broker[1] = fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d", freePort(t))
	c.refused(2, broker, "node.id=2 belongs to another process", fmt.Sprintf("127.0.0.1:%d", c.clients[1]))
	if _, err := kadm.NewClient(c.client()).CreateTopic(within(t), 3, 3, nil, "t"); err != nil {
		t.Error(err)
	}
}

// TestOtherClustersVoter: a node whose directories belong to another cluster is refused with both ids.
func TestOtherClustersVoter(t *testing.T) {
	c := newCluster(t, 3)
	c.run()
	id := c.nodes[0].ClusterID()
	c.stop(3)
	dir := filepath.Join(c.dir, "formatted")
	if err := log.Format(vfs.OS{}, dir, "another-cluster", 3); err != nil {
		t.Fatal(err)
	}
	c.refused(3, []string{"log.dirs=" + dir}, "another-cluster", id)
	c.run()
}

// TestWipedVoter: a voter whose disk was lost comes back with an empty one. It gets everything from the others, nothing
// is lost, and it counts as a voter again.
func TestWipedVoter(t *testing.T) {
	ctx := within(t)
	c := newCluster(t, 3)
	c.run()
	cl := c.client(kgo.RequiredAcks(kgo.AllISRAcks()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 3, 3, nil, "before"); err != nil {
		t.Fatal(err)
	}
	produced := 0
	produce := func() {
		for range 20 {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "before", Value: fmt.Append(nil, produced)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			produced++
		}
	}
	produce()
	id := c.nodes[0].ClusterID()
	for _, node := range []int{1, 2} { // one after the other: a majority has lost its disks in the end
		c.stop(node)
		if err := os.RemoveAll(filepath.Join(c.dir, fmt.Sprint(node))); err != nil {
			t.Fatal(err)
		}
		c.run()
		if got := c.nodes[node-1].ClusterID(); got != id {
			t.Fatalf("node %d is in cluster %s", node, got)
		}
		produce()
		awaitISR(t, adm, "before", 3)
	}
	c.stop(3)
	if _, err := adm.CreateTopic(ctx, 1, 2, nil, "after"); err != nil {
		t.Errorf("the voters with new disks do not decide: %v", err)
	}
	topics, err := adm.ListTopics(ctx)
	if err != nil || !topics.Has("before") || !topics.Has("after") {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
	ends, err := adm.ListEndOffsets(ctx, "before")
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if err != nil || total != int64(produced) {
		t.Errorf("%d records, %d were acknowledged; %v", total, produced, err)
	}
}

func awaitISR(t *testing.T, adm *kadm.Client, topic string, n int) {
	t.Helper()
	for ctx := within(t); ; {
		topics, err := adm.ListTopics(ctx, topic)
		missing := 0
		for _, p := range topics[topic].Partitions {
			if len(p.ISR) < n {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return
		}
		if !pause(ctx, 10*time.Millisecond) {
			t.Fatalf("%d partitions are behind, %v", missing, err)
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) await(t *testing.T, texts ...string) {
	t.Helper()
	for ctx := within(t); ; {
		b.mu.Lock()
		log := b.b.String()
		b.mu.Unlock()
		missing := ""
		for _, text := range texts {
			if !strings.Contains(log, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("%q is not in the log:\n%s", missing, log)
		}
	}
}

// TestAdvertisedListener: the broker dials what it advertises. Nobody there is a warning, another broker is the end.
func TestAdvertisedListener(t *testing.T) {
	start := func(advertised string) (*Node, *lockedBuffer, error) {
		out := &lockedBuffer{}
		v := values(t, map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": t.TempDir(), "advertised.listeners": advertised})
		n, err := Start(within(t), Options{Config: v, Logs: NewLogs(out, slog.LevelInfo)})
		if err == nil {
			t.Cleanup(func() { n.Close(context.Background()) })
		}
		return n, out, err
	}
	gone := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", freePort(t))
	n, out, err := start(gone)
	if err != nil {
		t.Fatal(err)
	}
	out.await(t, "WARN", "advertised.listeners", gone, "connection refused")
	if err := n.Err(); err != nil {
		t.Errorf("it ended: %v", err)
	}

	other := run(t, t.TempDir(), "node.id=5")
	n, _, err = start("PLAINTEXT://" + other.Addr(""))
	if err == nil {
		select {
		case <-n.Failed():
			err = n.Err()
		case <-within(t).Done():
		}
	}
	if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "advertised.listeners") || !strings.Contains(err.Error(), "node 5") {
		t.Errorf("it sends clients to another broker: %v", err)
	}
}

// TestClockAnHourOff: a node whose clock is an hour off works, and says so.
func TestClockAnHourOff(t *testing.T) {
	c := newCluster(t, 3)
	out := &lockedBuffer{}
	var wg sync.WaitGroup
	for id := 1; id <= 2; id++ {
		wg.Go(func() {
			n, err := c.start(id)
			if err != nil {
				t.Error(err)
				return
			}
			c.nodes[id-1] = n
			t.Cleanup(func() { c.stopNode(n) })
		})
	}
	m := map[string]string{}
	if err := config.Override(m, c.props(3)); err != nil {
		t.Fatal(err)
	}
	n, err := Start(within(t), Options{Config: values(t, m), Logs: NewLogs(out, slog.LevelInfo), Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stopNode(n) })
	out.await(t, "clocks disagree", "1h0m0s ahead of", "NTP")
	cl := c.client(kgo.RequiredAcks(kgo.AllISRAcks()))
	if _, err := kadm.NewClient(cl).CreateTopic(within(t), 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}
