package txn

import (
	"log/slog"
	"sync/atomic"

	"gregor/internal/coordinator"
)

// Topic is the internal topic that transactions are kept in.
const Topic = "__transaction_state"

// Config is what the coordinator reads from the broker's configuration. Each is named in its comment.
type Config struct {
	MaxTimeoutMs       int32 // transaction.max.timeout.ms
	IDExpirationMs     int64 // transactional.id.expiration.ms
	AbortIntervalMs    int64 // transaction.abort.timed.out.transaction.cleanup.interval.ms
	ExpireIntervalMs   int64 // transaction.remove.expired.transaction.cleanup.interval.ms
	Partitions         int32 // transaction.state.log.num.partitions: used while the topic does not exist
	MaxBatchBytes      int   // max.message.bytes of __transaction_state
	WriteTimeoutMs     int64 // request.timeout.ms
	TransactionVersion int16 // the finalized level of the feature transaction.version
}

// DefaultConfig is Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		MaxTimeoutMs:       15 * 60 * 1000,
		IDExpirationMs:     7 * 24 * 60 * 60 * 1000,
		AbortIntervalMs:    10_000,
		ExpireIntervalMs:   60 * 60 * 1000,
		Partitions:         50,
		MaxBatchBytes:      1048588,
		WriteTimeoutMs:     30_000,
		TransactionVersion: 2,
	}
}

// Options of a Service. Config, ProducerID and Cluster are required.
type Options struct {
	Config func() Config // the current configuration; asked often, so it must be cheap
	// ProducerID calls done once with an id that nobody else gets, or with an error.
	ProducerID func(done func(id int64, err error))
	Cluster    Cluster
	Clock      coordinator.Clock // nil: the system's
	Logger     *slog.Logger      // nil: discard
}

// Service coordinates the transactions of the partitions of __transaction_state that this broker leads. All methods may be
// called from any goroutine; none blocks, but for Close. done is called exactly once, from any goroutine, perhaps before
// the method returns, and must not block.
type Service struct {
	config     func() Config
	producerID func(done func(id int64, err error))
	partitions atomic.Int32
	runtime    *coordinator.Runtime[Event, Reply]
	sender     *sender
}

// NewService starts a coordinator that leads no partition yet. Close it.
func NewService(o Options) *Service {
	if o.Clock == nil {
		o.Clock = coordinator.SystemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{config: o.Config, producerID: o.ProducerID}
	s.sender = newSender(o.Cluster, o.Clock, o.Logger, s.written)
	s.runtime = coordinator.NewRuntime(coordinator.Options[Event, Reply]{
		New: func(int32) coordinator.Machine[Event, Reply] {
			return NewMachine(s.config, o.Logger)
		},
		MaxBatchBytes:  func() int { return s.config().MaxBatchBytes },
		WriteTimeoutMs: func() int64 { return s.config().WriteTimeoutMs },
		Outbox: func(partition, leaderEpoch int32, body Reply) {
			s.sender.send(partition, leaderEpoch, body.(*Markers))
		},
		Clock:  o.Clock,
		Logger: o.Logger,
	})
	return s
}

// Close drops all partitions; requests that wait get NOT_COORDINATOR. It returns when all goroutines have ended.
func (s *Service) Close() {
	s.sender.close()
	s.runtime.Close()
}

// Elected has this broker lead a partition of __transaction_state: it is read back and then served.
func (s *Service) Elected(partition, epoch int32, log coordinator.Log) {
	s.runtime.Elected(partition, epoch, log)
}

// Resigned ends that. Markers that are not sent yet are the next leader's to send.
func (s *Service) Resigned(partition, epoch int32) {
	s.runtime.Resigned(partition, epoch)
	s.sender.drop(partition, epoch)
}

// SetPartitions says how many partitions __transaction_state has; 0 if it does not exist.
func (s *Service) SetPartitions(n int32) { s.partitions.Store(n) }

// PartitionFor is the partition of __transaction_state that keeps a transactional id.
func (s *Service) PartitionFor(id string) int32 {
	n := s.partitions.Load()
	if n <= 0 {
		n = max(1, s.config().Partitions)
	}
	return coordinator.PartitionOf(id, n)
}

// LeadersChanged has markers sent at once that wait for a leader, or until somebody finds that their topic is deleted.
func (s *Service) LeadersChanged() { s.sender.retryNow() }

// written tells the machine that a transaction's markers are.
func (s *Service) written(partition int32, m *Markers, done func(error)) {
	s.runtime.Submit(partition, &markersWritten{m}, func(_ Reply, err error) { done(err) })
}
