package broker

import (
	"context"
	"sync"
	"time"

	"gregor/internal/coordinator"
	"gregor/internal/coordinator/group"
	"gregor/internal/log"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// WriteTxnMarkers: versions 1-2 (KIP-98, KIP-1228 the version of transactions in 2): a transaction coordinator has its
// markers written by the leaders of the transaction's partitions. Markers in __consumer_offsets go through the group
// coordinator, which lets the transaction's offsets take effect with them.
func (b *Broker) writeTxnMarkers(_ context.Context, r *Request) {
	b.WriteTxnMarkers(r.Body.(*kmsg.WriteTxnMarkersRequest), func(resp *kmsg.WriteTxnMarkersResponse) { r.Reply(resp) })
}

// WriteTxnMarkers answers a request without a connection: one of this broker to itself. It is answered when each marker is
// committed, or after request.timeout.ms.
func (b *Broker) WriteTxnMarkers(req *kmsg.WriteTxnMarkersRequest, done func(*kmsg.WriteTxnMarkersResponse)) {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	w := &writingMarkers{b: b}
	w.waiting = newCountdown(func() {
		w.mu.Lock()
		if w.timer != nil {
			w.timer.Stop()
		}
		w.mu.Unlock()
		done(resp)
	})
	resp.Markers = answerAll(req.Markers, func(m *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		rm.Topics = answerAll(m.Topics, func(t *kmsg.WriteTxnMarkersRequestMarkerTopic) kmsg.WriteTxnMarkersResponseMarkerTopic {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			rt.Partitions = make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(t.Partitions))
			for i, p := range t.Partitions {
				rt.Partitions[i].Partition = p
				w.write(m, t.Topic, p, &rt.Partitions[i].ErrorCode)
			}
			return rt
		})
		return rm
	})
	w.mu.Lock()
	w.timer = time.AfterFunc(b.config.Load().Millis("request.timeout.ms"), w.expire)
	w.mu.Unlock()
	w.waiting.end()
}

// writingMarkers is one WriteTxnMarkers request on its way.
type writingMarkers struct {
	b       *Broker
	waiting *countdown

	mu    sync.Mutex
	waits []markerWait
	timer *time.Timer
}

type markerWait struct {
	code   *int16
	cancel func() bool
}

// write has one marker written. code is set before the wait for it ends.
func (w *writingMarkers) write(m *kmsg.WriteTxnMarkersRequestMarker, topic string, partition int32, code *int16) {
	w.waiting.begin()
	part, err := w.b.replicas.Partition(topic, partition)
	if err == nil && topic == group.Topic {
		w.b.groups.EndTransaction(partition, coordinator.Marker{
			ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Committed,
			CoordinatorEpoch: m.CoordinatorEpoch, TransactionVersion: m.TransactionVersion,
		}, func(kafka *kerr.Error, err error) {
			switch {
			case kafka == kerr.CoordinatorNotAvailable, kafka == kerr.CoordinatorLoadInProgress, kafka == kerr.NotCoordinator:
				*code = kerr.NotLeaderForPartition.Code // what a sender of markers tries again
			case kafka != nil:
				*code = kafka.Code
			case err != nil:
				*code = w.b.errorCode("WriteTxnMarkers", err)
			}
			w.waiting.end()
		})
		return
	}
	var info replica.Appended
	if err == nil {
		info, err = part.AppendMarker(log.Marker{
			ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Committed,
			CoordinatorEpoch: m.CoordinatorEpoch, TransactionVersion: m.TransactionVersion,
		}, replica.NoEpoch)
	}
	if err != nil {
		*code = w.b.errorCode("WriteTxnMarkers", err)
		w.waiting.end()
		return
	}
	cancel := part.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) {
		*code = w.b.errorCode("WriteTxnMarkers", err)
		w.waiting.end()
	})
	if cancel != nil {
		w.mu.Lock()
		w.waits = append(w.waits, markerWait{code, cancel})
		w.mu.Unlock()
	}
}

// expire gives up on what is not committed in time. The markers stay where they are.
func (w *writingMarkers) expire() {
	w.mu.Lock()
	waits := w.waits
	w.waits = nil
	w.mu.Unlock()
	for _, wait := range waits {
		if wait.cancel() {
			*wait.code = kerr.RequestTimedOut.Code
			w.waiting.end()
		}
	}
}
