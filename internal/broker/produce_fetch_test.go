package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produce sends one batch and returns the answer of its partition.
func (c *client) produce(version int16, topic string, partition int32, acks int16, records []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	resp := do[*kmsg.ProduceResponse](c, produceRequest(version, topic, partition, acks, records))
	return resp.Topics[0].Partitions[0]
}

// fetch reads partition 0 and up of a topic from the offsets.
func (c *client) fetch(version int16, topic string, offsets ...int64) []kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	resp := do[*kmsg.FetchResponse](c, fetchRequest(version, topic, offsets...))
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 {
		c.t.Fatalf("fetch: error %d, %d topics", resp.ErrorCode, len(resp.Topics))
	}
	return resp.Topics[0].Partitions
}

// What is produced with any version is fetched with any version.
func TestEveryVersionProducesAndFetches(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	var want []string
	for v := int16(3); v <= 13; v++ {
		for _, acks := range []int16{1, -1} {
			value := fmt.Sprintf("v%d acks%d", v, acks)
			got := c.produce(v, "t", 0, acks, batch(value))
			if got.ErrorCode != 0 || got.BaseOffset != int64(len(want)) || got.LogAppendTime != -1 {
				t.Fatalf("version %d acks %d: %+v", v, acks, got)
			}
			want = append(want, fmt.Sprintf("%d:%s", len(want), value))
		}
	}
	for v := int16(4); v <= 18; v++ {
		got := c.fetch(v, "t", 0)[0]
		if got.ErrorCode != 0 || got.HighWatermark != int64(len(want)) || got.LastStableOffset != int64(len(want)) {
			t.Fatalf("version %d: %+v", v, got)
		}
		if vs := values(t, got.RecordBatches); !reflect.DeepEqual(vs, want) {
			t.Fatalf("version %d: %v, want %v", v, vs, want)
		}
	}
}

func TestProduceErrors(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	tb.createTopic("small", 1, "max.message.bytes", "200")
	tb.createTopic("strict", 1, "min.insync.replicas", "2")
	tb.createTopic("__consumer_offsets", 1)
	tb.publish(&metadata.TopicRecord{Name: "elsewhere", TopicID: topicID("elsewhere")},
		&metadata.PartitionRecord{TopicID: topicID("elsewhere"), Replicas: []int32{2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 4})
	c := tb.dial()
	bad := batch("x")
	bad[len(bad)-1] ^= 1
	zstd := record.NewBuilder(record.BuilderOptions{Codec: record.Zstd})
	zstd.Append(1, nil, []byte("x"))
	txn := record.NewBuilder(record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: 5}})
	txn.Append(1, nil, []byte("x"))
	transactional := txn.Build()
	old := append(make([]byte, 8), 0, 0, 0, 14, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, tc := range []struct {
		name      string
		version   int16
		topic     string
		partition int32
		acks      int16
		records   []byte
		want      *kerr.Error
		message   string
	}{
		{"no such topic", 9, "nope", 0, 1, batch("x"), kerr.UnknownTopicOrPartition, ""},
		{"no such partition", 9, "t", 1, 1, batch("x"), kerr.UnknownTopicOrPartition, ""},
		{"negative partition", 9, "t", -1, 1, batch("x"), kerr.UnknownTopicOrPartition, ""},
		{"no such topic id", 13, "nope", 0, 1, batch("x"), kerr.UnknownTopicID, ""},
		{"other leader", 9, "elsewhere", 0, 1, batch("x"), kerr.NotLeaderForPartition, ""},
		{"bad acks", 9, "t", 0, 2, batch("x"), kerr.InvalidRequiredAcks, ""},
		{"bad checksum", 9, "t", 0, 1, bad, kerr.CorruptMessage, ""},
		{"no batch", 9, "t", 0, 1, nil, kerr.InvalidRecord, "at least one record batch"},
		{"two batches", 9, "t", 0, 1, append(batch("x"), batch("y")...), kerr.InvalidRecord, "exactly one record batch"},
		{"half a batch", 9, "t", 0, 1, batch("x")[:65], kerr.InvalidRecord, "at least one record batch"},
		{"zstd before version 7", 6, "t", 0, 1, zstd.Build(), kerr.UnsupportedCompressionType, ""},
		{"format 1", 9, "t", 0, 1, old, kerr.InvalidRecord, "magic version 2"},
		{"transactional without an id", 9, "t", 0, -1, transactional, kerr.TransactionalIDAuthorizationFailed, ""},
		{"too large", 9, "small", 0, 1, batch(strings.Repeat("x", 300)), kerr.MessageTooLarge, ""},
		{"internal topic", 9, "__consumer_offsets", 0, 1, batch("x"), kerr.InvalidTopicException, ""},
	} {
		got := c.produce(tc.version, tc.topic, tc.partition, tc.acks, tc.records)
		if got.ErrorCode != tc.want.Code || got.BaseOffset != -1 || got.LogAppendTime != -1 {
			t.Errorf("%s: error %v, offset %d, want %v", tc.name, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, tc.want)
		}
		if tc.message != "" && (got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, tc.message)) {
			t.Errorf("%s: message %v, want %q", tc.name, got.ErrorMessage, tc.message)
		}
	}
	// min.insync.replicas is no more than the replicas that there are, as in Kafka.
	if got := c.produce(9, "strict", 0, -1, batch("x")); got.ErrorCode != 0 {
		t.Errorf("min.insync.replicas above the replicas: %v", kerr.ErrorForCode(got.ErrorCode))
	}
	if got := c.fetch(12, "t", 0)[0]; got.HighWatermark != 0 {
		t.Errorf("refused batches were written: high watermark %d", got.HighWatermark)
	}
	// What is behind a batch and cannot be another one is cut off, as Kafka does.
	if got := c.produce(9, "small", 0, 1, append(batch("x"), 1, 2, 3)); got.ErrorCode != 0 {
		t.Errorf("bytes behind a batch: %v", kerr.ErrorForCode(got.ErrorCode))
	}
	if got := values(t, c.fetch(12, "small", 0)[0].RecordBatches); !reflect.DeepEqual(got, []string{"0:x"}) {
		t.Errorf("bytes behind a batch: %v", got)
	}
	for _, v := range []int16{9, 10, 12} {
		resp := do[*kmsg.ProduceResponse](c, produceRequest(v, "elsewhere", 0, 1, batch("x")))
		leader := resp.Topics[0].Partitions[0].CurrentLeader
		if want := v >= 10; (leader.LeaderID == 2 && leader.LeaderEpoch == 4) != want {
			t.Errorf("version %d: current leader %+v", v, leader)
		}
	}
}

// The answers of one request stand at their partitions, whatever happens to each.
func TestProduceToSeveralPartitions(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("a", 2)
	tb.createTopic("b", 1)
	c := tb.dial()
	req := produceRequest(9, "a", 1, -1, batch("a1"))
	more := produceRequest(9, "a", 0, -1, batch("a0"))
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, more.Topics[0].Partitions...)
	req.Topics = append(req.Topics, produceRequest(9, "nope", 0, -1, batch("x")).Topics...)
	req.Topics = append(req.Topics, produceRequest(9, "b", 0, -1, batch("b0", "b1")).Topics...)
	resp := do[*kmsg.ProduceResponse](c, req)
	var got []string
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			got = append(got, fmt.Sprintf("%s-%d error %d offset %d", topic.Topic, p.Partition, p.ErrorCode, p.BaseOffset))
		}
	}
	want := []string{"a-1 error 0 offset 0", "a-0 error 0 offset 0", "nope-0 error 3 offset -1", "b-0 error 0 offset 0"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// acks=0 has no answer; an error closes the connection (so that the client looks for the leader).
func TestAcksZero(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	c.send(produceRequest(9, "t", 0, 0, batch("a")), produceRequest(9, "t", 0, 0, batch("b")))
	if got := values(t, c.fetch(12, "t", 0)[0].RecordBatches); !reflect.DeepEqual(got, []string{"0:a", "1:b"}) {
		t.Fatalf("%v", got)
	}
	c.send(produceRequest(9, "nope", 0, 0, batch("a")))
	c.ended()
}

func TestLogAppendTime(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().UnixMilli()
	got := tb.dial().produce(9, "t", 0, 1, batch("a"))
	if got.LogAppendTime < before || got.LogAppendTime > time.Now().UnixMilli() {
		t.Errorf("log append time %d, it is %d", got.LogAppendTime, before)
	}
}

func TestIdempotentProducer(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	numbered := func(epoch int16, sequence int32) []byte {
		b := record.NewBuilder(record.BuilderOptions{Producer: &record.Producer{ID: 7, Epoch: epoch, BaseSequence: sequence}})
		b.Append(1, nil, []byte("a"))
		b.Append(1, nil, []byte("b"))
		return b.Build()
	}
	for i, tc := range []struct {
		epoch    int16
		sequence int32
		offset   int64
		err      *kerr.Error
	}{
		{1, 0, 0, nil}, {1, 2, 2, nil}, {1, 0, 0, nil} /* again: the same offset */, {1, 2, 2, nil},
		{1, 6, -1, kerr.OutOfOrderSequenceNumber}, {0, 4, -1, kerr.InvalidProducerEpoch}, {1, 4, 4, nil}, {2, 0, 6, nil},
	} {
		got := c.produce(9, "t", 0, -1, numbered(tc.epoch, tc.sequence))
		want := int16(0)
		if tc.err != nil {
			want = tc.err.Code
		}
		if got.ErrorCode != want || got.BaseOffset != tc.offset {
			t.Errorf("step %d: error %v offset %d, want %v and %d", i, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, tc.err, tc.offset)
		}
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	resp := do[*kmsg.DescribeProducersResponse](c, req)
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 || len(p.ActiveProducers) != 1 || p.ActiveProducers[0].ProducerID != 7 || p.ActiveProducers[0].ProducerEpoch != 2 || p.ActiveProducers[0].LastSequence != 1 {
		t.Errorf("producers: %+v", p)
	}
	if got := resp.Topics[0].Partitions[1].ErrorCode; got != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("producers of a partition that is not there: %d", got)
	}
}

func TestFetchLimits(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 3)
	c := tb.dial()
	size := 0
	for p := range int32(3) {
		for i := range 4 {
			b := batch(fmt.Sprintf("%d-%d-%s", p, i, strings.Repeat("x", 1000)))
			size = len(b)
			c.produce(9, "t", p, 1, b)
		}
	}
	for _, tc := range []struct {
		name                   string
		maxBytes, partitionMax int
		want                   []int // batches of each partition
	}{
		{"all", 1 << 20, 1 << 20, []int{4, 4, 4}},
		{"two of each partition", 1 << 20, 2*size + 10, []int{2, 2, 2}},
		{"the first batch in spite of every limit", 1, 1, []int{1, 0, 0}},
		{"a partition limit below a batch", 1 << 20, 10, []int{1, 0, 0}},
		{"the request's limit ends it", 5*size + 10, 1 << 20, []int{4, 1, 0}},
		{"no bytes", 0, 1 << 20, []int{1, 0, 0}},
	} {
		req := fetchRequest(12, "t", 0, 0, 0)
		req.MaxBytes = int32(tc.maxBytes)
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = int32(tc.partitionMax)
		}
		resp := do[*kmsg.FetchResponse](c, req)
		var got []int
		for _, p := range resp.Topics[0].Partitions {
			got = append(got, len(values(t, p.RecordBatches)))
		}
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v batches, want %v", tc.name, got, tc.want)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	tb.createTopic("zstd", 1, "compression.type", "zstd")
	tb.publish(&metadata.TopicRecord{Name: "elsewhere", TopicID: topicID("elsewhere")},
		&metadata.PartitionRecord{TopicID: topicID("elsewhere"), Replicas: []int32{2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 4})
	c := tb.dial()
	c.produce(9, "t", 0, 1, batch("a", "b"))
	for _, tc := range []struct {
		name    string
		version int16
		topic   string
		change  func(*kmsg.FetchRequest)
		want    *kerr.Error
	}{
		{"beyond the end", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 3 }, kerr.OffsetOutOfRange},
		{"negative", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = -1 }, kerr.OffsetOutOfRange},
		{"at the end", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 2 }, nil},
		{"no such topic", 12, "nope", nil, kerr.UnknownTopicOrPartition},
		{"no such id", 13, "nope", nil, kerr.UnknownTopicID},
		{"no such partition", 13, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 9 }, kerr.UnknownTopicOrPartition},
		{"other leader", 16, "elsewhere", nil, kerr.NotLeaderForPartition},
		{"older leader epoch", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 2 }, kerr.FencedLeaderEpoch},
		{"newer leader epoch", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 4 }, kerr.UnknownLeaderEpoch},
		{"right leader epoch", 12, "t", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 3 }, nil},
		{"a replica", 12, "t", func(r *kmsg.FetchRequest) { r.ReplicaID = 2 }, kerr.NotLeaderForPartition},
		{"a replica of today", 17, "t", func(r *kmsg.FetchRequest) { r.ReplicaState.ID, r.ReplicaState.Epoch = 2, 9 }, kerr.NotLeaderForPartition},
		{"zstd before version 10", 9, "zstd", nil, kerr.UnsupportedCompressionType},
		{"zstd from version 10", 10, "zstd", nil, nil},
	} {
		req := fetchRequest(tc.version, tc.topic, 0)
		req.MaxWaitMillis = 0
		if tc.change != nil {
			tc.change(req)
		}
		p := do[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]
		want := int16(0)
		if tc.want != nil {
			want = tc.want.Code
		}
		if p.ErrorCode != want || (want != 0 && (len(p.RecordBatches) > 0 || p.HighWatermark != -1)) {
			t.Errorf("%s: error %v with %d bytes and high watermark %d, want %v", tc.name, kerr.ErrorForCode(p.ErrorCode), len(p.RecordBatches), p.HighWatermark, tc.want)
		}
		if tc.name == "other leader" && (p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != 4) {
			t.Errorf("other leader: %+v", p.CurrentLeader)
		}
	}
	// KIP-595: epoch 1 is unknown to this log and its records end where it starts.
	req := fetchRequest(12, "t", 2)
	req.Topics[0].Partitions[0].LastFetchedEpoch = 3
	if p := do[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.DivergingEpoch.Epoch != -1 {
		t.Errorf("same epoch: %+v", p)
	}
}

// A long poll ends when there are enough bytes, and not before; without any, at its deadline.
func TestLongPoll(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 2)
	consumer, producer := tb.dial(), tb.dial()

	req := fetchRequest(12, "t", 0, 0)
	req.MaxWaitMillis, req.MinBytes = 20_000, 1
	began := time.Now()
	consumer.send(req)
	producer.produce(9, "t", 1, 1, batch("a"))
	resp := consumer.receive(req, consumer.corr).(*kmsg.FetchResponse)
	if got := values(t, resp.Topics[0].Partitions[1].RecordBatches); !reflect.DeepEqual(got, []string{"0:a"}) || time.Since(began) > 10*time.Second {
		t.Fatalf("%v after %v", got, time.Since(began))
	}

	// Two batches on two partitions make the minimum, one does not.
	size := len(batch("a"))
	req = fetchRequest(12, "t", 0, 1)
	req.MaxWaitMillis, req.MinBytes = 20_000, int32(2*size)
	consumer.send(req)
	producer.produce(9, "t", 0, 1, batch("b"))
	producer.produce(9, "t", 1, 1, batch("c"))
	resp = consumer.receive(req, consumer.corr).(*kmsg.FetchResponse)
	if a, b := len(resp.Topics[0].Partitions[0].RecordBatches), len(resp.Topics[0].Partitions[1].RecordBatches); a != size || b != size {
		t.Fatalf("%d and %d bytes, want %d each", a, b, size)
	}

	req = fetchRequest(12, "t", 1)
	req.MaxWaitMillis = 50
	began = time.Now()
	if p := do[*kmsg.FetchResponse](consumer, req).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.HighWatermark != 1 {
		t.Fatalf("%+v", p)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Fatalf("answered after %v", took)
	}

	// The topic's end ends the wait.
	req.MaxWaitMillis = 20_000
	consumer.send(req)
	began = time.Now()
	tb.publish(&metadata.RemoveTopicRecord{TopicID: topicID("t")})
	if p := consumer.receive(req, consumer.corr).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicOrPartition.Code || time.Since(began) > 10*time.Second {
		t.Fatalf("%+v after %v", p, time.Since(began))
	}
}

// Polls whose deadline comes while they are still being put on their partitions leave no waiter behind.
func TestLongPollsLeaveNoWaiters(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	req := fetchRequest(12, "t", 0)
	for range 20_000 { // the same partition: it is about how long this takes
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
	}
	req.MaxWaitMillis = 1
	for range 10 {
		do[*kmsg.FetchResponse](c, req)
	}
	p, err := tb.manager.Partition("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "no waiter is left", func() bool { return p.Waiters() == 0 })
}

func TestListOffsets(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	c.produce(9, "t", 0, 1, batch("a", "b", "c")) // times 1000 to 1002
	ask := func(version int16, timestamp int64) string {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = version
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = timestamp
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		got := do[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			return kerr.ErrorForCode(got.ErrorCode).(*kerr.Error).Message
		}
		return fmt.Sprintf("%d at %d epoch %d", got.Offset, got.Timestamp, got.LeaderEpoch)
	}
	for _, tc := range []struct {
		version   int16
		timestamp int64
		want      string
	}{
		{11, -1, "3 at -1 epoch 3"}, {1, -1, "3 at -1 epoch -1"}, {11, -2, "0 at -1 epoch 3"}, {7, -3, "2 at 1002 epoch 3"}, {6, -3, "UNSUPPORTED_VERSION"},
		{8, -4, "0 at -1 epoch 3"}, {7, -4, "UNSUPPORTED_VERSION"}, {9, -5, "-1 at -1 epoch -1"}, {8, -5, "UNSUPPORTED_VERSION"},
		{11, -6, "-1 at -1 epoch -1"}, {10, -6, "UNSUPPORTED_VERSION"}, {11, -7, "UNSUPPORTED_VERSION"},
		{11, 0, "0 at 1000 epoch 3"}, {11, 1001, "1 at 1001 epoch 3"}, {4, 1002, "2 at 1002 epoch 3"}, {11, 1003, "-1 at -1 epoch -1"},
	} {
		if got := ask(tc.version, tc.timestamp); got != tc.want {
			t.Errorf("version %d timestamp %d: %q, want %q", tc.version, tc.timestamp, got, tc.want)
		}
	}
	// A partition twice in one request is a mistake of the client.
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 8
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -1
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p, p}}, {Topic: "nope", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	resp := do[*kmsg.ListOffsetsResponse](c, req)
	if a, b := resp.Topics[0].Partitions[1].ErrorCode, resp.Topics[1].Partitions[0].ErrorCode; a != kerr.InvalidRequest.Code || b != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("errors %d and %d", a, b)
	}
}

func TestDeleteRecordsAndLeaderEpochs(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	tb.createTopic("compacted", 1, "cleanup.policy", "compact")
	tb.createTopic("__consumer_offsets", 1)
	c := tb.dial()
	for range 4 {
		c.produce(9, "t", 0, 1, batch("a", "b"))
	}
	remove := func(topic string, offset int64) (int64, int16) {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, 1000
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Offset = offset
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{p}}}
		got := do[*kmsg.DeleteRecordsResponse](c, req).Topics[0].Partitions[0]
		return got.LowWatermark, got.ErrorCode
	}
	for _, tc := range []struct {
		topic  string
		offset int64
		low    int64
		err    int16
	}{
		{"t", 3, 3, 0}, {"t", 9, -1, kerr.OffsetOutOfRange.Code}, {"t", -2, -1, kerr.OffsetOutOfRange.Code}, {"t", 1, 3, 0},
		{"nope", 0, -1, kerr.UnknownTopicOrPartition.Code}, {"compacted", 0, -1, kerr.PolicyViolation.Code}, {"__consumer_offsets", 0, -1, kerr.InvalidTopicException.Code},
	} {
		if low, err := remove(tc.topic, tc.offset); low != tc.low || err != tc.err {
			t.Errorf("delete %s up to %d: low watermark %d, error %v; want %d, %v", tc.topic, tc.offset, low, kerr.ErrorForCode(err), tc.low, kerr.ErrorForCode(tc.err))
		}
	}
	if got := c.fetch(12, "t", 2)[0]; got.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("fetch below the start: %d", got.ErrorCode)
	}
	if got := c.fetch(12, "t", 3)[0]; got.LogStartOffset != 3 || len(values(t, got.RecordBatches)) != 6 {
		t.Errorf("fetch at the start, in the middle of a batch: %d records", len(values(t, got.RecordBatches)))
	}

	// A new leader epoch; the old one's records end at 8.
	tb.publish(&metadata.PartitionChangeRecord{TopicID: topicID("t"), Leader: testNode, LeaderRecoveryState: -1})
	c.produce(9, "t", 0, 1, batch("c"))
	ends := func(asked, current int32) string {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version, req.ReplicaID = 4, -2
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.LeaderEpoch, p.CurrentLeaderEpoch = asked, current
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		got := do[*kmsg.OffsetForLeaderEpochResponse](c, req).Topics[0].Partitions[0]
		return fmt.Sprintf("error %d epoch %d end %d", got.ErrorCode, got.LeaderEpoch, got.EndOffset)
	}
	for _, tc := range []struct {
		asked, current int32
		want           string
	}{
		{3, -1, "error 0 epoch 3 end 8"}, {4, -1, "error 0 epoch 4 end 9"}, {4, 4, "error 0 epoch 4 end 9"}, {5, -1, "error 0 epoch -1 end -1"}, {2, -1, "error 0 epoch 2 end 3"},
		{3, 3, fmt.Sprintf("error %d epoch -1 end -1", kerr.FencedLeaderEpoch.Code)}, {3, 5, fmt.Sprintf("error %d epoch -1 end -1", kerr.UnknownLeaderEpoch.Code)},
	} {
		if got := ends(tc.asked, tc.current); got != tc.want {
			t.Errorf("end of epoch %d (current %d): %q, want %q", tc.asked, tc.current, got, tc.want)
		}
	}
	req := fetchRequest(12, "t", 9)
	req.Topics[0].Partitions[0].LastFetchedEpoch = 3
	if p := do[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]; p.DivergingEpoch.Epoch != 3 || p.DivergingEpoch.EndOffset != 8 {
		t.Errorf("a reader at 9 with epoch 3: %+v", p.DivergingEpoch)
	}
}

func TestInitProducerID(t *testing.T) {
	tb := startBroker(t, nil)
	c := tb.dial()
	ask := func(version int16, transactional *string) *kmsg.InitProducerIDResponse {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID = version, transactional
		return do[*kmsg.InitProducerIDResponse](c, req)
	}
	seen := make(map[int64]bool)
	tb.ctl.mu.Lock()
	tb.ctl.size = 3
	tb.ctl.mu.Unlock()
	for i := range 20 {
		r := ask(int16(i%6), nil)
		if r.ErrorCode != 0 || r.ProducerEpoch != 0 || r.ProducerID < 1000 || seen[r.ProducerID] {
			t.Fatalf("call %d: %+v, seen %v", i, r, seen)
		}
		seen[r.ProducerID] = true
	}
	if r := ask(4, kmsg.StringPtr("tx")); r.ErrorCode != kerr.InvalidTransactionTimeout.Code || r.ProducerID != -1 {
		t.Errorf("transactional id without a timeout: %+v", r)
	}
	if r := ask(4, kmsg.StringPtr("")); r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("empty transactional id: %+v", r)
	}
	tb.ctl.mu.Lock()
	tb.ctl.fail = kerr.NotController.Code
	tb.ctl.mu.Unlock()
	last := int16(0)
	for range 20 {
		last = ask(4, nil).ErrorCode
	}
	if last != kerr.CoordinatorLoadInProgress.Code {
		t.Errorf("without a controller: %v", kerr.ErrorForCode(last))
	}
}
