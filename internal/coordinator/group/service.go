// Package group coordinates consumer groups of the classic protocol: it forms their generations, keeps their committed
// offsets, and stores both in __consumer_offsets in Kafka's record format.
//
// [Machine] is the pure machine over one partition; [Service] runs one for each partition that this broker leads, finds
// the partition of a group, and turns the shell's errors into Kafka's codes.
package group

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// Topic is the internal topic that groups and offsets are kept in.
const Topic = "__consumer_offsets"

// Caller is who sent a request.
type Caller struct {
	ClientID   string
	ClientHost string // as "/127.0.0.1"
	Version    int16  // of the request
}

// Config is what the coordinator reads from the broker's configuration. Each is named in its comment.
type Config struct {
	MinSessionTimeoutMs      int32 // group.min.session.timeout.ms
	MaxSessionTimeoutMs      int32 // group.max.session.timeout.ms
	InitialRebalanceDelayMs  int32 // group.initial.rebalance.delay.ms
	MaxSize                  int   // group.max.size
	OffsetMetadataMaxBytes   int   // offset.metadata.max.bytes
	OffsetsRetentionMs       int64 // offsets.retention.minutes, in milliseconds
	OffsetsRetentionCheckMs  int64 // offsets.retention.check.interval.ms
	OffsetsTopicPartitions   int32 // offsets.topic.num.partitions: used while the topic does not exist
	OffsetsTopicMaxBatchSize int   // max.message.bytes of __consumer_offsets
	CommitTimeoutMs          int64 // offsets.commit.timeout.ms
}

// DefaultConfig is Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		MinSessionTimeoutMs:      6000,
		MaxSessionTimeoutMs:      1800000,
		InitialRebalanceDelayMs:  3000,
		MaxSize:                  1<<31 - 1,
		OffsetMetadataMaxBytes:   4096,
		OffsetsRetentionMs:       7 * 24 * 60 * 60 * 1000,
		OffsetsRetentionCheckMs:  10 * 60 * 1000,
		OffsetsTopicPartitions:   50,
		OffsetsTopicMaxBatchSize: 1048588,
		CommitTimeoutMs:          5000,
	}
}

// Options of a Service.
type Options struct {
	Config func() Config     // the current configuration; asked often, so it must be cheap
	Clock  coordinator.Clock // nil: the system's
	Logger *slog.Logger      // nil: discard
}

// Service coordinates the groups of the partitions that this broker leads. All methods may be called from any goroutine;
// none blocks, but for Close. Byte slices of a request must stay as they are until it is answered; strings are kept for
// longer. done is called exactly once, from any goroutine, perhaps before the method returns, and must not block.
type Service struct {
	config     func() Config
	partitions atomic.Int32
	runtime    *coordinator.Runtime[Event, kmsg.Response]
}

// NewService starts a coordinator that leads no partition yet. Close it.
func NewService(o Options) *Service {
	s := &Service{config: o.Config}
	if s.config == nil {
		s.config = DefaultConfig
	}
	s.runtime = coordinator.NewRuntime(coordinator.Options[Event, kmsg.Response]{
		New: func(partition int32) coordinator.Machine[Event, kmsg.Response] {
			return NewMachine(s.config, o.Logger)
		},
		MaxBatchBytes:  func() int { return s.config().OffsetsTopicMaxBatchSize },
		WriteTimeoutMs: func() int64 { return s.config().CommitTimeoutMs },
		Clock:          o.Clock,
		Logger:         o.Logger,
	})
	return s
}

// Close drops all partitions; requests that wait get NOT_COORDINATOR. It returns when all goroutines have ended.
func (s *Service) Close() { s.runtime.Close() }

// Elected has this broker lead a partition of __consumer_offsets: it is read back and then served.
func (s *Service) Elected(partition, epoch int32, log coordinator.Log) {
	s.runtime.Elected(partition, epoch, log)
}

// Resigned ends that.
func (s *Service) Resigned(partition, epoch int32) { s.runtime.Resigned(partition, epoch) }

// SetPartitions says how many partitions __consumer_offsets has; 0 if it does not exist.
func (s *Service) SetPartitions(n int32) { s.partitions.Store(n) }

// PartitionFor is the partition of __consumer_offsets that keeps a group.
func (s *Service) PartitionFor(group string) int32 {
	n := s.partitions.Load()
	if n <= 0 {
		n = max(1, s.config().OffsetsTopicPartitions)
	}
	return coordinator.PartitionOf(group, n)
}

// OnTopicsDeleted forgets the offsets of topics that are gone.
func (s *Service) OnTopicsDeleted(names []string) {
	for _, p := range s.runtime.Partitions() {
		s.runtime.Submit(p, Event{DeletedTopics: names}, func(kmsg.Response, error) {})
	}
}

func isRefused(err error) bool {
	r := coordinator.Refused{}
	return errors.As(err, &r)
}
