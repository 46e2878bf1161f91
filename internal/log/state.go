package log

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log/vfs"
)

// Log is the log of one partition. See Open.
//
// What readers need is published in atomics, in this order: the bytes are in the file, then the segment's size, then
// the end offset. A new segment is in the list before the end offset moves into it.
//
// Lock order: structure, then mu, then a segment's mu, then flush.mu; retention and truncation hold mu.
type Log struct {
	o    Options
	fs   vfs.FS
	dir  string // changes when the log is deleted
	slog *slog.Logger
	now  func() time.Time
	id   [16]byte

	config        atomic.Pointer[Config]
	segments      atomic.Pointer[[]*segment] // ascending, never empty, never changed in place
	start         atomic.Int64
	end           atomic.Int64
	highWatermark atomic.Int64
	unstable      atomic.Int64 // first unstable offset, MaxInt64 if none
	unreplicated  atomic.Int32 // ended transactions whose marker is above the high watermark
	failed        atomic.Pointer[error]

	structure sync.Mutex // whoever takes segments away or replaces them holds it, and mu for the change itself

	mu        sync.Mutex
	next      int64 // the end of what is written; end follows, with flush.messages=1 only after the fsync
	epochs    *epochs
	producers producers
	snapshots []int64 // offsets of the snapshot files, ascending
	closed    bool

	checkpointed [checkpointKinds]int64 // what the checkpoints of its directory say; guarded by those

	unsyncedSnapshots []int64 // written since the last flush
	truncations       int     // counts them, so that a flush under way notices

	flush      flusher
	compaction cleanState
}

// Open opens a log, or makes a new one if the directory is missing or empty, and recovers it after a crash. Errors:
// ErrCorrupt if data that had been flushed, or that has intact data behind it, is damaged; ErrInconsistent if the
// directory belongs to another topic; those of the file system.
func Open(o Options) (*Log, error) {
	if o.Config == nil {
		o.Config = DefaultConfig()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ProducerExpirationMs == 0 {
		o.ProducerExpirationMs = 24 * 3600 * 1000
	}
	l := &Log{o: o, fs: o.FS, dir: o.Dir, now: o.Clock,
		slog: o.Logger.With("topic", o.Topic, "partition", o.Partition)}
	l.flush.init()
	l.checkpointed = [checkpointKinds]int64{-1, -1, -1, -1}
	l.config.Store(o.Config)
	l.unstable.Store(math.MaxInt64)
	l.compaction.upTo.Store(-1)
	if err := l.load(); err != nil {
		if list := l.segments.Load(); list != nil {
			for _, s := range *list {
				s.retire()
			}
		}
		return nil, fmt.Errorf("opening log %s: %w", o.Dir, err)
	}
	return l, nil
}

// Topic is the topic's name.
func (l *Log) Topic() string { return l.o.Topic }

// Partition is the partition's number.
func (l *Log) Partition() int32 { return l.o.Partition }

// TopicID is the topic's id; zero if unknown.
func (l *Log) TopicID() [16]byte { return l.id }

// AssignTopicID notes the topic's id in a log that has none, since it is from before topic ids, or its partition.metadata was
// lost. It must not be called while others read the id.
func (l *Log) AssignTopicID(id [16]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	err := vfs.ReplaceFile(l.fs, filepath.Join(l.dir, partitionMetadataFile), encodePartitionMetadata(id), true)
	if err == nil {
		l.id = id
	}
	return l.writeFailed(err)
}

// Dir is the partition's directory.
func (l *Log) Dir() string { return l.o.Dir }

// Config is the current configuration.
func (l *Log) Config() *Config { return l.config.Load() }

// SetConfig replaces the configuration; c is not changed any more.
func (l *Log) SetConfig(c *Config) { l.config.Store(c) }

// StartOffset is the first offset that may be read.
func (l *Log) StartOffset() int64 { return l.start.Load() }

// EndOffset is the offset after the last record. With flush.messages=1 it counts only what is on disk.
func (l *Log) EndOffset() int64 { return l.end.Load() }

// HighWatermark is the offset below which every record is replicated.
func (l *Log) HighWatermark() int64 { return l.highWatermark.Load() }

// LastStableOffset is the offset below which every transaction is decided and replicated.
func (l *Log) LastStableOffset() int64 {
	// In this order: a transaction that starts between the two loads starts above the high watermark.
	hw := l.highWatermark.Load()
	return min(hw, l.unstable.Load())
}

// SetHighWatermark moves the high watermark up, at most to the end of the log. It never goes back, except when the log
// is truncated.
func (l *Log) SetHighWatermark(offset int64) (moved bool) {
	offset = min(offset, l.end.Load())
	for {
		old := l.highWatermark.Load()
		if offset <= old {
			return false
		}
		if l.highWatermark.CompareAndSwap(old, offset) {
			break
		}
	}
	if l.unreplicated.Load() > 0 {
		l.mu.Lock()
		l.producers.replicated(l.highWatermark.Load())
		l.publishTxns()
		l.mu.Unlock()
	}
	return true
}

// publishTxns makes the producers' first unstable offset visible. mu is held.
func (l *Log) publishTxns() {
	l.unreplicated.Store(int32(len(l.producers.unreplicated)))
	// A transaction may have begun with records that were deleted since.
	l.unstable.Store(max(l.producers.firstUnstable(), l.start.Load()))
}

// Size is the bytes of all segments.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segments.Load() {
		n += s.size.Load()
	}
	return n
}

// Segments is the number of segments.
func (l *Log) Segments() int { return len(*l.segments.Load()) }

// RecoveryPoint is the offset below which everything is on disk.
func (l *Log) RecoveryPoint() int64 { return l.flush.point.Load() }

// Producers lists the producers the log knows of, by id.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.list()
}

// ExpireProducers forgets the producers idle for longer than producer.id.expiration.ms.
func (l *Log) ExpireProducers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers.expire(l.now().UnixMilli() - l.o.ProducerExpirationMs)
}

// LatestEpoch is the epoch of the last records; -1 if unknown.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest() }

// EpochForOffset is the leader epoch that an offset was written in; -1 if unknown.
func (l *Log) EpochForOffset(offset int64) int32 { return l.epochs.forOffset(offset) }

// EndOffsetForEpoch gives the largest epoch not above the asked one and where it ends; -1, -1 if unknown (KIP-101).
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	if epoch < l.epochs.latest() && !l.epochs.compared.Load() {
		if err := l.compareEpochs(); err != nil {
			l.slog.Warn("the leader epochs could not be compared with the records", "error", err)
		}
	}
	return l.epochs.endOffset(epoch, l.EndOffset())
}

// AssignEpoch notes that a leader epoch starts at an offset, before the first record of it is appended.
func (l *Log) AssignEpoch(epoch int32, startOffset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.epochs.assign(epoch, startOffset)
	return nil
}

// Err is why the log is out of service: ErrDirOffline with the cause; nil if it is not.
func (l *Log) Err() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// usable tells whether the log may be changed. mu is held.
func (l *Log) usable() error {
	if err := l.Err(); err != nil {
		return err
	}
	if l.closed {
		return fmt.Errorf("%w: %s", ErrClosed, l.dir)
	}
	return nil
}

// Fail takes the log out of service, as when its directory failed.
func (l *Log) Fail(cause error) {
	err := fmt.Errorf("%w: %s: %w", ErrDirOffline, filepath.Dir(l.o.Dir), cause)
	if l.failed.CompareAndSwap(nil, &err) {
		l.flush.fail(err)
		if l.o.Failed != nil {
			l.o.Failed(l, cause)
		}
	}
}

// writeFailed sorts an error of writing: a full disk is reported and leaves the log in service, a failure of the disk
// takes it out of service, other errors pass.
func (l *Log) writeFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		if l.o.Full != nil {
			l.o.Full(l, err)
		}
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case isDiskFailure(err):
		l.slog.Error("log directory fails", "dir", l.dir, "error", err)
		l.Fail(err)
		return l.Err()
	}
	return err
}

// active is the segment that is appended to.
func (l *Log) active() *segment {
	list := *l.segments.Load()
	return list[len(list)-1]
}

// setSegments publishes a list.
func (l *Log) setSegments(list []*segment) {
	list = slices.Clip(list)
	l.segments.Store(&list)
}

// floor is the index of the segment that holds an offset; -1 if it lies before the first.
func floor(list []*segment, offset int64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].base > offset }) - 1
}

// later runs a removal after file.delete.delay.ms.
func (l *Log) later(remove func()) {
	if l.o.Later == nil {
		remove()
		return
	}
	l.o.Later(time.Duration(l.config.Load().FileDeleteDelayMs)*time.Millisecond, remove)
}

// SaveIndexes writes the index entries that are only in memory, so that Kafka's tools see them while the log is in use.
func (l *Log) SaveIndexes() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usable() != nil {
		return nil
	}
	return l.writeFailed(l.active().saveIndexes())
}

// Sweep gives back the memory and descriptors of segments that were not used since the last sweep. What was written to
// the active one is flushed first: the system tells of an error of its writing only to who has the file open.
func (l *Log) Sweep() error {
	list := *l.segments.Load()
	for _, s := range list[:len(list)-1] {
		s.sweep()
	}
	active := list[len(list)-1]
	if !active.idle() {
		return nil
	}
	if err := l.Flush(l.EndOffset()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flush.point.Load() >= l.next { // nothing was written meanwhile
		active.rest()
	}
	return nil
}
