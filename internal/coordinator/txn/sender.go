package txn

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// Cluster is the brokers that lead the partitions of transactions.
type Cluster interface {
	// Leader is the broker that leads a partition, -1 if there is none now. exists is false if the partition is deleted. It
	// must not block.
	Leader(p TopicPartition) (broker int32, exists bool)
	// WriteMarkers asks a broker. done is called once, on any goroutine, perhaps before WriteMarkers returns.
	WriteMarkers(broker int32, req *kmsg.WriteTxnMarkersRequest, done func(*kmsg.WriteTxnMarkersResponse, error))
}

const (
	minRetry = 50 * time.Millisecond
	maxRetry = 2 * time.Second
	// markersAtOnce bounds the partitions in one request.
	markersAtOnce = 5000
)

// sender brings the markers of decided transactions to the leaders of their partitions, one request at a time to each broker
// with all that waits for it, again and again until each partition has its marker or is deleted. It has no goroutine:
// answers and a timer drive it.
//
// A marker that is under way is never sent a second time before it is answered: in transactions version 1 a second one that
// comes late could end the producer's next transaction.
type sender struct {
	cluster Cluster
	clock   coordinator.Clock
	logger  *slog.Logger
	written func(partition int32, m *Markers, done func(error))

	mu      sync.Mutex
	closed  bool
	pending map[senderKey]*sending
	queues  map[int32]*brokerQueue
	later   []parcel
	backoff time.Duration
	undo    func() // of the timer, nil if it is not set
	calls   []func()
}

type senderKey struct {
	partition int32 // of __transaction_state
	id        string
}

// sending is one transaction's markers.
type sending struct {
	key     senderKey
	epoch   int32 // of the coordinator
	markers *Markers
	left    map[TopicPartition]struct{}
	dropped bool
}

// parcel is one marker, or, without a partition, the news that all of them are written.
type parcel struct {
	of *sending
	to TopicPartition
}

type brokerQueue struct {
	broker  int32
	busy    bool
	waiting []parcel
}

func newSender(c Cluster, clock coordinator.Clock, logger *slog.Logger, written func(int32, *Markers, func(error))) *sender {
	return &sender{
		cluster: c, clock: clock, logger: logger, written: written,
		pending: map[senderKey]*sending{}, queues: map[int32]*brokerQueue{}, backoff: minRetry,
	}
}

// do runs f with the lock and then, without it, the calls that f leads to.
func (s *sender) do(f func()) {
	s.mu.Lock()
	if !s.closed {
		f()
	}
	calls := s.calls
	s.calls = nil
	s.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

// send begins with a transaction's markers. A coordinator that loaded again in the same epoch sends what it sent before: as
// long as some of the former are not delivered, the transaction is the same, and they go on.
func (s *sender) send(partition, epoch int32, m *Markers) {
	s.do(func() {
		key := senderKey{partition, m.TransactionalID}
		if old := s.pending[key]; old != nil {
			if old.epoch == epoch && len(old.left) > 0 {
				old.markers = m
				return
			}
			old.dropped = true
		}
		x := &sending{key: key, epoch: epoch, markers: m, left: make(map[TopicPartition]struct{}, len(m.Partitions))}
		s.pending[key] = x
		for _, p := range m.Partitions {
			x.left[p] = struct{}{}
		}
		for _, p := range m.Partitions {
			s.route(parcel{x, p})
		}
		if len(m.Partitions) == 0 {
			s.tell(x)
		}
	})
}

// drop forgets the markers of a partition of __transaction_state that this broker does not lead any more.
func (s *sender) drop(partition, epoch int32) {
	s.do(func() {
		for key, x := range s.pending {
			if key.partition == partition && x.epoch <= epoch {
				s.forget(x)
			}
		}
	})
}

func (s *sender) forget(x *sending) {
	x.dropped = true
	if s.pending[x.key] == x {
		delete(s.pending, x.key)
	}
}

func (s *sender) close() {
	s.do(func() {
		s.closed = true
		clear(s.pending)
		s.later, s.queues = nil, nil
		if s.undo != nil {
			s.undo()
		}
	})
}

// route puts a marker where it has to go. mu is held.
func (s *sender) route(p parcel) {
	broker, exists := s.cluster.Leader(p.to)
	switch {
	case !exists:
		s.logger.Info("a partition of a transaction is deleted", "topic", p.to.Topic, "partition", p.to.Partition, "transactionalId", p.of.key.id)
		s.delivered(p)
	case broker < 0:
		s.retry(p)
	default:
		q := s.queues[broker]
		if q == nil {
			q = &brokerQueue{broker: broker}
			s.queues[broker] = q
		}
		q.waiting = append(q.waiting, p)
		if len(q.waiting) == 1 {
			s.calls = append(s.calls, func() { s.do(func() { s.ask(q) }) }) // with what else comes now
		}
	}
}

// ask sends what waits for a broker. mu is held.
func (s *sender) ask(q *brokerQueue) {
	if q.busy {
		return
	}
	n := min(len(q.waiting), markersAtOnce)
	batch := make([]parcel, 0, n)
	for _, p := range q.waiting[:n] {
		if !p.of.dropped {
			batch = append(batch, p)
		}
	}
	q.waiting = append([]parcel(nil), q.waiting[n:]...)
	if len(batch) == 0 {
		if len(q.waiting) > 0 {
			s.ask(q)
		}
		return
	}
	q.busy = true
	req := markersRequest(batch)
	s.calls = append(s.calls, func() {
		s.cluster.WriteMarkers(q.broker, req, func(resp *kmsg.WriteTxnMarkersResponse, err error) {
			s.do(func() {
				q.busy = false
				s.answered(q, batch, resp, err)
				s.ask(q)
			})
		})
	})
}

// markersRequest is one request for markers of several transactions.
func markersRequest(batch []parcel) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	at := map[*sending]int{}
	for _, p := range batch {
		i, ok := at[p.of]
		if !ok {
			i = len(req.Markers)
			at[p.of] = i
			m := kmsg.NewWriteTxnMarkersRequestMarker()
			m.ProducerID, m.ProducerEpoch, m.Committed = p.of.markers.Producer.ID, p.of.markers.Producer.Epoch, p.of.markers.Commit
			m.CoordinatorEpoch, m.TransactionVersion = p.of.epoch, int8(p.of.markers.TransactionVersion)
			req.Markers = append(req.Markers, m)
		}
		m := &req.Markers[i]
		if n := len(m.Topics); n == 0 || m.Topics[n-1].Topic != p.to.Topic {
			t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			t.Topic = p.to.Topic
			m.Topics = append(m.Topics, t)
		}
		t := &m.Topics[len(m.Topics)-1]
		t.Partitions = append(t.Partitions, p.to.Partition)
	}
	return req
}

// answered takes a broker's answer to a batch. mu is held.
func (s *sender) answered(q *brokerQueue, batch []parcel, resp *kmsg.WriteTxnMarkersResponse, err error) {
	if err != nil {
		s.logger.Info("markers of transactions could not be sent; trying again", "broker", q.broker, "markers", len(batch), "error", err)
		for _, p := range batch {
			s.retry(p)
		}
		return
	}
	type place struct {
		producerID int64
		to         TopicPartition
	}
	codes := make(map[place]int16, len(batch))
	for _, m := range resp.Markers {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				codes[place{m.ProducerID, TopicPartition{t.Topic, p.Partition}}] = p.ErrorCode
			}
		}
	}
	progress := false
	for _, p := range batch {
		code, ok := codes[place{p.of.markers.Producer.ID, p.to}]
		if p.of.dropped {
			continue
		}
		if ok && code == 0 {
			progress = true
			s.delivered(p)
			continue
		}
		log := s.logger.With("topic", p.to.Topic, "partition", p.to.Partition, "transactionalId", p.of.key.id, "producerId", p.of.markers.Producer.ID,
			"epoch", p.of.markers.Producer.Epoch, "error", kerr.ErrorForCode(code))
		switch {
		case code == kerr.TransactionCoordinatorFenced.Code:
			log.Info("another coordinator has the transaction", "coordinatorEpoch", p.of.epoch)
			s.forget(p.of)
		case code == kerr.InvalidProducerEpoch.Code:
			// The producer has written with a later epoch, which it got when this transaction had ended: nothing of it is
			// open there.
			log.Warn("a partition has seen a later epoch of the producer; its transaction is over there")
			s.delivered(p)
		case code == kerr.UnsupportedForMessageFormat.Code, code == kerr.UnsupportedVersion.Code:
			log.Warn("a partition cannot hold the marker of a transaction")
			s.delivered(p)
		default:
			log.Debug("marker was not written; trying again")
			s.retry(p)
		}
	}
	if progress {
		s.backoff = minRetry
	}
}

// delivered strikes a partition off. mu is held.
func (s *sender) delivered(p parcel) {
	delete(p.of.left, p.to)
	if len(p.of.left) == 0 {
		s.tell(p.of)
	}
}

// tell says that all markers of a transaction are written, until it is heard. mu is held.
func (s *sender) tell(x *sending) {
	if x.dropped {
		return
	}
	markers := x.markers
	s.calls = append(s.calls, func() {
		s.written(x.key.partition, markers, func(err error) {
			s.do(func() {
				if err == nil || errors.Is(err, coordinator.ErrNotCoordinator) {
					s.forget(x)
				} else {
					s.retry(parcel{of: x})
				}
			})
		})
	})
}

// retry has a parcel go out again after a moment. mu is held.
func (s *sender) retry(p parcel) {
	s.later = append(s.later, p)
	if s.undo == nil {
		s.undo = s.clock.AfterFunc(s.backoff, func() { s.do(s.again) })
		s.backoff = min(2*s.backoff, maxRetry)
	}
}

// retryNow has everything that waits go out again.
func (s *sender) retryNow() {
	s.do(func() {
		if s.undo != nil {
			s.undo()
			s.backoff = minRetry
			s.again()
		}
	})
}

// again sends what waits. mu is held.
func (s *sender) again() {
	s.undo = nil
	later := s.later
	s.later = nil
	for _, p := range later {
		switch {
		case p.of.dropped:
		case len(p.of.left) == 0:
			s.tell(p.of)
		default:
			s.route(p)
		}
	}
}
