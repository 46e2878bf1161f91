package log

import (
	"iter"
	"log/slog"
	"time"

	"gregor/internal/log/vfs"
)

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
