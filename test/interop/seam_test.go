package interop

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// recorder passes connections on to an address, and keeps what both sides said.
type recorder struct {
	dir, name, to string
	port          int

	mu    sync.Mutex
	conns int
}

func record(t *testing.T, dir, name string, to int) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{dir: dir, name: name, to: fmt.Sprintf("localhost:%d", to), port: l.Addr().(*net.TCPAddr).Port}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.pass(ctx, t, c) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	return r
}

func (r *recorder) pass(ctx context.Context, t *testing.T, c net.Conn) {
	defer c.Close()
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		return // as if nobody listened: the peer sees a connection that ends
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.Close()
		_ = far.Close()
	})
	defer stop()
	r.mu.Lock()
	r.conns++
	path := filepath.Join(r.dir, fmt.Sprintf("%s-%03d", r.name, r.conns))
	r.mu.Unlock()
	requests, err := os.Create(path + ".requests")
	if err != nil {
		t.Error(err)
		return
	}
	defer requests.Close()
	responses, err := os.Create(path + ".responses")
	if err != nil {
		t.Error(err)
		return
	}
	defer responses.Close()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(far, io.TeeReader(c, requests))
		_ = far.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(c, io.TeeReader(far, responses))
		_ = c.Close()
	})
	both.Wait()
}

// TestProtocolSeam decodes with Apache Kafka's classes what our nodes say to each other: brokers to the controller, and to
// other brokers, and the metadata log and its snapshot as they are fetched.
func TestProtocolSeam(t *testing.T) {
	k := kafka(t)
	classes, err := k.Compile(t.Context(), filepath.Join("java", "Seam.java"))
	if err != nil {
		t.Fatal(err)
	}
	dir, root := t.TempDir(), t.TempDir()
	quorum := server.FreePort(t)
	toController := record(t, dir, "controller", quorum)
	node := func(id int) *server.Server {
		port := server.FreePort(t)
		advertised := record(t, dir, fmt.Sprint("broker", id), port).port
		extra := []string{
			fmt.Sprintf("node.id=%d", id), "controller.listener.names=CONTROLLER", "offsets.topic.replication.factor=3", "offsets.topic.num.partitions=1",
			"metadata.log.max.record.bytes.between.snapshots=1", "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=3000",
		}
		if id == 1 {
			extra = append(extra, "process.roles=broker,controller", fmt.Sprintf("controller.quorum.voters=1@localhost:%d", quorum),
				fmt.Sprintf("listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", port, quorum),
				fmt.Sprintf("advertised.listeners=PLAINTEXT://localhost:%d", advertised))
		} else {
			extra = append(extra, "process.roles=broker", fmt.Sprintf("controller.quorum.voters=1@localhost:%d", toController.port),
				fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", port), fmt.Sprintf("advertised.listeners=PLAINTEXT://localhost:%d", advertised))
		}
		return server.Start(t, server.Options{Ours: true, Dir: filepath.Join(root, fmt.Sprint(id)), Port: port, Extra: extra})
	}
	node(1)
	second, third := node(2), node(3)
	ctx := client.Context(t)
	cl := client.New(t, second.Addr, kgo.DefaultProduceTopic("seam"))
	admin := kadm.NewClient(cl)
	// Broker 2 has to ask the controller for both.
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "seam", 6, 3
	create.Topics = append(create.Topics, topic)
	if resp, err := create.RequestWith(ctx, cl.Broker(2)); err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatal(resp, err)
	}
	if resp, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(ctx, cl.Broker(2)); err != nil || resp.ErrorCode != 0 {
		t.Fatal(resp, err)
	}
	produce := func() {
		for i := range 50 {
			if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce()
	third.Kill()
	produce()
	third.Restart(t)
	inSync := func() bool {
		topics, err := admin.ListTopics(ctx, "seam")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range topics["seam"].Partitions {
			if len(p.ISR) == 3 {
				n++
			}
		}
		return n == 6
	}
	for deadline := time.Now().Add(time.Minute); !inSync(); {
		if time.Now().After(deadline) {
			t.Fatal("broker 3 does not come back into the ISRs")
		}
	}
	node(4) // after a snapshot, so it takes that
	second.Kill()

	// The files hold whole messages but perhaps for the last; that is enough.
	out, err := k.Java(ctx, classes, "Seam", dir).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil || !strings.Contains(string(out), "all is Kafka's") {
		t.Error("Apache Kafka's classes read our nodes' messages otherwise than we mean them:", err)
	}
	for _, want := range []string{
		"BROKER_REGISTRATION v4", "BROKER_HEARTBEAT v", "ALTER_PARTITION v3", "ALLOCATE_PRODUCER_IDS v0", "ENVELOPE v0", "Envelope of CREATE_TOPICS v",
		"for User:ANONYMOUS at ", "FETCH v", "FETCH_SNAPSHOT v1", "API_VERSIONS v", "metadata log: RegisterBrokerRecord", "metadata log: PartitionChangeRecord",
		"metadata log: TopicRecord", "snapshot: SnapshotHeaderRecord", "snapshot: SnapshotFooterRecord", "snapshot: FeatureLevelRecord",
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(want)).Match(out) {
			t.Errorf("%q was not seen", want)
		}
	}
}
