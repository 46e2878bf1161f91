package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"gregor/internal/config"
	"gregor/internal/holder"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
)

// openDirs locks the directories, formats new ones, and loads their logs. Whoever finds them locked is told by whom.
func (n *Node) openDirs(v *config.Values) error {
	defer close(n.dirsOpened)
	if !n.roles.Broker { // its logs are none of ours
		return n.openMetadataDir(v)
	}
	defaults, err := topicConfig(v, nil)
	if err != nil {
		return err
	}
	n.dirs, err = log.OpenDirs(log.DirsOptions{
		Paths:                   v.LogDirs(),
		ClusterID:               n.id.clusterID,
		NodeID:                  n.id.nodeID,
		ZooKeeper:               n.zoo != nil,
		Config:                  defaults.Log,
		Logger:                  n.logs.Part("log"),
		RecoveryThreads:         v.Int("num.recovery.threads.per.data.dir"),
		ProducerExpirationMs:    v.Int64("producer.id.expiration.ms"),
		ProducerCheckInterval:   v.Millis("producer.id.expiration.check.interval.ms"),
		RetentionCheckInterval:  v.Millis("log.retention.check.interval.ms"),
		CheckpointInterval:      v.Millis("log.flush.offset.checkpoint.interval.ms"),
		StartCheckpointInterval: v.Millis("log.flush.start.offset.checkpoint.interval.ms"),
		HighWatermarkInterval:   v.Millis("replica.high.watermark.checkpoint.interval.ms"),
		Cleaner:                 func() log.CleanerConfig { return cleanerConfig(n.live.Load()) },
		Ballast:                 8 << 20,
		Reserve:                 func() int64 { return n.live.Load().Int64("log.dirs.reserved.bytes") },
		Scrub: func() (int64, time.Duration) {
			v := n.live.Load()
			return v.Int64("log.scrub.io.max.bytes.per.second"), v.Millis("log.scrub.interval.ms")
		},
		Offline: n.dirOffline,
	})
	if err != nil {
		n.dirs = nil
		return explainDir(err, "log.dirs")
	}
	if len(Directories(v)) > len(v.LogDirs()) {
		return n.openMetadataDir(v)
	}
	return nil
}

// cleanerConfig is how the logs of compacted topics are cleaned.
func cleanerConfig(v *config.Values) log.CleanerConfig {
	return log.CleanerConfig{
		Disabled:       !v.Bool("log.cleaner.enable"),
		Threads:        v.Int("log.cleaner.threads"),
		DedupeBytes:    v.Int64("log.cleaner.dedupe.buffer.size"),
		LoadFactor:     v.Float("log.cleaner.io.buffer.load.factor"),
		IOBytes:        v.Int("log.cleaner.io.buffer.size"),
		BytesPerSecond: v.Float("log.cleaner.io.max.bytes.per.second"),
		Backoff:        v.Millis("log.cleaner.backoff.ms"),
	}
}

func (n *Node) openMetadataDir(v *config.Values) (err error) {
	if n.lock, err = openMetadataDir(v.MetadataDir(), n.id); err != nil {
		return explainDir(err, "metadata.log.dir")
	}
	return nil
}

// dirOffline is told of a directory that failed. The node goes on with the others; if the metadata was there, the
// controller ends it.
func (n *Node) dirOffline(d log.Dir, err error) {
	<-n.dirsOpened
	if n.dirs == nil {
		return // OpenDirs has told why
	}
	n.log.Error("log directory is offline", "dir", d.Path, "error", err.Error())
	if told := n.dirsFailed.Load(); told != nil {
		(*told)()
	}
	for _, other := range n.dirs.Dirs() {
		if other.Err == nil && other.Path != d.Path {
			return
		}
	}
	n.fail(fmt.Errorf("all log directories have failed: %s: %w", d.Path, err))
}

// watchDirs has the replicas and, by a heartbeat that is sent at once, the controller hear of directories that fail. Before
// it is called both see by themselves what has failed.
func (n *Node) watchDirs() {
	told := func() {
		n.repl.DirsFailed()
		n.beatNow()
	}
	n.dirsFailed.Store(&told)
	if len(n.dirs.Offline()) > 0 {
		told()
	}
}

func (n *Node) offlineDirs() (ids [][16]byte) {
	for _, id := range n.dirs.Offline() {
		if id != [16]byte{} {
			ids = append(ids, id)
		}
	}
	return ids
}

// explainDir says why a directory cannot be used, by the process that holds it if there is one, and which setting to
// change.
func explainDir(err error, setting string) error {
	var locked *vfs.LockedError
	var path *fs.PathError
	switch {
	case errors.As(err, &locked):
	case errors.As(err, &path):
		return fmt.Errorf("%w; it must be a directory that this user may make and write: correct that, or use another directory in %s", err, setting)
	default:
		return err
	}
	return fmt.Errorf("%w: %s is held by %s; stop it, or use another directory in %s", log.ErrLocked, filepath.Dir(locked.Path), holder.OfLock(locked.PID), setting)
}

// metadataDir is metadata.log.dir when it is not one of log.dirs: it has a lock and an identity of its own.
type metadataDir struct {
	lock io.Closer
}

func openMetadataDir(dir string, id identity) (*metadataDir, error) {
	disk := vfs.OS{}
	if err := disk.MkdirAll(dir); err != nil {
		return nil, err
	}
	lock, err := disk.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, err
	}
	m, err := log.ReadMetaProperties(disk, dir)
	if err == nil && m == nil {
		err = log.Format(disk, dir, id.clusterID, id.nodeID)
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &metadataDir{lock}, nil
}

func (d *metadataDir) close() error { return d.lock.Close() }
