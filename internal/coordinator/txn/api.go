package txn

import (
	"regexp"
	"slices"
	"sync"

	"gregor/internal/coordinator"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerID gives a transactional id its producer id and next epoch. expected is what the producer believes to have;
// nil if it begins anew. Errors are those of version 4; older clients know INVALID_PRODUCER_EPOCH for PRODUCER_FENCED.
func (s *Service) InitProducerID(id string, timeoutMs int32, expected *Producer, done func(Producer, *kerr.Error)) {
	none := Producer{noProducerID, noProducerEpoch}
	switch {
	case id == "":
		done(none, kerr.InvalidRequest)
		return
	case timeoutMs <= 0 || timeoutMs > s.config().MaxTimeoutMs:
		done(none, kerr.InvalidTransactionTimeout)
		return
	}
	s.withID(id, func(newID int64) Event {
		return &initProducer{id: id, timeoutMs: timeoutMs, expected: expected, newID: newID}
	}, func(r Reply, err *kerr.Error) {
		if err == nil {
			err = r.(initReply).err
		}
		if err != nil {
			done(none, err)
			return
		}
		done(r.(initReply).producer, nil)
	})
}

// withID submits an event, and once more with a new producer id if it needs one.
func (s *Service) withID(id string, event func(newID int64) Event, done func(Reply, *kerr.Error)) {
	partition := s.PartitionFor(id)
	s.runtime.Submit(partition, event(noProducerID), func(r Reply, err error) {
		if err != nil {
			done(nil, coordinator.Code(err))
			return
		}
		if _, needs := r.(needsID); !needs {
			done(r, nil)
			return
		}
		s.producerID(func(newID int64, err error) {
			if err != nil {
				done(nil, kerr.CoordinatorLoadInProgress) // as without a transactional id
				return
			}
			s.runtime.Submit(partition, event(newID), func(r Reply, err error) {
				if err != nil {
					done(nil, coordinator.Code(err))
					return
				}
				done(r, nil)
			})
		})
	})
}

// AddPartitions puts partitions into a producer's transaction. version is that of transactions: 2 if a broker asks while the
// producer writes, 0 if the producer itself does.
func (s *Service) AddPartitions(id string, p Producer, partitions []TopicPartition, version int16, done func(*kerr.Error)) {
	if id == "" {
		done(kerr.InvalidRequest)
		return
	}
	s.runtime.Submit(s.PartitionFor(id), &addPartitions{id: id, producer: p, partitions: partitions, version: version}, func(r Reply, err error) {
		if err != nil {
			done(coordinator.Code(err))
			return
		}
		done(r.(addReply).err)
	})
}

// VerifyPartitions tells of each partition whether it is in the producer's transaction: nil, or its error.
func (s *Service) VerifyPartitions(id string, p Producer, partitions []TopicPartition, done func([]*kerr.Error)) {
	errs := make([]*kerr.Error, len(partitions))
	all := func(err *kerr.Error) {
		for i := range errs {
			errs[i] = err
		}
		done(errs)
	}
	if id == "" {
		all(kerr.InvalidRequest)
		return
	}
	s.runtime.Submit(s.PartitionFor(id), &addPartitions{id: id, producer: p, partitions: partitions, verifyOnly: true}, func(r Reply, err error) {
		if err != nil {
			all(coordinator.Code(err))
			return
		}
		reply := r.(addReply)
		if reply.err != nil {
			all(reply.err)
			return
		}
		for i, missing := range reply.missing {
			if missing {
				errs[i] = kerr.TransactionAbortable
			}
		}
		done(errs)
	})
}

// EndTxn decides a producer's transaction. The producer that done gets is that of the next transaction; a client of
// transactions version 1 keeps the one it has. Errors are those of version 2.
func (s *Service) EndTxn(id string, p Producer, commit bool, version int16, done func(Producer, *kerr.Error)) {
	none := Producer{noProducerID, noProducerEpoch}
	if id == "" {
		done(none, kerr.InvalidRequest)
		return
	}
	s.withID(id, func(newID int64) Event {
		return &endTxn{id: id, producer: p, commit: commit, version: version, newID: newID}
	}, func(r Reply, err *kerr.Error) {
		if err != nil {
			done(none, err)
			return
		}
		done(r.(endReply).producer, r.(endReply).err)
	})
}

// Describe tells of one transactional id.
func (s *Service) Describe(id string, done func(*kmsg.DescribeTransactionsResponseTransactionState)) {
	refuse := func(err *kerr.Error) {
		r := described(id)
		r.ErrorCode = err.Code
		done(r)
	}
	if id == "" {
		refuse(kerr.InvalidRequest)
		return
	}
	s.runtime.Submit(s.PartitionFor(id), &describe{id}, func(r Reply, err error) {
		if err != nil {
			refuse(coordinator.Code(err))
			return
		}
		done(r.(*kmsg.DescribeTransactionsResponseTransactionState))
	})
}

// List tells of all transactional ids of this broker that a request asks for. It fails as long as one partition is not
// loaded.
func (s *Service) List(req *kmsg.ListTransactionsRequest, done func(*kmsg.ListTransactionsResponse)) {
	resp := kmsg.NewPtrListTransactionsResponse()
	f := filter{anyState: len(req.StateFilters) == 0, producers: req.ProducerIDFilters, durationMs: req.DurationFilterMillis}
	for _, name := range req.StateFilters {
		if state, ok := stateNamed(name); ok {
			f.states = append(f.states, state)
		} else {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	if req.TransactionalIDPattern != nil && *req.TransactionalIDPattern != "" {
		var err error
		if f.pattern, err = regexp.Compile("^(?:" + *req.TransactionalIDPattern + ")$"); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			done(resp)
			return
		}
	}
	partitions := s.runtime.Partitions()
	slices.Sort(partitions)
	if len(partitions) == 0 {
		done(resp)
		return
	}
	var mu sync.Mutex
	left := len(partitions)
	for _, p := range partitions {
		s.runtime.Submit(p, &list{f}, func(r Reply, err error) {
			mu.Lock()
			switch {
			case err == nil:
				resp.TransactionStates = append(resp.TransactionStates, r.([]kmsg.ListTransactionsResponseTransactionState)...)
			case coordinator.Code(err) != kerr.NotCoordinator: // else it went to another broker, which is asked too
				resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			}
			left--
			last := left == 0
			mu.Unlock()
			if !last {
				return
			}
			if resp.ErrorCode != 0 {
				resp.TransactionStates = nil
			}
			done(resp)
		})
	}
}
