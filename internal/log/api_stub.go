package log

import (
	"io"
	"iter"
	"log/slog"
	"time"

	"gregor/internal/log/vfs"
)

// Log is the log of one partition.
type Log struct{}

// AbortedTxn is one entry of a transaction index.
type AbortedTxn struct {
	ProducerID, FirstOffset, LastOffset, LastStableOffset int64
}

// Slice is a range of one segment file: whole batches.
type Slice struct {
	start int64
	n     int
}

func Open(o Options) (*Log, error) { panic("log: not yet") }

func (l *Log) AppendLeader(records []byte, leaderEpoch int32, origin Origin) (AppendInfo, error) {
	panic("log: not yet")
}
func (l *Log) AppendFollower(records []byte) (AppendInfo, error) { panic("log: not yet") }
func (l *Log) Read(offset, limit int64, maxBytes int, atLeastOne bool) (Slice, error) {
	panic("log: not yet")
}

func (s Slice) Len() int                           { return s.n }
func (s Slice) StartOffset() int64                 { return s.start }
func (s Slice) Close()                             {}
func (s Slice) Bytes() ([]byte, error)             { panic("log: not yet") }
func (s Slice) WriteTo(w io.Writer) (int64, error) { panic("log: not yet") }

func (l *Log) Topic() string                       { panic("log: not yet") }
func (l *Log) Partition() int32                    { panic("log: not yet") }
func (l *Log) TopicID() [16]byte                   { panic("log: not yet") }
func (l *Log) Dir() string                         { panic("log: not yet") }
func (l *Log) StartOffset() int64                  { panic("log: not yet") }
func (l *Log) EndOffset() int64                    { panic("log: not yet") }
func (l *Log) HighWatermark() int64                { panic("log: not yet") }
func (l *Log) LastStableOffset() int64             { panic("log: not yet") }
func (l *Log) RecoveryPoint() int64                { panic("log: not yet") }
func (l *Log) SetHighWatermark(offset int64) bool  { panic("log: not yet") }
func (l *Log) Size() int64                         { panic("log: not yet") }
func (l *Log) BytesFrom(offset, limit int64) int64 { panic("log: not yet") }

// OffsetForTimestamp finds the first record at or after a time; offset -1 if there is none.
func (l *Log) OffsetForTimestamp(ts int64) (offset, timestamp int64, leaderEpoch int32, err error) {
	panic("log: not yet")
}

// MaxTimestampOffset finds the record with the largest timestamp; offset -1 if the log is empty.
func (l *Log) MaxTimestampOffset() (offset, timestamp int64, leaderEpoch int32, err error) {
	panic("log: not yet")
}

// EndOffsetForEpoch gives the largest epoch not above the asked one and where it ends; -1, -1 if unknown.
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	panic("log: not yet")
}

// LatestEpoch is the epoch of the last records; -1 if unknown.
func (l *Log) LatestEpoch() int32 { panic("log: not yet") }

// EpochForOffset is the leader epoch that an offset was written in; -1 if unknown.
func (l *Log) EpochForOffset(offset int64) int32 { panic("log: not yet") }

// AssignEpoch notes that a leader epoch starts at the end of the log.
func (l *Log) AssignEpoch(epoch int32, startOffset int64) error             { panic("log: not yet") }
func (l *Log) TruncateTo(offset int64) error                                { panic("log: not yet") }
func (l *Log) TruncateFullyAndStartAt(offset int64) error                   { panic("log: not yet") }
func (l *Log) DeleteRecordsBefore(offset int64) (newStart int64, err error) { panic("log: not yet") }
func (l *Log) DeleteOldSegments() (n int, err error)                        { panic("log: not yet") }
func (l *Log) Roll() error                                                  { panic("log: not yet") }
func (l *Log) Flush(upTo int64) error                                       { panic("log: not yet") }
func (l *Log) SetConfig(c *Config)                                          { panic("log: not yet") }
func (l *Log) Config() *Config                                              { panic("log: not yet") }
func (l *Log) Close() error                                                 { panic("log: not yet") }
func (l *Log) Delete() error                                                { panic("log: not yet") }
func (l *Log) Err() error                                                   { panic("log: not yet") }
func (l *Log) Producers() []ProducerState                                   { panic("log: not yet") }
func (l *Log) AbortedTxns(from, to int64) ([]AbortedTxn, error)             { panic("log: not yet") }

// DirsOptions are what the log directories of a node are opened with.
type DirsOptions struct {
	Paths     []string // log.dirs
	ClusterID string   // written to meta.properties; empty: taken from there
	NodeID    int32

	Config      *Config                    // the broker's defaults
	TopicConfig func(topic string) *Config // a topic's effective configuration at load; nil: Config
	Clock       func() time.Time
	FS          vfs.FS
	Logger      *slog.Logger

	RecoveryThreads         int           // num.recovery.threads.per.data.dir; 0: 2
	ProducerExpirationMs    int64         // producer.id.expiration.ms
	ProducerCheckInterval   time.Duration // producer.id.expiration.check.interval.ms
	RetentionCheckInterval  time.Duration // log.retention.check.interval.ms; 0: 5 min
	CheckpointInterval      time.Duration // log.flush.offset.checkpoint.interval.ms; 0: 1 min
	StartCheckpointInterval time.Duration // log.flush.start.offset.checkpoint.interval.ms; 0: 1 min
	HighWatermarkInterval   time.Duration // replica.high.watermark.checkpoint.interval.ms; 0: 5 s
	FlushCheckInterval      time.Duration // how often flush.ms is looked at; 0: 1 s

	// Offline is told once for each directory that fails, on its own goroutine.
	Offline func(d Dir, err error)
}

// Dir describes one log directory.
type Dir struct {
	Path        string
	ID          [16]byte // directory.id of meta.properties
	Err         error    // why it is offline; nil: in use
	Free, Total int64    // bytes of its file system; -1 if unknown
	Logs        int
}

// Dirs is the log directories of one node.
type Dirs struct{}

// OpenDirs locks the directories, formats new ones and loads all logs.
func OpenDirs(o DirsOptions) (*Dirs, error) { panic("log: not yet") }

// ClusterID is what meta.properties says, or what was asked for at the first start.
func (d *Dirs) ClusterID() string { panic("log: not yet") }

// Dirs lists the directories, those offline too.
func (d *Dirs) Dirs() []Dir { panic("log: not yet") }

// Get finds a log; nil if this node has none. A log that failed is found too: its operations give ErrDirOffline.
func (d *Dirs) Get(topic string, partition int32) *Log { panic("log: not yet") }

// All lists the logs in no order.
func (d *Dirs) All() iter.Seq[*Log] { panic("log: not yet") }

// DirOf is the id of the directory that holds a log.
func (d *Dirs) DirOf(l *Log) [16]byte { panic("log: not yet") }

// Create makes a new log, on the directory with the fewest logs, or on the one with the id dir if that is not zero.
func (d *Dirs) Create(topic string, id [16]byte, partition int32, dir [16]byte, c *Config) (*Log, error) {
	panic("log: not yet")
}

// Delete takes a log out of use and deletes its files after file.delete.delay.ms.
func (d *Dirs) Delete(topic string, partition int32) error { panic("log: not yet") }

// MarkStray renames the directory of a log that the cluster does not place here to -stray and forgets it.
func (d *Dirs) MarkStray(topic string, partition int32) error { panic("log: not yet") }

// SetBrokerEpoch is kept in the clean shutdown marker (KIP-966).
func (d *Dirs) SetBrokerEpoch(epoch int64) { panic("log: not yet") }

// PreviousBrokerEpoch is what the marker of the last clean shutdown said; -1 if there was none.
func (d *Dirs) PreviousBrokerEpoch() int64 { panic("log: not yet") }

// Checkpoint writes the checkpoint files now.
func (d *Dirs) Checkpoint() error { panic("log: not yet") }

// Close ends the work in the background, closes all logs, writes checkpoints and markers, and unlocks.
func (d *Dirs) Close() error { panic("log: not yet") }
