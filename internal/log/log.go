package log

import (
	"log/slog"
	"time"

	"gregor/internal/log/vfs"
)

// Origin tells where an append comes from, and so how much of it is trusted.
type Origin int8

const (
	Client      Origin = iota // everything is checked
	Coordinator               // made in this process: sequence numbers and timestamps are not checked
	Replication               // fetched from the leader: offsets are kept
	RaftLeader                // the metadata log
)

// Options are what a log is opened with.
type Options struct {
	Dir       string // the partition's directory, DIR/TOPIC-PARTITION; made if it is missing
	Topic     string
	Partition int32
	TopicID   [16]byte // zero if unknown; else kept in partition.metadata and compared with it

	Config *Config          // nil: DefaultConfig
	Clock  func() time.Time // nil: time.Now
	FS     vfs.FS           // nil: the operating system's
	Logger *slog.Logger     // nil: none

	RecoveryPoint  int64 // everything below this offset is known to be on disk
	LogStartOffset int64 // from the checkpoint; records below it are not served
	HighWatermark  int64 // from the checkpoint; taken into the range from log start to log end
	CleanShutdown  bool  // the last user closed the log: nothing has to be recovered

	// SameBoot: the machine has not lost power since the log was written, so whatever is damaged before the very end of
	// the log is no trace of the crash, and the log is refused. Without it the log is cut at the first damaged batch past
	// the recovery point, as Apache Kafka does: after a power failure the rest may have reached the disk in any order.
	SameBoot bool

	ProducerExpirationMs int64 // producer.id.expiration.ms; 0: a day

	// Later runs remove after the delay, on any goroutine; nil: at once. Delayed deletion of files goes through it.
	Later func(delay time.Duration, remove func())

	// Flusher is told that segments below offset were rolled and should be flushed soon; nil: they are flushed by the
	// next Flush.
	Flusher func(l *Log, offset int64)

	// Lowered writes the recovery point's checkpoint, before a truncation below it; nil: there is none. It is called with
	// the log locked.
	Lowered func(l *Log) error

	// Failed is told once, when the log is taken out of service by an I/O error.
	Failed func(l *Log, err error)

	// Full is told each time that a write was refused for want of space; nil: nobody.
	Full func(l *Log, err error)

	// Room tells why so many bytes of clients and of leaders are refused, though the disk may not be full; nil: they are not.
	Room func(bytes int) error

	// Damaged is told each time that damaged records are found; nil: nobody. It must return at once.
	Damaged func(l *Log)

	files *openFiles // of all logs of a node; nil: not counted
}

// AppendInfo describes what was appended, or, for a duplicate, what had been appended the first time.
type AppendInfo struct {
	FirstOffset, LastOffset int64
	MaxTimestampMs          int64
	LogAppendTimeMs         int64 // -1 unless message.timestamp.type is LogAppendTime
	LogStartOffset          int64
	Batches                 int
	Duplicate               bool // nothing was written: the producer repeated one of its last five batches
	Pending                 bool // not on disk yet: see Log.OnFlushed
}

// ProducerState is what the log knows of one producer, as DescribeProducers shows it.
type ProducerState struct {
	ProducerID            int64
	ProducerEpoch         int16
	LastSequence          int32 // -1 if none
	LastTimestampMs       int64
	CoordinatorEpoch      int32 // -1 if none
	CurrentTxnStartOffset int64 // -1 if no transaction is open
}
