package log

import (
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log/vfs"
)

// DirsOptions are what the log directories of a node are opened with. Durations of 0 mean Kafka's default.
type DirsOptions struct {
	Paths     []string // log.dirs
	ClusterID string   // written to meta.properties; empty: taken from there
	NodeID    int32
	// ZooKeeper says that the cluster's metadata is in ZooKeeper: meta.properties has version 0, as Apache Kafka 3.9 writes
	// it there.
	ZooKeeper bool

	Config      *Config                    // the broker's defaults
	TopicConfig func(topic string) *Config // a topic's effective configuration at load; nil: Config
	Clock       func() time.Time
	FS          vfs.FS
	Logger      *slog.Logger

	RecoveryThreads         int                  // num.recovery.threads.per.data.dir; 0: 2
	ProducerExpirationMs    int64                // producer.id.expiration.ms
	ProducerCheckInterval   time.Duration        // producer.id.expiration.check.interval.ms
	RetentionCheckInterval  time.Duration        // log.retention.check.interval.ms
	CheckpointInterval      time.Duration        // log.flush.offset.checkpoint.interval.ms
	StartCheckpointInterval time.Duration        // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkInterval   time.Duration        // replica.high.watermark.checkpoint.interval.ms
	FlushCheckInterval      time.Duration        // how often flush.ms is looked at
	Cleaner                 func() CleanerConfig // nil: Kafka's defaults
	MaxOpenFiles            int64                // segment files kept open; 0: half of what the process may open
	Reserve                 func() int64         // bytes of each disk that are kept for the node itself; nil, or below 0: a hundredth, up to 1 GB
	Ballast                 int64                // bytes of a file in each directory that is given up when somebody else fills the disk; 0: none

	// Scrub is how the records are read over in the background: bytes a second on all directories, 0 for not at all, and
	// the time from the beginning of one pass to that of the next. nil: not at all.
	Scrub func() (bytesPerSecond int64, interval time.Duration)

	// Stepped says that there are no goroutines in the background: somebody calls Step. The simulation does.
	Stepped bool

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

// Dirs is the log directories of one node, the logs in them, and the work in the background. It is safe for concurrent
// use. OpenDirs makes it; Close must be called.
type Dirs struct {
	o           DirsOptions
	fs          vfs.FS
	slog        *slog.Logger
	dirs        []*logDir
	clusterID   string
	brokerEpoch atomic.Int64
	lastEpoch   int64
	files       openFiles

	moving sync.RWMutex // Create holds it for reading, Delete and MarkStray for writing

	mu      sync.Mutex // guards the maps; no log is called with it held
	logs    map[partitionKey]placed
	futures map[partitionKey]placed // copies on their way to another directory
	broken  map[partitionKey]brokenLog
	making  map[partitionKey]*logDir // logs that Create is about to make

	damaged map[*Log]struct{} // guarded by mu; see Damaged

	background background
	cleaner    cleanerPool
}

type placed struct {
	l   *Log
	dir *logDir
}

// brokenLog is a partition whose log could not be opened. It stays as it is on disk.
type brokenLog struct {
	path    string
	dir     *logDir
	err     error
	offsets [checkpointKinds]int64 // which the checkpoints go on keeping; -1: none
	clean   bool                   // as which it was opened: see Options
}

// noOffsets are those of a log of which the checkpoints say nothing.
var noOffsets = [checkpointKinds]int64{-1, -1, -1, -1}

// logDir is one log directory.
type logDir struct {
	path  string
	id    [16]byte
	lock  io.Closer
	clean bool // found the marker of a clean shutdown
	boot  bool // was last used since the machine started
	err   atomic.Pointer[error]

	fullSaid atomic.Int64 // when it was logged that it is full, ms; 0: never

	crowded   atomic.Pointer[error] // why it takes no records of clients; see watchSpace
	unseen    atomic.Int64          // bytes written since the room was looked at
	lookAfter atomic.Int64          // bytes after which it is looked at again
	looking   sync.Mutex

	logs int // placed, broken or being made here; Dirs.mu guards it

	checkpoints sync.Mutex           // guards written, and Log.checkpointed of the logs here
	written     [checkpointKinds]int // entries of each file; -1 before it is written
}

func (d *logDir) offline() error {
	if err := d.err.Load(); err != nil {
		return *err
	}
	return nil
}

// ClusterID is what meta.properties says, or what was asked for at the first start.
func (d *Dirs) ClusterID() string { return d.clusterID }

// SetBrokerEpoch is kept in the clean shutdown marker (KIP-966).
func (d *Dirs) SetBrokerEpoch(epoch int64) { d.brokerEpoch.Store(epoch) }

// PreviousBrokerEpoch is what the marker of the last clean shutdown said; -1 if any directory has none.
func (d *Dirs) PreviousBrokerEpoch() int64 { return d.lastEpoch }

// Dirs lists the directories, those offline too.
func (d *Dirs) Dirs() []Dir {
	list := make([]Dir, 0, len(d.dirs))
	for _, dir := range d.dirs {
		list = append(list, d.describe(dir))
	}
	return list
}

// Offline lists the ids of the directories that have failed; those that could not even be read at the start have none.
func (d *Dirs) Offline() (ids [][16]byte) {
	for _, dir := range d.dirs {
		if dir.offline() != nil {
			ids = append(ids, dir.id)
		}
	}
	return ids
}

func (d *Dirs) describe(dir *logDir) Dir {
	out := Dir{Path: dir.path, ID: dir.id, Err: dir.offline(), Free: -1, Total: -1}
	d.mu.Lock()
	out.Logs = dir.logs
	d.mu.Unlock()
	if out.Err == nil {
		if free, total, err := d.fs.FreeBytes(dir.path); err == nil {
			out.Free, out.Total = free, total
		}
	}
	return out
}

// Get finds a log; nil if this node has none, or none that could be opened (see Broken). A log whose directory failed
// is found: what is done with it gives ErrDirOffline.
func (d *Dirs) Get(topic string, partition int32) *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logs[partitionKey{topic, partition}].l
}

// Broken tells why a partition's log on disk could not be opened; nil if there is no such log.
func (d *Dirs) Broken(topic string, partition int32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken[partitionKey{topic, partition}].err
}

// All lists the logs in no order.
func (d *Dirs) All() iter.Seq[*Log] {
	return func(yield func(*Log) bool) {
		for _, p := range d.current() {
			if !yield(p.l) {
				return
			}
		}
	}
}

// current copies the logs of all directories, without future ones.
func (d *Dirs) current() []placed {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Collect(maps.Values(d.logs))
	if d.o.Stepped {
		sortPlaced(list)
	}
	return list
}

// list copies the logs of one directory, or of all, and the future ones.
func (d *Dirs) list(dir *logDir) []placed {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]placed, 0, len(d.logs))
	for _, logs := range []map[partitionKey]placed{d.logs, d.futures} {
		for _, p := range logs {
			if dir == nil || p.dir == dir {
				list = append(list, p)
			}
		}
	}
	if d.o.Stepped {
		sortPlaced(list)
	}
	return list
}

func sortPlaced(list []placed) {
	slices.SortFunc(list, func(a, b placed) int { return strings.Compare(a.l.Dir(), b.l.Dir()) })
}

// DirOf is the id of the directory that holds a log; zero if the log is not one of these.
func (d *Dirs) DirOf(l *Log) [16]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := partitionKey{l.Topic(), l.Partition()}
	for _, p := range []placed{d.logs[key], d.futures[key]} {
		if p.l == l {
			return p.dir.id
		}
	}
	return [16]byte{}
}

// Create makes a new log, on the directory with the fewest logs, or on the one with the id dir if that is not zero. What
// it makes is not on disk before the log's first flush.
// Errors: ErrExists; ErrDirOffline if the directory, or all, are offline; why the partition's log on disk cannot be
// opened; ErrNoSpace.
func (d *Dirs) Create(topic string, id [16]byte, partition int32, dir [16]byte, c *Config) (*Log, error) {
	d.moving.RLock()
	defer d.moving.RUnlock()
	key := partitionKey{topic, partition}
	place, err := d.reserve(key, dir)
	if err != nil {
		return nil, err
	}
	l, err := d.make(place, key, id, c)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.making, key)
	if err != nil {
		place.logs--
		return nil, err
	}
	d.logs[key] = placed{l, place}
	return l, nil
}

// reserve chooses the directory of a new log, and keeps others from making the same.
func (d *Dirs) reserve(key partitionKey, dir [16]byte) (*logDir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.logs[key]
	if _, making := d.making[key]; found || making {
		return nil, fmt.Errorf("%w: %s", ErrExists, PartitionDirName(key.topic, key.partition))
	}
	if broken, is := d.broken[key]; is {
		return nil, broken.err
	}
	place, err := d.choose(dir)
	if err == nil {
		d.making[key] = place
		place.logs++
	}
	return place, err
}

// make makes a log, or takes over what lies in its place.
func (d *Dirs) make(place *logDir, key partitionKey, id [16]byte, c *Config) (*Log, error) {
	return d.makeIn(place, filepath.Join(place.path, PartitionDirName(key.topic, key.partition)), key, id, c)
}

func (d *Dirs) makeIn(place *logDir, path string, key partitionKey, id [16]byte, c *Config) (*Log, error) {
	fresh := !exists(d.fs, path)
	l, err := Open(d.options(place, path, key, id, c))
	if err != nil {
		if fresh {
			d.fs.RemoveAll(path) // half made
		}
		switch {
		case isNoSpace(err):
			return nil, fmt.Errorf("%w: %w", ErrNoSpace, err)
		case isDiskFailure(err):
			d.fail(place, err)
			return nil, place.offline()
		}
		return nil, err
	}
	return l, nil
}

// choose finds the directory for a new log. mu is held.
func (d *Dirs) choose(id [16]byte) (*logDir, error) {
	var best *logDir
	for _, dir := range d.dirs {
		if id != [16]byte{} {
			if dir.id == id {
				return dir, dir.offline()
			}
			continue
		}
		if dir.offline() == nil && (best == nil || dir.logs < best.logs) {
			best = dir
		}
	}
	if best == nil && id != [16]byte{} {
		return nil, fmt.Errorf("%w: this node has no log directory with the id %s", ErrDirOffline, formatID(id))
	}
	if best == nil {
		return nil, fmt.Errorf("%w: all log directories have failed", ErrDirOffline)
	}
	return best, nil
}

func (d *Dirs) options(dir *logDir, path string, key partitionKey, id [16]byte, c *Config) Options {
	return Options{
		Dir: path, Topic: key.topic, Partition: key.partition, TopicID: id, Config: c,
		Clock: d.o.Clock, FS: d.fs, Logger: d.slog, ProducerExpirationMs: d.o.ProducerExpirationMs,
		Later:   d.background.later,
		files:   &d.files,
		Flusher: func(l *Log, offset int64) { d.background.flushSoon(dir, l, offset) },
		Lowered: func(*Log) error { return d.checkpointLowered(dir) },
		Full:    func(_ *Log, err error) { d.full(dir, err) },
		Damaged: func(l *Log) { d.noteDamaged(l) },
		Room:    d.room(dir, key.topic),
		Failed: func(_ *Log, err error) {
			if isDiskFailure(err) {
				d.fail(dir, err)
			}
		},
	}
}

// fullInterval is how often it is logged that a disk is full.
const fullInterval = time.Minute

// full says now and then that a directory has no room for what is to be written.
func (d *Dirs) full(dir *logDir, cause error) {
	now := d.o.Clock().UnixMilli()
	if said := dir.fullSaid.Load(); (said == 0 || now-said >= fullInterval.Milliseconds()) && dir.fullSaid.CompareAndSwap(said, now) {
		d.slog.Error("the disk of a log directory is full, appends are refused until there is room", "dir", dir.path, "error", cause)
	}
}

// fail takes a directory offline, and with it its logs.
func (d *Dirs) fail(dir *logDir, cause error) {
	err := fmt.Errorf("%w: %s: %w", ErrDirOffline, dir.path, cause)
	if !dir.err.CompareAndSwap(nil, &err) {
		return
	}
	d.slog.Error("log directory goes offline", "dir", dir.path, "error", cause)
	d.background.run(func() {
		for _, p := range d.list(dir) {
			p.l.Fail(cause)
		}
		if d.o.Offline != nil {
			d.o.Offline(d.describe(dir), cause)
		}
	})
}

// probe looks whether the directories are still there. What is written to open files of a directory that was removed, or
// to the place where its disk was mounted, goes nowhere without an error.
func (d *Dirs) probe() {
	for _, dir := range d.dirs {
		if dir.offline() != nil {
			continue
		}
		if _, err := d.fs.Stat(filepath.Join(dir.path, metaPropertiesFile)); err != nil && isDiskFailure(err) {
			d.fail(dir, err)
		}
	}
}

func (d *Dirs) removeDir(path string) {
	err := d.fs.RemoveAll(path)
	if err == nil {
		err = d.fs.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		d.slog.Warn("a deleted partition's directory could not be removed", "dir", path, "error", err)
	}
}
