package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/broker"
	"gregor/internal/config"
	"gregor/internal/coordinator"
	"gregor/internal/coordinator/txn"
	"gregor/internal/metadata"
	"gregor/internal/peer"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactions is this broker's part in transactions: their coordinator, the way to the leaders that write its markers, and
// the way to the coordinators of the transactions whose records come in here.
type transactions struct {
	*txn.Service
	nodeID int32
	links  *links
	broker func() *broker.Broker
	image  atomic.Pointer[metadata.Image]

	// calls are those of this broker to itself. They get goroutines of their own, since they come from event loops.
	calls  sync.WaitGroup
	mu     sync.Mutex
	closed bool
}

// openTransactions starts the transaction coordinator. Its configuration is made anew when the broker's changes, or the level
// of transaction.version, not per request.
func (n *Node) openTransactions() {
	t := &transactions{nodeID: n.id.nodeID, broker: func() *broker.Broker { return n.brk }}
	t.links = newLinks(func(ctx context.Context, id int32) (*peer.Conn, error) { return n.dialBroker(ctx, id, "transactions") })
	t.image.Store(n.ctrl.Image())
	current := following(n.live, func(v *config.Values) txn.Config {
		return txn.Config{
			MaxTimeoutMs:     v.Int32("transaction.max.timeout.ms"),
			IDExpirationMs:   v.Int64("transactional.id.expiration.ms"),
			AbortIntervalMs:  v.Int64("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
			ExpireIntervalMs: v.Int64("transaction.remove.expired.transaction.cleanup.interval.ms"),
			Partitions:       v.Int32("transaction.state.log.num.partitions"),
			MaxBatchBytes:    v.Int("message.max.bytes"),
			WriteTimeoutMs:   v.Int64("request.timeout.ms"),
		}
	})
	t.Service = txn.NewService(txn.Options{
		Config: func() txn.Config {
			c := current()
			c.TransactionVersion = t.image.Load().Features()[metadata.TransactionVersion]
			return c
		},
		ProducerID: func(done func(int64, error)) { n.brk.NextProducerID(context.Background(), done) },
		Cluster:    t,
		Logger:     n.logs.Part("coordinator.txn"),
	})
	n.txns = t
}

// dialBroker opens a connection to another broker.
func (n *Node) dialBroker(ctx context.Context, id int32, purpose string) (*peer.Conn, error) {
	b := n.ctrl.Image().Broker(id)
	if b == nil {
		return nil, fmt.Errorf("broker %d is not registered", id)
	}
	addr, ok := n.interBroker(b)
	if !ok {
		return nil, fmt.Errorf("broker %d has no listener %s; inter.broker.listener.name must be the same for all brokers", id, n.ls.InterBroker)
	}
	return peer.Dial(ctx, peer.Options{Addr: addr, Dial: n.dial, ClientID: fmt.Sprintf("broker-%d-%s", n.id.nodeID, purpose), Logger: n.logs.Part("broker")})
}

// Publish keeps the image for the coordinator, before it is told of the partitions that it leads by it.
func (t *transactions) Publish(_ *metadata.Delta, image *metadata.Image) {
	t.image.Store(image)
	n := 0
	if topic := image.Topic(txn.Topic); topic != nil {
		n = len(topic.Partitions)
	}
	t.SetPartitions(int32(n))
}

// markersPublisher has markers that wait for a leader go out when there may be one.
type markersPublisher struct{ *transactions }

func (p markersPublisher) Publish(*metadata.Delta, *metadata.Image) { p.LeadersChanged() }

func (t *transactions) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.Service.Close()
	t.links.close()
	t.calls.Wait()
}

// goCall runs f on a goroutine of its own, or says false if the node is closing.
func (t *transactions) goCall(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.calls.Go(f)
	return true
}

// Leader implements txn.Cluster.
func (t *transactions) Leader(p txn.TopicPartition) (broker int32, exists bool) {
	topic := t.image.Load().Topic(p.Topic)
	if topic == nil || p.Partition < 0 || int(p.Partition) >= len(topic.Partitions) {
		return metadata.NoLeader, false
	}
	return topic.Partitions[p.Partition].Leader, true
}

// WriteMarkers implements txn.Cluster.
func (t *transactions) WriteMarkers(id int32, req *kmsg.WriteTxnMarkersRequest, done func(*kmsg.WriteTxnMarkersResponse, error)) {
	if id != t.nodeID {
		askOver(t.links, id, req, done)
		return
	}
	if !t.goCall(func() {
		t.broker().WriteTxnMarkers(req, func(resp *kmsg.WriteTxnMarkersResponse) { done(resp, nil) })
	}) {
		done(nil, peer.ErrClosed)
	}
}

// How long and how often a partition is added again to a transaction while the one before is being ended: as Kafka's
// add.partitions.to.txn.retry.backoff.max.ms and add.partitions.to.txn.retry.backoff.ms. The client would have to wait
// longer before it tries again.
const (
	addRetryFor   = 100 * time.Millisecond
	addRetryEvery = 20 * time.Millisecond
)

// verify implements replica.Options.Verify.
func (t *transactions) verify(v replica.Verification, done func([]error)) {
	if !t.goCall(func() { t.ask(v, time.Now().Add(addRetryFor), done) }) {
		done(verifyFailed(v, peer.ErrClosed))
	}
}

func verifyFailed(v replica.Verification, err error) []error {
	errs := make([]error, len(v.Partitions))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// ask asks the coordinator of a transaction.
func (t *transactions) ask(v replica.Verification, until time.Time, done func([]error)) {
	answered := func(resp *kmsg.AddPartitionsToTxnResponse, err error) {
		// What follows writes to logs, which is not for a connection's reader.
		if !t.goCall(func() { t.answered(v, until, resp, err, done) }) {
			done(verifyFailed(v, peer.ErrClosed))
		}
	}
	image := t.image.Load()
	topic := image.Topic(txn.Topic)
	if topic == nil || len(topic.Partitions) == 0 {
		answered(nil, kerr.CoordinatorNotAvailable)
		return
	}
	leader := topic.Partitions[coordinator.PartitionOf(v.TransactionalID, int32(len(topic.Partitions)))].Leader
	if b := image.Broker(leader); b == nil || b.Fenced {
		answered(nil, kerr.CoordinatorNotAvailable)
		return
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly = v.TransactionalID, v.ProducerID, v.ProducerEpoch, !v.Add
	at := map[string]int{}
	for _, p := range v.Partitions {
		i, ok := at[p.Topic]
		if !ok {
			i = len(one.Topics)
			at[p.Topic] = i
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: p.Topic})
		}
		one.Topics[i].Partitions = append(one.Topics[i].Partitions, p.Partition)
	}
	req.Transactions = append(req.Transactions, one)
	if leader != t.nodeID {
		askOver(t.links, leader, req, answered)
		return
	}
	t.broker().AddPartitionsToTxn(verifyVersion, req, func(resp *kmsg.AddPartitionsToTxnResponse) { answered(resp, nil) })
}

// verifyVersion is the version of AddPartitionsToTxn between brokers.
const verifyVersion = 5

// answered takes the coordinator's answer.
func (t *transactions) answered(v replica.Verification, until time.Time, resp *kmsg.AddPartitionsToTxnResponse, err error, done func([]error)) {
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err == nil && len(resp.Transactions) != 1 {
		err = fmt.Errorf("the coordinator answered for %d transactions", len(resp.Transactions))
	}
	if err != nil {
		done(verifyFailed(v, err))
		return
	}
	codes := make(map[replica.TopicPartition]int16, len(v.Partitions))
	for _, topic := range resp.Transactions[0].Topics {
		for _, p := range topic.Partitions {
			codes[replica.TopicPartition{Topic: topic.Topic, Partition: p.Partition}] = p.ErrorCode
		}
	}
	errs, again := make([]error, len(v.Partitions)), v.Add
	for i, p := range v.Partitions {
		code, ok := codes[p]
		errs[i] = kerr.ErrorForCode(code)
		if !ok {
			errs[i] = fmt.Errorf("the coordinator's answer is without %s-%d", p.Topic, p.Partition)
		}
		again = again && code == kerr.ConcurrentTransactions.Code
	}
	if again && time.Now().Add(addRetryEvery).Before(until) {
		time.Sleep(addRetryEvery)
		t.ask(v, until, done)
		return
	}
	done(errs)
}
