package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/reference"
	"gregor/test/server"
)

// TestMixedCluster makes one cluster of our node and of Apache Kafka's: first with our controller, then with theirs. Each
// follows the other's partitions, takes them over when the other is killed, and gives them back.
func TestMixedCluster(t *testing.T) {
	k := kafka(t)
	t.Run("our controller", func(t *testing.T) {
		root, port, quorum := t.TempDir(), server.FreePort(t), server.FreePort(t)
		ours := server.Start(t, server.Options{Ours: true, Dir: filepath.Join(root, "ours"), Port: port, Extra: controllerOf(1, port, quorum)})
		admin := kadm.NewClient(client.New(t, ours.Addr))
		m, err := admin.BrokerMetadata(client.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		o := reference.NodeOptions{Dir: filepath.Join(root, "theirs.config"), DataDir: filepath.Join(root, "theirs"), Port: server.FreePort(t), NodeID: 2, ClusterID: m.Cluster}
		o.Extra = append(brokerOf(2, o.Port, quorum), "replica.lag.time.max.ms=3000", "log.initial.task.delay.ms=500")
		var theirs *reference.Node
		start := func() {
			if theirs, err = k.StartNode(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		start()
		t.Cleanup(func() {
			if theirs.Kill(); t.Failed() {
				t.Logf("Apache Kafka wrote:\n%s", theirs.Log())
			}
		})
		mixed(t, ours.Addr, func() { theirs.Kill() }, start)
	})
	t.Run("Apache Kafka's controller", func(t *testing.T) {
		root, port := t.TempDir(), server.FreePort(t)
		o := reference.NodeOptions{Dir: filepath.Join(root, "theirs.config"), DataDir: filepath.Join(root, "theirs"), Port: port, NodeID: 1, ClusterID: "RefKafkaClusterId00000",
			Extra: []string{"broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=3000"}}
		// A level of the metadata that we know, too.
		file := filepath.Join(root, "format.properties")
		writeLines(t, file, append(controllerOf(1, port, port+1), "log.dirs="+o.DataDir)...)
		format, err := k.Tool(t.Context(), "storage", "format", "-t", o.ClusterID, "-r", "3.9-IV0", "-c", file)
		if err == nil {
			var out []byte
			if out, err = format.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := k.StartNode(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if theirs.Kill(); t.Failed() {
				t.Logf("Apache Kafka wrote:\n%s", theirs.Log())
			}
		})
		dir, ourPort := filepath.Join(root, "ours"), server.FreePort(t)
		extra := brokerOf(2, ourPort, port+1)
		writeLines(t, file, append(extra, "log.dirs="+dir)...)
		if out, err := exec.CommandContext(t.Context(), server.Binary(t), "storage", "format", "-t", o.ClusterID, "-c", file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		ours := server.Start(t, server.Options{Ours: true, Dir: dir, Port: ourPort, Extra: extra})
		mixed(t, theirs.Addr, ours.Kill, func() { ours.Restart(t) })
	})
}

func controllerOf(id, port, quorum int) []string {
	return []string{fmt.Sprintf("node.id=%d", id), "process.roles=broker,controller", "controller.listener.names=CONTROLLER",
		fmt.Sprintf("controller.quorum.voters=%d@localhost:%d", id, quorum), fmt.Sprintf("listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", port, quorum)}
}

func brokerOf(id, port, quorum int) []string {
	return []string{fmt.Sprintf("node.id=%d", id), "process.roles=broker", "controller.listener.names=CONTROLLER",
		fmt.Sprintf("controller.quorum.voters=1@localhost:%d", quorum), fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", port),
		"broker.heartbeat.interval.ms=500", "offsets.topic.replication.factor=1"}
}

func writeLines(t *testing.T, file string, lines ...string) {
	t.Helper()
	var text []byte
	for _, l := range lines {
		text = append(append(text, l...), '\n')
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// mixed plays with a cluster of node 1 at an address, which has the controller, and node 2.
func mixed(t *testing.T, addr string, kill, restart func()) {
	cl := client.New(t, addr, kgo.DefaultProduceTopic("mixed"), kgo.ConsumeTopics("mixed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	admin := kadm.NewClient(cl)
	await := func(what string, holds func(kadm.TopicDetail) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			topics, err := admin.ListTopics(t.Context(), "mixed")
			if err == nil && holds(topics["mixed"]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %s: %+v, %v", what, topics["mixed"], err)
			}
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if brokers, err := admin.ListBrokers(t.Context()); err == nil && len(brokers) == 2 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("brokers %v, %v", brokers, err)
		}
	}
	if _, err := admin.CreateTopic(client.Context(t), 6, 2, nil, "mixed"); err != nil {
		t.Fatal(err)
	}
	sent := 0
	produce := func(n int) {
		t.Helper()
		var records []*kgo.Record
		for range n {
			records = append(records, kgo.StringRecord(fmt.Sprint(sent)))
			sent++
		}
		client.Produce(t, cl, records...)
	}
	inSync := func(n int) func(kadm.TopicDetail) bool {
		return func(d kadm.TopicDetail) bool {
			leaders := map[int32]bool{}
			for _, p := range d.Partitions {
				if len(p.ISR) != n || p.Leader < 0 {
					return false
				}
				leaders[p.Leader] = true
			}
			return len(d.Partitions) == 6 && (n == 1 || len(leaders) > 0)
		}
	}
	await("led by both", func(d kadm.TopicDetail) bool {
		leaders := map[int32]bool{}
		for _, p := range d.Partitions {
			leaders[p.Leader] = true
		}
		return inSync(2)(d) && leaders[1] && leaders[2]
	})
	produce(300)
	kill()
	await("led by node 1 alone", inSync(1))
	produce(300)
	restart()
	await("in sync again", inSync(2))
	produce(300)
	seen := map[string]int{}
	for ctx := client.Context(t); len(seen) < sent; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records were read: %v", len(seen), sent, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
	}
	for value, n := range seen {
		if n != 1 {
			t.Errorf("record %s is there %d times", value, n)
		}
	}
}
