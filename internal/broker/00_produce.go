package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log"
	"gregor/internal/record"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce: versions 3-13 (KIP-98 batches, KIP-110 zstd from 7, KIP-467 record errors from 8, KIP-951 leaders from 10,
// KIP-516 topic ids from 13).
//
// Deviations: transactions do not exist yet, so a transactional batch is refused with INVALID_TXN_STATE, as Kafka refuses
// one outside of a transaction. A batch that breaks a rule is answered with a message that says which; Kafka says it for
// some only.
func (b *Broker) produce(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.ProduceRequest)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	p := &producing{b: b, r: r, resp: resp, acks: req.Acks}
	p.open.Store(1) // this function's own hold
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, out := &req.Topics[i], &resp.Topics[i]
		out.Topic, out.TopicID = t.Topic, t.TopicID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p.append(req, t, &t.Partitions[j], &out.Partitions[j])
		}
	}
	if p.open.Load() > 1 { // somebody waits for the commit; the request's memory need not
		for i := range resp.Topics {
			resp.Topics[i].Topic = strings.Clone(resp.Topics[i].Topic)
		}
		r.release()
		p.await(time.Duration(max(req.TimeoutMillis, 0)) * time.Millisecond)
	}
	p.done()
}

// producing is one Produce request on its way.
type producing struct {
	b    *Broker
	r    *Request
	resp *kmsg.ProduceResponse
	acks int16

	open atomic.Int32 // partitions that are not committed, and one more while the request is being read

	mu    sync.Mutex
	waits []commitWait
	timer *time.Timer
}

// commitWait is a partition that was written and is not committed.
type commitWait struct {
	out    *kmsg.ProduceResponseTopicPartition
	cancel func() bool
}

// append writes the records of one partition.
func (p *producing) append(req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition) {
	out.Default()
	out.Partition, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = in.Partition, -1, -1, -1
	info, part, err := p.write(req, t, in)
	if err != nil {
		p.fail(t, in, out, err)
		return
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = info.FirstOffset, info.LogAppendTimeMs, info.LogStartOffset
	if p.acks != replica.AcksAll {
		return
	}
	p.open.Add(1)
	cancel := part.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) {
		if err != nil {
			*out = failedPartition(out.Partition, p.b.errorCode("Produce", err))
		}
		p.done()
	})
	if cancel != nil {
		p.waits = append(p.waits, commitWait{out, cancel})
	}
}

func (p *producing) write(req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic, in *kmsg.ProduceRequestTopicPartition) (replica.Appended, *replica.Partition, error) {
	var none replica.Appended
	if req.Acks < -1 || req.Acks > 1 {
		return none, nil, kerr.InvalidRequiredAcks
	}
	part, err := p.b.partition(p.r.Version >= 13, t.Topic, t.TopicID, in.Partition)
	if err != nil {
		return none, nil, err
	}
	batch, err := checkProduced(p.r.Version, in.Records, req.TransactionID)
	if err != nil {
		return none, nil, err
	}
	if isInternal(part.Topic()) && p.r.ClientID != adminClientID {
		return none, nil, kerr.InvalidTopicException
	}
	info, err := part.Append(batch, req.Acks, replica.NoEpoch, log.Client)
	return info, part, err
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
	case batch.IsTransactional():
		return nil, refused{kerr.InvalidTxnState, "transactional batch outside of a transaction: transactions are not supported yet"}
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
		if part, err := p.b.partition(p.r.Version >= 13, t.Topic, t.TopicID, in.Partition); err == nil {
			out.LogStartOffset = part.StartOffset()
		}
	}
	if p.r.Version >= 10 && code == kerr.NotLeaderForPartition.Code {
		l := leaders{b: p.b, listener: p.r.Conn.Listener()}
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = l.of(t.Topic, t.TopicID, in.Partition)
		p.addNodes(l.nodes)
	}
}

func (p *producing) addNodes(nodes []nodeAddress) {
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
	p.r.OnClose(p.expire)
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
	if p.acks != replica.AcksNone {
		p.r.Reply(p.resp)
		return
	}
	// Nobody reads an answer. Closing the connection is how a client learns that it should look for the leader again.
	for _, t := range p.resp.Topics {
		for _, part := range t.Partitions {
			if part.ErrorCode != 0 {
				p.r.DropConn(fmt.Sprintf("error %s on partition %d of a Produce request with acks=0", kerr.ErrorForCode(part.ErrorCode), part.Partition))
				return
			}
		}
	}
	p.r.Drop()
}
