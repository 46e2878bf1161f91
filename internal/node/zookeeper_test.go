package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/peer"
	"gregor/internal/zookeeper"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// keeper is a ZooKeeper server in this process.
type keeper struct {
	*zookeeper.Server
	t    *testing.T
	dir  string
	port int
}

func startZooKeeper(t *testing.T) *keeper {
	t.Helper()
	z := &keeper{t: t, dir: t.TempDir()}
	z.start()
	t.Cleanup(z.end)
	return z
}

func (z *keeper) start() {
	z.t.Helper()
	var err error
	if z.Server, err = zookeeper.Start(z.t.Context(), zookeeper.Config{DataDir: z.dir, ClientPort: z.port, ClientPortAddress: "127.0.0.1", TickTime: 200 * time.Millisecond, PreAllocBytes: 1 << 20},
		NewLogs(z.t.Output(), slog.LevelWarn).Part("server")); err != nil {
		z.t.Fatal(err)
	}
	z.port = z.Addr().(*net.TCPAddr).Port
}

func (z *keeper) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := z.Close(ctx); err != nil {
		z.t.Error(err)
	}
}

func (z *keeper) connect() string { return fmt.Sprintf("zookeeper.connect=127.0.0.1:%d", z.port) }

// cable is how a node reaches others, and can be pulled out towards an address.
type cable struct {
	mu   sync.Mutex
	cut  string // address
	open map[net.Conn]string
}

func (c *cable) dial(ctx context.Context, addr string) (net.Conn, error) {
	c.mu.Lock()
	cut := c.cut == addr
	c.mu.Unlock()
	if cut {
		<-ctx.Done() // packets are swallowed
		return nil, ctx.Err()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == nil {
			c.open = map[net.Conn]string{}
		}
		c.open[conn] = addr
	}
	return conn, err
}

func (c *cable) pull(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = addr
	for conn, to := range c.open {
		if to == addr {
			_ = conn.Close()
			delete(c.open, conn)
		}
	}
}

// startOver is start with a cable.
func startOver(t *testing.T, c *cable, dir string, props ...string) (*Node, error) {
	t.Helper()
	m := map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": dir, "group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "3"}
	if err := config.Override(m, props); err != nil {
		t.Fatal(err)
	}
	v, _, err := config.ParseBroker(m)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Config: v, Logs: NewLogs(t.Output(), slog.LevelInfo)}
	if c != nil {
		o.Dial = peer.Dialer(c.dial)
	}
	n, err := Start(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { stop(t, n) })
	}
	return n, err
}

// eventually asks again and again until there is no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := within(t); ; <-tick.C {
		err := ask()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestThreeBrokersOnZooKeeper: a cluster without a quorum. Clients see which broker is the controller, and an API of the
// quorum is not there; brokers ask the controller at its own listener.
func TestThreeBrokersOnZooKeeper(t *testing.T) {
	z := startZooKeeper(t)
	var nodes []*Node
	for i := range 3 {
		nodes = append(nodes, run(t, t.TempDir(), z.connect(), fmt.Sprintf("broker.id=%d", i)))
	}
	ctx := within(t)
	cl := client(t, nodes[2], kgo.RequiredAcks(kgo.AllISRAcks()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 3), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if got := readGroup(t, nodes[1], 30); len(got) != 30 {
		t.Errorf("read %d values", len(got))
	}
	m, err := adm.Metadata(ctx)
	if err != nil || m.Controller != 0 || len(m.Brokers) != 3 || m.Cluster != nodes[0].ClusterID() {
		t.Errorf("%+v %v", m, err)
	}
	versions := kversion.Versions{}
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	versions = *kversion.FromApiVersionsResponse(resp)
	for key, want := range map[kmsg.Key]bool{kmsg.DescribeQuorum: false, kmsg.AddRaftVoter: false, kmsg.DescribeTopicPartitions: false, kmsg.AlterPartition: true, kmsg.Envelope: true, kmsg.Metadata: true} {
		if versions.HasKey(int16(key)) != want {
			t.Errorf("%s is served: %v", key.Name(), !want)
		}
	}
	if slices.ContainsFunc(resp.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
		return f.Name == "eligible.leader.replicas.version"
	}) {
		t.Error("eligible leader replicas are in force")
	}
	for _, n := range nodes {
		meta, err := log.ReadMetaProperties(vfs.OS{}, n.Config().LogDirs()[0])
		if err != nil || meta.Version != 0 || meta.NodeID != n.NodeID() || meta.ClusterID != nodes[0].ClusterID() {
			t.Errorf("meta.properties: %+v %v", meta, err)
		}
		if _, err := os.Stat(filepath.Join(n.Config().LogDirs()[0], metadataTopic)); err == nil {
			t.Error("there is a metadata log on disk")
		}
	}
	// The controller ends cleanly: another one is there before it is gone.
	stop(t, nodes[0])
	if _, err := adm.CreateTopic(ctx, 1, 2, nil, "u"); err != nil {
		t.Error(err)
	}
}

// TestStockPropertiesServe: what Apache Kafka 3.9's own server.properties sets for one broker is enough for a group.
func TestStockPropertiesServe(t *testing.T) {
	z := startZooKeeper(t)
	n := run(t, t.TempDir(), z.connect(), "broker.id=0", "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1", "zookeeper.connection.timeout.ms=18000")
	cl := client(t, n)
	if _, err := kadm.NewClient(cl).CreateTopic(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := readGroup(t, n, 1); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestBrokerIDIsGenerated: brokers without an id get one above reserved.broker.max.id, and keep it.
func TestBrokerIDIsGenerated(t *testing.T) {
	z := startZooKeeper(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	for round := range 2 {
		var nodes []*Node
		for i, dir := range dirs {
			n := run(t, dir, z.connect(), "broker.id=-1", "reserved.broker.max.id=100")
			if want := int32(101 + i); n.NodeID() != want || n.Config().Int32("broker.id") != want {
				t.Errorf("round %d: broker %d, configured %d, want %d", round, n.NodeID(), n.Config().Int32("broker.id"), want)
			}
			nodes = append(nodes, n)
		}
		for _, n := range nodes {
			stop(t, n)
		}
	}
}

// TestDirectoryOfAnotherZooKeeper: a directory whose cluster is not the one in ZooKeeper is refused, and nothing is changed;
// so is one whose cluster a ZooKeeper without any data cannot know.
func TestDirectoryOfAnotherZooKeeper(t *testing.T) {
	z := startZooKeeper(t)
	dir := t.TempDir()
	first := run(t, dir, z.connect(), "broker.id=0")
	stop(t, first)
	before, err := os.ReadFile(log.MetaPropertiesPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	_, err = start(t, dir, z.connect()+"/empty", "broker.id=0")
	if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "knows of no cluster") || !strings.Contains(err.Error(), first.ClusterID()) {
		t.Errorf("an empty ZooKeeper: %v", err)
	}
	other := run(t, t.TempDir(), z.connect()+"/other", "broker.id=0")
	_, err = start(t, dir, z.connect()+"/other", "broker.id=1")
	if err == nil || !strings.Contains(err.Error(), "belongs to node 0") {
		t.Errorf("another node: %v", err)
	}
	_, err = start(t, dir, z.connect()+"/other", "broker.id=0")
	if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), other.ClusterID()) || !strings.Contains(err.Error(), "correct zookeeper.connect") {
		t.Errorf("another cluster: %v", err)
	}
	if after, err := os.ReadFile(log.MetaPropertiesPath(dir)); err != nil || string(after) != string(before) {
		t.Errorf("meta.properties was %s and is %s, %v", before, after, err)
	}
}

// TestStartsBeforeZooKeeper: a broker waits for ZooKeeper as long as zookeeper.connection.timeout.ms says.
func TestStartsBeforeZooKeeper(t *testing.T) {
	z := startZooKeeper(t)
	z.end()
	began := time.Now()
	_, err := start(t, t.TempDir(), z.connect(), "broker.id=0", "zookeeper.connection.timeout.ms=300")
	if err == nil || !strings.Contains(err.Error(), "zookeeper.connection.timeout.ms") || !strings.Contains(err.Error(), fmt.Sprint(z.port)) {
		t.Errorf("no ZooKeeper: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	started, dir, connect := make(chan error, 1), t.TempDir(), z.connect()
	go func() {
		_, err := start(t, dir, connect, "broker.id=0", "zookeeper.connection.timeout.ms=20000")
		started <- err
	}()
	z.start()
	select {
	case err := <-started:
		if err != nil {
			t.Error(err)
		}
	case <-within(t).Done():
		t.Error("the broker does not start when ZooKeeper is there")
	}
}

// TestControllerLosesZooKeeper: the active controller is cut off from ZooKeeper alone. When its session is over another one
// takes over; the old one, which cannot know, decides nothing any more, and follows when it finds out. Producers go on all
// the time.
func TestControllerLosesZooKeeper(t *testing.T) {
	z := startZooKeeper(t)
	cables := make([]*cable, 3)
	nodes := make([]*Node, 3)
	for i := range nodes {
		cables[i] = &cable{}
		var err error
		if nodes[i], err = startOver(t, cables[i], t.TempDir(), z.connect(), fmt.Sprintf("broker.id=%d", i), "zookeeper.session.timeout.ms=1000"); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t)
	cl := client(t, nodes[0], kgo.RequiredAcks(kgo.AllISRAcks()))
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	produce := func() {
		t.Helper()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce()
	addr := strings.TrimPrefix(z.connect(), "zookeeper.connect=")
	cables[0].pull(addr)
	eventually(t, func() error {
		produce()
		for i, n := range nodes[1:] {
			if leader := n.ctrl.Leader(); leader == 0 || leader < 0 {
				return fmt.Errorf("broker %d says that the controller is %d", i+1, leader)
			}
		}
		return nil
	})
	// What it is asked to decide now is never done: its fence is broken.
	lost, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	_, err := ask[*kmsg.CreateTopicsResponse](lost, nodes[0].ctrl, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "never", NumPartitions: 1, ReplicationFactor: 1}}})
	cancel()
	if err == nil {
		t.Error("a controller whose session is over has made a topic")
	}
	cables[0].pull("")
	eventually(t, func() error {
		produce()
		if leader := nodes[0].ctrl.Leader(); leader != nodes[1].ctrl.Leader() {
			return fmt.Errorf("the controller is %d here, %d there", leader, nodes[1].ctrl.Leader())
		}
		return nil
	})
	if _, err := kadm.NewClient(client(t, nodes[0])).CreateTopic(ctx, 1, 3, nil, "u"); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		topics, err := kadm.NewClient(client(t, nodes[1])).ListTopics(ctx)
		if topics.Has("never") || !topics.Has("u") {
			err = fmt.Errorf("topics %v, %w", topics.Names(), err)
		}
		return err
	})
}

// TestBrokerLosesZooKeeper: a broker is cut off from ZooKeeper alone. It reaches the controller, but learns of nothing, so it
// is fenced and leads nothing; it comes back by itself. When all lose ZooKeeper together nobody is fenced, then or later.
func TestBrokerLosesZooKeeper(t *testing.T) {
	const session = 1500 * time.Millisecond
	z := startZooKeeper(t)
	cables := make([]*cable, 3)
	nodes := make([]*Node, 3)
	for i := range nodes {
		cables[i] = &cable{}
		var err error
		if nodes[i], err = startOver(t, cables[i], t.TempDir(), z.connect(), fmt.Sprintf("broker.id=%d", i), fmt.Sprintf("zookeeper.session.timeout.ms=%d", session.Milliseconds()), "broker.heartbeat.interval.ms=100"); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t)
	cl := client(t, nodes[0], kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MetadataMinAge(10*time.Millisecond))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	epochs := func() (text string) {
		for _, p := range nodes[0].ctrl.Image().Topic("t").Partitions {
			text += fmt.Sprintf("%d at %d, ISR %v; ", p.Leader, p.LeaderEpoch, p.ISR)
		}
		return text
	}
	broker := func(id int32) error {
		for _, n := range nodes {
			if b := n.ctrl.Image().Broker(id); b.Fenced {
				return fmt.Errorf("broker %d says that broker %d is fenced", n.NodeID(), id)
			}
		}
		return nil
	}
	produce := func() {
		t.Helper()
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce()
	eventually(t, func() error { // all know of the topic
		for _, n := range nodes {
			if o := n.ctrl.Image().Offset(); o != nodes[0].ctrl.Image().Offset() {
				return fmt.Errorf("broker %d has the metadata up to %d", n.NodeID(), o)
			}
		}
		return nil
	})
	// All of them: longer than a session, and than a session behind its end.
	before := epochs()
	z.end()
	began := time.Now()
	for time.Since(began) < 2*session {
		produce()
	}
	z.start()
	if _, err := adm.CreateTopic(within(t), 1, 3, nil, "u"); err != nil {
		t.Fatal(err)
	}
	if after := epochs(); after != before {
		t.Errorf("leaders were %s and are %s", before, after)
	}
	// One of them.
	cables[1].pull(strings.TrimPrefix(z.connect(), "zookeeper.connect="))
	eventually(t, func() error {
		if b := nodes[0].ctrl.Image().Broker(1); !b.Fenced {
			return errors.New("broker 1 is not fenced")
		}
		for _, p := range nodes[0].ctrl.Image().Topic("t").Partitions {
			if p.Leader == 1 || slices.Contains(p.ISR, 1) {
				return fmt.Errorf("broker 1 leads, or is in sync: %s", epochs())
			}
		}
		return nil
	})
	for range 10 {
		produce()
	}
	cables[1].pull("")
	eventually(t, func() error {
		for _, p := range nodes[0].ctrl.Image().Topic("t").Partitions {
			if len(p.ISR) != 3 {
				return errors.New(epochs())
			}
		}
		return broker(1)
	})
}

// TestControlPlaneListener: the controller is asked at control.plane.listener.name only, if it is set.
func TestControlPlaneListener(t *testing.T) {
	z := startZooKeeper(t)
	props := func(id int) []string {
		return []string{z.connect(), fmt.Sprintf("broker.id=%d", id), "listeners=PLAINTEXT://127.0.0.1:0,CONTROL://127.0.0.1:0",
			"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROL:PLAINTEXT", "control.plane.listener.name=CONTROL"}
	}
	first := run(t, t.TempDir(), props(0)...)
	second := run(t, t.TempDir(), props(1)...)
	if _, err := kadm.NewClient(client(t, second)).CreateTopic(within(t), 1, 2, nil, "t"); err != nil {
		t.Error(err)
	}
	for name, served := range map[string]bool{"PLAINTEXT": false, "CONTROL": true} {
		c, err := peer.Dial(within(t), peer.Options{Addr: first.Addr(name), ClientID: "test"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Do(within(t), &kmsg.BrokerHeartbeatRequest{BrokerID: 1, BrokerEpoch: -5})
		if (err == nil) != served {
			t.Errorf("a heartbeat at %s: %v", name, err)
		}
		c.Close()
	}
}

// TestClosesWithoutZooKeeper: a broker that ends while ZooKeeper is away does not wait for it, nor leave anything behind.
func TestClosesWithoutZooKeeper(t *testing.T) {
	z := startZooKeeper(t)
	before := runtime.NumGoroutine()
	n, err := start(t, t.TempDir(), z.connect(), "broker.id=0")
	if err != nil {
		t.Fatal(err)
	}
	z.end()
	began := time.Now()
	stop(t, n)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the end took %v", took)
	}
	eventually(t, func() error {
		if now := runtime.NumGoroutine(); now > before {
			buf := make([]byte, 1<<20)
			return fmt.Errorf("%d goroutines before, %d after\n%s", before, now, buf[:runtime.Stack(buf, true)])
		}
		return nil
	})
}
