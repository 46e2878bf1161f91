package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/reference"
	"gregor/test/server"
	zk "gregor/test/zookeeper"
)

// apacheBrokers is three brokers of Apache Kafka 3.9 on a ZooKeeper server.
type apacheBrokers struct {
	t       *testing.T
	kafka   *reference.Kafka
	options [3]reference.BrokerOptions
	nodes   [3]*reference.Node
	client  *kgo.Client
	admin   *kadm.Client
}

func startApacheBrokers(t *testing.T, connect string) *apacheBrokers {
	t.Helper()
	k, err := reference.Fetch(t.Context(), reference.VersionZooKeeper)
	if err != nil {
		t.Fatal(err)
	}
	b := &apacheBrokers{t: t, kafka: k}
	root := t.TempDir()
	for id := range b.options {
		port := server.FreePort(t)
		b.options[id] = reference.BrokerOptions{Dir: filepath.Join(root, fmt.Sprint(id)), Port: port, ID: id, ZooKeeper: connect, Heap: "256m", Extra: []string{
			"offsets.topic.num.partitions=3", "offsets.topic.replication.factor=3", "min.insync.replicas=2", "zookeeper.session.timeout.ms=6000", "replica.lag.time.max.ms=4000",
			"log.cleaner.dedupe.buffer.size=10485760", "num.network.threads=1", "num.io.threads=2", "auto.create.topics.enable=false",
		}}
	}
	t.Cleanup(func() {
		for id, n := range b.nodes {
			if n != nil {
				n.Kill()
				if t.Failed() {
					t.Logf("Apache Kafka's broker %d wrote:\n%s", id, n.Log())
				}
			}
		}
	})
	var wg sync.WaitGroup
	errs := make([]error, len(b.nodes))
	for id := range b.nodes {
		wg.Go(func() { b.nodes[id], errs[id] = k.StartBroker(t.Context(), b.options[id]) })
	}
	wg.Wait()
	for id, err := range errs {
		if err != nil {
			t.Fatalf("broker %d: %v", id, err)
		}
	}
	b.client = client.New(t, "", kgo.SeedBrokers(b.seeds()...))
	b.admin = kadm.NewClient(b.client)
	await(b.t, "three brokers", func(ctx context.Context) error {
		brokers, err := b.admin.ListBrokers(ctx)
		if err == nil && len(brokers) != 3 {
			err = fmt.Errorf("%d brokers", len(brokers))
		}
		return err
	})
	return b
}

func (b *apacheBrokers) seeds() (all []string) {
	for _, o := range b.options {
		all = append(all, fmt.Sprintf("localhost:%d", o.Port))
	}
	return all
}

func (b *apacheBrokers) restart(id int) {
	b.t.Helper()
	var err error
	if b.nodes[id], err = b.kafka.StartBroker(b.t.Context(), b.options[id]); err != nil {
		b.t.Fatal(err)
	}
	await(b.t, "all replicas in sync", func(ctx context.Context) error { return client.Whole(ctx, b.admin, 3) })
}

// controller is the broker that the node /controller names.
func (b *apacheBrokers) controller(s *zk.Server) (id int, err error) {
	c, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 5000})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer func() { _, _ = c.Do(zk.Bare(zk.OpCloseSession)) }()
	m, err := c.Do(zk.Read(zk.OpGetData, "/kafka/controller", false))
	if err != nil || m.Err != 0 {
		return 0, fmt.Errorf("/kafka/controller: error %d, %v", m.Err, err)
	}
	found := regexp.MustCompile(`"brokerid":(\d+)`).FindSubmatch(m.Body)
	if found == nil {
		return 0, fmt.Errorf("/kafka/controller: %q", m.Body)
	}
	return strconv.Atoi(string(found[1]))
}

// TestApacheKafkaOnOurZooKeeper runs three brokers of Apache Kafka 3.9 on our ZooKeeper server, under load: topics and their
// configurations, the loss of a broker, of the controller, and of the ZooKeeper server itself. Nothing acknowledged is
// lost, and the group reads all of it. GREGOR_TARGET=apache has it all on Apache ZooKeeper.
func TestApacheKafkaOnOurZooKeeper(t *testing.T) {
	ctx := t.Context()
	s := zk.Start(t, zk.Options{Apache: server.Apache()})
	b := startApacheBrokers(t, s.Addr+"/kafka")

	// Topics and configurations, as the tools do.
	value := "2"
	if _, err := b.admin.CreateTopic(client.Context(t), 6, 3, map[string]*string{"min.insync.replicas": &value}, "load"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin.CreateTopic(client.Context(t), 1, 3, nil, "short-lived"); err != nil {
		t.Fatal(err)
	}
	if err := b.createPartitions("short-lived", 4); err != nil {
		t.Fatal(err)
	}
	retention := "123456"
	altered, err := b.admin.AlterTopicConfigs(client.Context(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &retention}}, "load")
	if err == nil {
		_, err = altered.On("load", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	await(b.t, "the configuration", func(ctx context.Context) error {
		configs, err := b.admin.DescribeTopicConfigs(ctx, "load")
		if err != nil {
			return err
		}
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" && c.MaybeValue() == retention {
				return nil
			}
		}
		return fmt.Errorf("not there: %v", configs[0].Err)
	})
	await(b.t, "four partitions", func(ctx context.Context) error {
		topics, err := b.admin.ListTopics(ctx, "short-lived")
		if err == nil && len(topics["short-lived"].Partitions) != 4 {
			err = fmt.Errorf("%d", len(topics["short-lived"].Partitions))
		}
		return err
	})
	if _, err := b.admin.DeleteTopic(ctx, "short-lived"); err != nil {
		t.Fatal(err)
	}

	l := startNumbers(t, b.seeds(), "load")
	l.goesOn("start")
	await(b.t, "the deletion", func(ctx context.Context) error {
		topics, err := b.admin.ListTopics(ctx)
		if err == nil && topics.Has("short-lived") {
			err = fmt.Errorf("the topic is still there")
		}
		return err
	})
	controller := func() (id int) {
		await(b.t, "a controller", func(context.Context) (err error) { id, err = b.controller(s); return err })
		return id
	}
	other := (controller() + 1) % 3
	b.nodes[other].Kill()
	l.goesOn(fmt.Sprintf("broker %d was killed", other))
	b.restart(other)

	was := controller()
	b.nodes[was].Kill()
	l.goesOn(fmt.Sprintf("broker %d, the controller, was killed", was))
	await(b.t, "another controller", func(context.Context) error {
		id, err := b.controller(s)
		if err == nil && id == was {
			err = fmt.Errorf("still %d", id)
		}
		return err
	})
	b.restart(was)

	// Brokers go on with what they lead while ZooKeeper is away, and find their sessions there when it is back.
	before := b.registrations(s)
	s.Kill()
	l.goesOn("ZooKeeper was killed")
	s.Restart(t)
	l.goesOn("ZooKeeper came back")
	await(b.t, "a topic after that", func(ctx context.Context) error {
		_, err := b.admin.CreateTopic(ctx, 3, 3, nil, "afterwards")
		if err != nil && strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
			err = nil
		}
		return err
	})
	if after := b.registrations(s); after != before {
		t.Errorf("sessions did not live through the restart: brokers were registered at\n%s and are at\n%s", before, after)
	}
	await(b.t, "all replicas in sync", func(ctx context.Context) error { return client.Whole(ctx, b.admin, 3) })
	l.finish()
}

func (b *apacheBrokers) createPartitions(topic string, n int) error {
	resp, err := b.admin.UpdatePartitions(client.Context(b.t), n, topic)
	if err != nil {
		return err
	}
	return resp.Error()
}

// registrations are the brokers' nodes with the transactions that made them.
func (b *apacheBrokers) registrations(s *zk.Server) string {
	b.t.Helper()
	c, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 5000})
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	text := ""
	for id := range b.nodes {
		m, err := c.Do(zk.Read(zk.OpExists, fmt.Sprintf("/kafka/brokers/ids/%d", id), false))
		if err != nil {
			b.t.Fatal(err)
		}
		text += fmt.Sprintf("%d: error %d, made by %x\n", id, m.Err, m.Body[:min(8, len(m.Body))])
	}
	_, _ = c.Do(zk.Bare(zk.OpCloseSession))
	return text
}
