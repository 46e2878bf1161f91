package broker

import (
	"testing"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asked is a question to a transaction's coordinator.
type asked struct {
	replica.Verification
	answer func([]error)
}

// startTransactional starts a broker whose transaction coordinator is the test.
func startTransactional(t *testing.T) (*testBroker, chan asked) {
	questions := make(chan asked, 10)
	tb := startNode(t, testNode, nil, func(o *replica.Options) {
		o.Verify = func(v replica.Verification, done func([]error)) { questions <- asked{v, done} }
	})
	tb.publish(tb.registration, &metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 25})
	tb.createTopic("t", 2)
	return tb, questions
}

func txnProduce(version int16, producer int64, epoch int16, sequence int32, values ...string) *kmsg.ProduceRequest {
	b := record.NewBuilder(record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: producer, Epoch: epoch, BaseSequence: sequence}})
	for _, v := range values {
		b.Append(1000, nil, []byte(v))
	}
	req := produceRequest(version, "t", 0, -1, b.Build())
	req.TransactionID = kmsg.StringPtr("tx")
	return req
}

func (tb *testBroker) mark(m log.Marker) {
	tb.t.Helper()
	p, err := tb.manager.Partition("t", 0)
	if err == nil {
		_, err = p.AppendMarker(m, replica.NoEpoch)
	}
	if err != nil {
		tb.t.Fatal(err)
	}
}

func TestTransactionalProduceWaitsForItsCoordinator(t *testing.T) {
	tb, questions := startTransactional(t)
	c := tb.dial()
	first, second := txnProduce(9, 7, 0, 0, "a"), txnProduce(12, 7, 0, 1, "b")
	c.send(first, second) // a pipelined second batch is behind the first, and asks nobody
	q := <-questions
	if q.TransactionalID != "tx" || q.ProducerID != 7 || q.Add || len(q.Partitions) != 1 || q.Partitions[0] != (replica.TopicPartition{Topic: "t"}) {
		t.Fatalf("%+v", q.Verification)
	}
	// Another connection is served meanwhile.
	if got := tb.dial().produce(9, "t", 0, -1, batch("plain")); got.ErrorCode != 0 || got.BaseOffset != 0 {
		t.Fatalf("%+v", got)
	}
	q.answer(nil)
	for i, req := range []kmsg.Request{first, second} {
		got := c.receive(req, c.corr-1+int32(i)).(*kmsg.ProduceResponse).Topics[0]
		if got.Topic != "t" || got.Partitions[0].ErrorCode != 0 || got.Partitions[0].BaseOffset != int64(i+1) {
			t.Fatalf("%d: %+v", i, got)
		}
	}
	select {
	case q := <-questions:
		t.Fatalf("asked again: %+v", q.Verification)
	default:
	}
}

func TestTransactionalProduceThatIsRefused(t *testing.T) {
	tb, questions := startTransactional(t)
	c := tb.dial()
	for _, tc := range []struct {
		version int16
		answer  error
		want    *kerr.Error
	}{
		{9, kerr.InvalidTxnState, kerr.InvalidTxnState},
		{9, kerr.ConcurrentTransactions, kerr.NotEnoughReplicas},
		{9, kerr.NotCoordinator, kerr.NotEnoughReplicas},
		{9, errTest, kerr.NotEnoughReplicas},
		{9, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
		{10, kerr.TransactionAbortable, kerr.InvalidTxnState},
		{11, kerr.TransactionAbortable, kerr.TransactionAbortable},
		{12, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
	} {
		req := txnProduce(tc.version, 7, 0, 0, "a")
		c.send(req)
		q := <-questions
		if q.Add != (tc.version >= 12) {
			t.Errorf("version %d: add %v", tc.version, q.Add)
		}
		q.answer([]error{tc.answer})
		got := c.receive(req, c.corr).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got.ErrorCode != tc.want.Code || got.BaseOffset != -1 {
			t.Errorf("version %d, %v: %v", tc.version, tc.answer, kerr.ErrorForCode(got.ErrorCode))
		}
	}
	// Two producers in one request.
	req, other := txnProduce(9, 7, 0, 0, "a"), txnProduce(9, 8, 0, 0, "a")
	other.Topics[0].Partitions[0].Partition = 1
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, other.Topics[0].Partitions[0])
	c.send(req)
	(<-questions).answer(nil)
	got := c.receive(req, c.corr).(*kmsg.ProduceResponse).Topics[0].Partitions
	if got[0].ErrorCode != 0 || got[1].ErrorCode != kerr.InvalidProducerIDMapping.Code {
		t.Errorf("two producers: %+v", got)
	}
	// A batch that is late: the transaction was aborted while it waited.
	req = txnProduce(9, 9, 0, 0, "late")
	c.send(req)
	q := <-questions
	tb.mark(log.Marker{ProducerID: 9})
	q.answer(nil)
	if got := c.receive(req, c.corr).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.InvalidTxnState.Code {
		t.Errorf("late: %v", kerr.ErrorForCode(got.ErrorCode))
	}
}

type testError struct{}

func (testError) Error() string { return "connection refused" }

var errTest = testError{}

func TestClientGoesWhileItsBatchIsVerified(t *testing.T) {
	tb, questions := startTransactional(t)
	c := tb.dial()
	c.send(txnProduce(9, 7, 0, 0, "a"))
	q := <-questions
	c.conn.Close()
	eventually(t, "the connection ends", func() bool { return tb.conns() == 0 })
	q.answer(nil)
	p, err := tb.manager.Partition("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written all the same", func() bool { return p.Log().EndOffset() == 1 })
}

// TestReadCommitted: a consumer sees what is decided, is told of what was aborted, and is woken by the marker.
func TestReadCommitted(t *testing.T) {
	tb, questions := startTransactional(t)
	c := tb.dial()
	produce := func(producer int64, value string) {
		t.Helper()
		req := txnProduce(9, producer, 0, 0, value)
		c.send(req)
		(<-questions).answer(nil)
		if got := c.receive(req, c.corr).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(got.ErrorCode))
		}
	}
	produce(1, "rolled back") // 0
	produce(2, "kept")        // 1
	tb.mark(log.Marker{ProducerID: 1})

	consumer := tb.dial()
	req := fetchRequest(12, "t", 0)
	req.IsolationLevel = 1
	fetch := func() kmsg.FetchResponseTopicPartition {
		t.Helper()
		return do[*kmsg.FetchResponse](consumer, req).Topics[0].Partitions[0]
	}
	offset := func(isolation int8, timestamp int64) int64 {
		list := kmsg.NewPtrListOffsetsRequest()
		list.Version, list.ReplicaID, list.IsolationLevel = 7, -1, isolation
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = "t"
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = timestamp
		topic.Partitions = append(topic.Partitions, p)
		list.Topics = append(list.Topics, topic)
		return do[*kmsg.ListOffsetsResponse](c, list).Topics[0].Partitions[0].Offset
	}
	got := fetch()
	if got.HighWatermark != 3 || got.LastStableOffset != 1 || len(got.AbortedTransactions) != 1 || got.AbortedTransactions[0].FirstOffset != 0 || len(values(t, got.RecordBatches)) != 1 {
		t.Fatalf("%+v", got)
	}
	for _, tc := range []struct {
		isolation int8
		timestamp int64
		want      int64
	}{{0, -1, 3}, {1, -1, 1}, {0, -3, 2}, {1, -3, -1}, {1, 1000, 0}, {0, 1001, 2}, {1, 1001, -1}} {
		if got := offset(tc.isolation, tc.timestamp); got != tc.want {
			t.Errorf("isolation %d, timestamp %d: offset %d, want %d", tc.isolation, tc.timestamp, got, tc.want)
		}
	}
	req = fetchRequest(12, "t", 1)
	req.IsolationLevel, req.MaxWaitMillis = 1, 60_000
	consumer.send(req)
	p, err := tb.manager.Partition("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the consumer waits", func() bool { return p.Waiters() > 0 })
	produce(3, "open") // 3, does not wake it
	tb.mark(log.Marker{ProducerID: 2, Commit: true})
	got = consumer.receive(req, consumer.corr).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if got.LastStableOffset != 3 || len(got.AbortedTransactions) != 1 || values(t, got.RecordBatches)[0] != "1:kept" {
		t.Fatalf("%+v", got)
	}
}
