package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gregor/internal/log"
	"gregor/internal/record"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce: versions 3-13 (KIP-98 batches, KIP-110 zstd from 7, KIP-467 record errors from 8, KIP-951 leaders from 10,
// KIP-516 topic ids from 13; KIP-890: the first batch of a transaction in a partition waits until the coordinator has said
// that the partition is in it, or, from version 12, has put it there).
//
// Deviations: a batch that breaks a rule is answered with a message that says which; Kafka says it for some only.
func (b *Broker) produce(_ context.Context, r *Request) {
	p := r.Body.(*producing)
	p.b, p.timeout = b, time.Duration(max(p.TimeoutMillis, 0))*time.Millisecond
	p.open.Store(1) // until all is written
	p.unwritten.Store(1)
	p.resp.Topics = slices.Grow(p.resp.Topics[:0], len(p.Topics))[:len(p.Topics)]
	for i := range p.Topics {
		t, out := &p.Topics[i], &p.resp.Topics[i]
		out.Topic, out.TopicID = t.Topic, t.TopicID
		out.Partitions = slices.Grow(out.Partitions[:0], len(t.Partitions))[:len(t.Partitions)]
		for j := range t.Partitions {
			p.append(t, &t.Partitions[j], &out.Partitions[j])
		}
	}
	if len(p.openings) > 0 {
		b.replicas.Verify(strings.Clone(*p.TransactionID), p.Version >= 12, p.openings)
	}
	p.wrote()
}

// wrote ends the writing of one partition, or of those that needed no question to a coordinator; the last one goes on.
func (p *producing) wrote() {
	if p.unwritten.Add(-1) > 0 {
		return
	}
	if p.open.Load() > 1 { // somebody waits for the commit; the request's memory need not
		for i := range p.resp.Topics {
			p.resp.Topics[i].Topic = strings.Clone(p.resp.Topics[i].Topic)
		}
		p.request.release()
		p.await(p.timeout)
	}
	p.done()
}

// commitWait is a partition that was written and is not committed.
type commitWait struct {
	out    *kmsg.ProduceResponseTopicPartition
	cancel func() bool
}

// append writes the records of one partition.
func (p *producing) append(t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition) {
	*out = failedPartition(in.Partition, 0)
	part, batch, err := p.check(t, in)
	switch {
	case err != nil:
		p.fail(t, in, out, err)
	case batch.IsTransactional() && batch.HasProducerID():
		p.unwritten.Add(1)
		p.shared = true
		p.openings = append(p.openings, replica.Opening{
			Partition: part, ProducerID: batch.ProducerID(), ProducerEpoch: batch.ProducerEpoch(), Sequence: batch.BaseSequence(),
			Append: func(guard log.Guard, err error) {
				if err != nil {
					p.fail(t, in, out, notVerified(err, p.Version))
				} else {
					p.write(part, batch, guard, t, in, out)
				}
				p.wrote()
			},
		})
	default:
		p.write(part, batch, 0, t, in, out)
	}
}

// write appends a batch and waits for its commit if the client does.
func (p *producing) write(part *replica.Partition, batch record.Batch, guard log.Guard, t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition) {
	info, err := part.AppendGuarded(batch, p.Acks, replica.NoEpoch, log.Client, guard)
	if err != nil {
		p.fail(t, in, out, err)
		return
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = info.FirstOffset, info.LogAppendTimeMs, info.LogStartOffset
	switch {
	case p.Acks == replica.AcksAll && !info.Committed:
		p.awaitOne(part.AwaitCommit, info, out)
	case p.Acks == replica.AcksLeader && info.Pending:
		p.awaitOne(part.AwaitFlush, info, out)
	}
}

// awaitOne waits for what one of a partition's Await functions tells.
func (p *producing) awaitOne(await func(int64, int32, func(error)) func() bool, info replica.Appended, out *kmsg.ProduceResponseTopicPartition) {
	p.shared = true
	p.open.Add(1)
	cancel := await(info.LastOffset, info.LeaderEpoch, func(err error) {
		if err != nil {
			*out = failedPartition(out.Partition, p.b.errorCode("Produce", err))
		}
		p.done()
	})
	if cancel != nil {
		p.mu.Lock()
		p.waits = append(p.waits, commitWait{out, cancel})
		p.mu.Unlock()
	}
}

// check finds the partition, and the one batch in the request.
func (p *producing) check(t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition) (*replica.Partition, record.Batch, error) {
	if p.Acks < -1 || p.Acks > 1 {
		return nil, nil, kerr.InvalidRequiredAcks
	}
	part, err := p.b.partition(p.Version >= 13, t.Topic, t.TopicID, in.Partition)
	if err != nil {
		return nil, nil, err
	}
	batch, err := checkProduced(p.Version, in.Records, p.TransactionID)
	if err != nil {
		return nil, nil, err
	}
	if isInternal(part.Topic()) && p.request.ClientID != adminClientID {
		return nil, nil, kerr.InvalidTopicException
	}
	if len(p.openings) > 0 && batch.IsTransactional() && (p.openings[0].ProducerID != batch.ProducerID() || p.openings[0].ProducerEpoch != batch.ProducerEpoch()) {
		return nil, nil, refused{kerr.InvalidProducerIDMapping, "Transactional records contained more than one producer ID"}
	}
	return part, batch, nil
}

// notVerified is what a client is told if the coordinator does not agree with a transactional batch. Older clients know
// neither the errors of looking for a coordinator here nor TRANSACTION_ABORTABLE (version 11, KIP-1050).
func notVerified(err error, version int16) error {
	if !errors.Is(err, replica.ErrNotVerified) {
		return err
	}
	k := (*kerr.Error)(nil)
	if !errors.As(err, &k) {
		k = kerr.NetworkException
	}
	switch k {
	case kerr.ConcurrentTransactions, kerr.NetworkException, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RequestTimedOut:
		return refused{kerr.NotEnoughReplicas, "Unable to verify the partition has been added to the transaction. Underlying error: " + k.Message}
	case kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case kerr.InvalidTxnState, kerr.ClusterAuthorizationFailed:
		return refused{kerr.InvalidTxnState, "Partition was not added to the transaction"}
	case kerr.TransactionAbortable:
		if version < 11 {
			return refused{kerr.InvalidTxnState, "Partition was not added to the transaction"}
		}
	}
	return k
}

// adminClientID is the client id that Kafka lets write to internal topics.
const adminClientID = "__admin_client"

// checkProduced is Kafka's rule about the records of one partition: exactly one batch, of the present format. Bytes
// behind it that are too few for another one are cut off.
func checkProduced(version int16, records []byte, transactionalID *string) (record.Batch, error) {
	batch, rest, err := record.Next(records)
	switch {
	case len(records) == 0 || errors.Is(err, record.ErrTruncated):
		return nil, refused{kerr.InvalidRecord, fmt.Sprintf("Produce requests with version %d must have at least one record batch per partition", version)}
	case errors.Is(err, record.ErrOldMagic):
		return nil, refused{kerr.InvalidRecord, fmt.Sprintf("Produce requests with version %d are only allowed to contain record batches with magic version 2", version)}
	case err != nil:
		return nil, err
	case batch.Codec() == record.Zstd && version < 7:
		return nil, refused{kerr.UnsupportedCompressionType, fmt.Sprintf("Produce requests with version %d are not allowed to use ZStandard compression", version)}
	case batch.IsTransactional() && transactionalID == nil:
		return nil, kerr.TransactionalIDAuthorizationFailed
	}
	if _, _, err := record.Next(rest); len(rest) > 0 && !errors.Is(err, record.ErrTruncated) {
		return nil, refused{kerr.InvalidRecord, fmt.Sprintf("Produce requests with version %d are only allowed to contain exactly one record batch per partition", version)}
	}
	return batch, nil
}

// fail fills in an error, with the leader to go to instead where the client can read it.
func (p *producing) fail(t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition, err error) {
	code, message := errorOf(err)
	if code == kerr.UnknownServerError.Code {
		p.b.log.Error("request failed", "request", "Produce", "topic", strings.Clone(t.Topic), "partition", in.Partition, "error", err.Error())
	}
	out.ErrorCode, out.ErrorMessage = code, message
	if bad := (*record.RecordErrors)(nil); errors.As(err, &bad) { // which records are at fault (KIP-467)
		for _, r := range bad.Records {
			out.ErrorRecords = append(out.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: r.Index, ErrorMessage: &r.Reason})
		}
	}
	if code == kerr.InvalidTimestamp.Code || len(out.ErrorRecords) > 0 {
		if part, err := p.b.partition(p.Version >= 13, t.Topic, t.TopicID, in.Partition); err == nil {
			out.LogStartOffset = part.StartOffset()
		}
	}
	if p.Version >= 10 && code == kerr.NotLeaderForPartition.Code {
		l := leaders{b: p.b, listener: p.request.Conn.Listener()}
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = l.of(t.Topic, t.TopicID, in.Partition)
		p.addNodes(l.nodes)
	}
}

func (p *producing) addNodes(nodes []nodeAddress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range nodes {
		known := false
		for i := range p.resp.Brokers {
			known = known || p.resp.Brokers[i].NodeID == n.id
		}
		if !known {
			k := kmsg.NewProduceResponseBroker()
			k.NodeID, k.Host, k.Port, k.Rack = n.id, n.host, n.port, n.rack
			p.resp.Brokers = append(p.resp.Brokers, k)
		}
	}
}

func failedPartition(partition int32, code int16) kmsg.ProduceResponseTopicPartition {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition, out.ErrorCode = partition, code
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = -1, -1, -1
	return out
}

// await answers REQUEST_TIMED_OUT for what is not committed in time, or when the client is gone. The records stay where
// they are.
func (p *producing) await(timeout time.Duration) {
	p.request.OnClose(p.expire)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(timeout, p.expire)
}

func (p *producing) expire() {
	for _, w := range p.waits {
		if w.cancel() {
			*w.out = failedPartition(w.out.Partition, kerr.RequestTimedOut.Code)
			p.done()
		}
	}
}

// done ends one hold; the last one answers.
func (p *producing) done() {
	if p.open.Add(-1) > 0 {
		return
	}
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	if p.Acks != replica.AcksNone {
		p.request.replyProduce(&p.resp)
	} else {
		p.drop()
	}
	p.reuse()
}

// drop ends a request that nobody reads an answer of. Closing the connection is how a client learns that it should look
// for the leader again.
func (p *producing) drop() {
	for _, t := range p.resp.Topics {
		for _, part := range t.Partitions {
			if part.ErrorCode != 0 {
				p.request.DropConn(fmt.Sprintf("error %s on partition %d of a Produce request with acks=0", kerr.ErrorForCode(part.ErrorCode), part.Partition))
				return
			}
		}
	}
	p.request.Drop()
}
