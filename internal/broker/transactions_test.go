package broker

import (
	"testing"
	"time"

	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// oneBroker is a cluster of a broker that is alone.
type oneBroker struct{ tb *testBroker }

func (c oneBroker) Leader(p txn.TopicPartition) (int32, bool) {
	topic := c.tb.b.image().Topic(p.Topic)
	return c.tb.b.nodeID, topic != nil && int(p.Partition) < len(topic.Partitions)
}

func (c oneBroker) WriteMarkers(_ int32, req *kmsg.WriteTxnMarkersRequest, done func(*kmsg.WriteTxnMarkersResponse, error)) {
	c.tb.b.WriteTxnMarkers(req, func(resp *kmsg.WriteTxnMarkersResponse) { done(resp, nil) })
}

// transactional starts a broker that coordinates transactions and has topic t, and gives transactional id "app" a producer.
func transactional(t *testing.T, partitions int) (*testBroker, *client, *kmsg.InitProducerIDResponse) {
	t.Helper()
	tb := startBroker(t, nil)
	tb.txns.SetPartitions(1)
	tb.createTopic(txn.Topic, 1)
	tb.createTopic("t", partitions)
	c := tb.dial()
	for deadline := time.Now().Add(10 * time.Second); ; {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, kmsg.StringPtr("app"), 60_000
		resp := do[*kmsg.InitProducerIDResponse](c, req)
		if resp.ErrorCode == 0 {
			return tb, c, resp
		}
		if time.Now().After(deadline) {
			t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// A transaction that is named a hundred times is described once.
func TestDescribeTransactionsOnce(t *testing.T) {
	_, c, _ := transactional(t, 1)
	req := kmsg.NewPtrDescribeTransactionsRequest()
	for range 100 {
		req.TransactionalIDs = append(req.TransactionalIDs, "app", "other")
	}
	got := do[*kmsg.DescribeTransactionsResponse](c, req).TransactionStates
	if len(got) != 2 || got[0].State != "Empty" || got[1].ErrorCode != kerr.TransactionalIDNotFound.Code {
		t.Errorf("%+v", got)
	}
}

// A transaction of many partitions, each of which is added again and again.
func TestManyPartitionsInATransaction(t *testing.T) {
	_, c, p := transactional(t, 200)
	began := time.Now()
	add := func(version int16, times int) int16 {
		t.Helper()
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = version
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch = "app", p.ProducerID, p.ProducerEpoch
		topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		topic.Topic = "t"
		for range times {
			for i := range int32(200) {
				topic.Partitions = append(topic.Partitions, i)
			}
		}
		one.Topics = append(one.Topics, topic)
		req.Transactions = append(req.Transactions, one)
		got := do[*kmsg.AddPartitionsToTxnResponse](c, req).Transactions[0].Topics[0].Partitions
		if len(got) != len(topic.Partitions) {
			t.Fatalf("%d answers", len(got))
		}
		return got[len(got)-1].ErrorCode
	}
	if code := add(4, 500); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch = 5, "app", p.ProducerID, p.ProducerEpoch
	if resp := do[*kmsg.EndTxnResponse](c, end); resp.ErrorCode != 0 || resp.ProducerEpoch != p.ProducerEpoch+1 {
		t.Fatalf("%+v", resp)
	}
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{"app"}
	for deadline := time.Now().Add(60 * time.Second); ; {
		state := do[*kmsg.DescribeTransactionsResponse](c, describe).TransactionStates[0].State
		if state == "CompleteAbort" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(state)
		}
		<-time.After(10 * time.Millisecond)
	}
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("it took %s", took)
	}
}
