package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/coordinator/txn"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"
	"gregor/internal/replica"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// testBroker is a broker on a loopback listener, over a metadata image that the test makes, without a controller.
type testBroker struct {
	t       testing.TB
	b       *Broker
	addr    string
	live    *config.Live
	manager *replica.Manager
	logged  *logBuffer
	ctl     *testController
	txns    *txn.Service

	registration *metadata.RegisterBrokerRecord

	mu    sync.Mutex
	image *metadata.Image
}

const testNode = 1

// startBroker starts a broker with these properties beyond the defaults.
func startBroker(t testing.TB, props map[string]string) *testBroker {
	t.Helper()
	return startNode(t, testNode, props, nil)
}

// startNode starts a broker with a node id, and replication as the options say.
func startNode(t testing.TB, node int32, props map[string]string, replication func(*replica.Options)) *testBroker {
	t.Helper()
	all := map[string]string{"node.id": "1", "process.roles": "broker,controller", "listeners": "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:1",
		"controller.listener.names": "CONTROLLER", "controller.quorum.voters": "1@127.0.0.1:1", "log.dirs": t.TempDir()}
	for k, v := range props {
		all[k] = v
	}
	values, _, err := config.ParseBroker(all)
	if err != nil {
		t.Fatal(err)
	}
	tb := &testBroker{t: t, live: config.NewLive(values), logged: &logBuffer{}, ctl: &testController{next: 1000}}
	logger := slog.New(slog.NewTextHandler(tb.logged, nil))
	dirs, err := log.OpenDirs(log.DirsOptions{Paths: []string{t.TempDir()}, ClusterID: metadata.NewUUID().String(), NodeID: node})
	if err != nil {
		t.Fatal(err)
	}
	options := replica.Options{
		NodeID: node, Dirs: dirs, Logger: logger,
		TopicConfig: func(_ string, overrides map[string]string) (replica.TopicConfig, error) {
			return testTopicConfig(overrides), nil
		},
	}
	options.OnLeader = func(topic string, p, epoch int32, part *replica.Partition) {
		if topic == txn.Topic {
			tb.txns.Elected(p, epoch, CoordinatorLog(part))
		}
	}
	if replication != nil {
		replication(&options)
	}
	tb.manager = replica.NewManager(options)
	tb.image = metadata.NewImage("cluster")
	tb.txns = txn.NewService(txn.Options{
		Config:     txn.DefaultConfig,
		ProducerID: func(done func(int64, error)) { tb.b.NextProducerID(context.Background(), done) },
		Cluster:    oneBroker{tb},
	})
	t.Cleanup(tb.txns.Close)
	tb.b = New(Options{
		NodeID: node, ClusterID: "cluster", Config: tb.live, Controller: tb.ctl, Replicas: tb.manager, Txns: tb.txns, Logger: logger,
		Image: func() *metadata.Image {
			tb.mu.Lock()
			defer tb.mu.Unlock()
			return tb.image
		},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tb.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- tb.b.Serve("PLAINTEXT", l) }()
	tb.registration = &metadata.RegisterBrokerRecord{BrokerID: node, BrokerEpoch: 5, EndPoints: []metadata.RecordEndpoint{
		{Name: "PLAINTEXT", Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)},
	}, Features: []metadata.RecordFeature{{Name: "metadata.version", MinSupportedVersion: 7, MaxSupportedVersion: 25}, {Name: "group.version", MaxSupportedVersion: 1}}}
	if replication == nil {
		tb.publish(tb.registration, &metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 25})
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := tb.b.Close(ctx); err != nil {
			t.Error(err)
		}
		tb.manager.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := dirs.Close(); err != nil {
			t.Error(err)
		}
	})
	return tb
}

// publish applies metadata records and tells the replicas.
func (tb *testBroker) publish(records ...metadata.Record) {
	tb.t.Helper()
	tb.mu.Lock()
	d := metadata.NewDelta(tb.image)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			tb.mu.Unlock()
			tb.t.Fatal(err)
		}
	}
	image := d.Image(tb.image.Offset()+int64(len(records)), 1)
	tb.mu.Unlock()
	tb.manager.Publish(d, image)
	tb.mu.Lock()
	tb.image = image
	tb.mu.Unlock()
}

// topicID is the id that createTopic gives.
func topicID(name string) metadata.UUID {
	var id metadata.UUID
	copy(id[:], "id of "+name+"................")
	return id
}

// createTopic makes a topic led by this broker.
func (tb *testBroker) createTopic(name string, partitions int, configs ...string) {
	tb.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: topicID(name)}}
	for i := 0; i+1 < len(configs); i += 2 {
		records = append(records, &metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: name, Name: configs[i], Value: &configs[i+1]})
	}
	for i := range partitions {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID(name), PartitionID: int32(i), Replicas: []int32{testNode}, ISR: []int32{testNode}, Leader: testNode, LeaderEpoch: 3})
	}
	tb.publish(records...)
}

// testTopicConfig knows the few topic settings that these tests use.
func testTopicConfig(overrides map[string]string) replica.TopicConfig {
	c := replica.TopicConfig{Log: log.DefaultConfig(), MinInSyncReplicas: 1}
	c.Log.LogAppendTime = overrides["message.timestamp.type"] == "LogAppendTime"
	if v, ok := overrides["min.insync.replicas"]; ok {
		fmt.Sscan(v, &c.MinInSyncReplicas)
	}
	if v, ok := overrides["max.message.bytes"]; ok {
		fmt.Sscan(v, &c.Log.MaxMessageBytes)
	}
	if v, ok := overrides["flush.messages"]; ok {
		fmt.Sscan(v, &c.Log.FlushMessages)
	}
	if v, ok := overrides["compression.type"]; ok {
		c.Log.CompressionType = v
	}
	if v, ok := overrides["cleanup.policy"]; ok {
		c.Log.CleanupCompact, c.Log.CleanupDelete = strings.Contains(v, "compact"), strings.Contains(v, "delete")
	}
	return c
}

// testController gives out producer ids, and nothing else.
type testController struct {
	mu   sync.Mutex
	next int64
	size int32
	fail int16
}

func (c *testController) Do(_ context.Context, _ Caller, req kmsg.Request, done func(kmsg.Response)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := req.(*kmsg.AllocateProducerIDsRequest).ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	r.ProducerIDStart, r.ProducerIDLen, r.ErrorCode = c.next, max(c.size, 1), c.fail
	c.next += int64(r.ProducerIDLen)
	go done(r)
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	s  strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s.String()
}

// client is one raw connection.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *wire.FrameReader
	corr int32
}

func (tb *testBroker) dial() *client {
	tb.t.Helper()
	conn, err := net.Dial("tcp", tb.addr)
	if err != nil {
		tb.t.Fatal(err)
	}
	tb.t.Cleanup(func() { conn.Close() })
	return &client{t: tb.t, conn: conn, in: wire.NewFrameReader(conn, new(wire.Pool), nil)}
}

// encode makes a request's frame.
func (c *client) encode(req kmsg.Request) []byte {
	c.corr++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.corr)
}

func (c *client) send(reqs ...kmsg.Request) {
	c.t.Helper()
	var b []byte
	for _, r := range reqs {
		b = append(b, c.encode(r)...)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads the response to req, which must be the next one.
func (c *client) receive(req kmsg.Request, corr int32) kmsg.Response {
	c.t.Helper()
	resp, err := c.tryReceive(req, corr)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func (c *client) tryReceive(req kmsg.Request, corr int32) (kmsg.Response, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	f, err := c.in.Read(1 << 30)
	if err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(f.Bytes)); got != corr {
		return nil, fmt.Errorf("correlation id %d, want %d", got, corr)
	}
	body := f.Bytes[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != wire.ApiVersionsKey {
		if body, err = wire.SkipTags(body); err != nil {
			return nil, err
		}
	}
	return resp, resp.ReadFrom(body)
}

// do sends a request and reads its response.
func do[R kmsg.Response](c *client, req kmsg.Request) R {
	c.t.Helper()
	c.send(req)
	return c.receive(req, c.corr).(R)
}

// ended waits for the broker to close the connection.
func (c *client) ended() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := c.in.Wait(); err == nil {
		c.t.Fatal("something was answered; the connection should be closed")
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection is still open")
	}
}

// batch makes one record batch of values.
func batch(values ...string) []byte {
	b := record.NewBuilder(record.BuilderOptions{})
	for i, v := range values {
		b.Append(int64(1000+i), nil, []byte(v))
	}
	return b.Build()
}

func produceRequest(version int16, topic string, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, topicID(topic)
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func fetchRequest(version int16, topic string, offsets ...int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = version, 0, 1, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, topicID(topic)
	for i, o := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), o, 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// values are the records of a fetched partition as "offset:value".
func values(t testing.TB, batches []byte) []string {
	t.Helper()
	var out []string
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range b.Records() {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d:%s", r.Offset, r.Value))
		}
		batches = rest
	}
	return out
}
