package log

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gregor/internal/log/vfs"
)

// OpenDirs locks the directories, formats new ones and loads all logs, in parallel. A directory that cannot be read is
// taken offline, as long as another is left; a log that cannot be opened stays out of use, see Dirs.Broken.
//
// Errors: ErrLocked with the process that holds a directory; ErrInconsistent if a directory belongs to another cluster
// or node; that of the last directory if all fail.
func OpenDirs(o DirsOptions) (*Dirs, error) {
	o.setDefaults()
	d := &Dirs{o: o, fs: o.FS, slog: o.Logger, logs: map[partitionKey]placed{}, broken: map[partitionKey]brokenLog{},
		futures: map[partitionKey]placed{}, making: map[partitionKey]*logDir{}, lastEpoch: -1}
	d.brokerEpoch.Store(-1)
	d.files.limit = o.MaxOpenFiles
	if err := d.takeDirs(); err != nil {
		d.unlock()
		return nil, err
	}
	d.background.start(d)
	d.finishMoves()
	parallel(len(d.dirs), d.dirThreads(), func(i int) {
		if d.dirs[i].offline() == nil {
			d.loadDir(d.dirs[i])
		}
	})
	if err := d.anyOnline(); err != nil {
		d.background.stop()
		d.unlock()
		return nil, err
	}
	d.background.begin()
	return d, nil
}

func (o *DirsOptions) setDefaults() {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.ProducerCheckInterval, 10*time.Minute)
	set(&o.RetentionCheckInterval, 5*time.Minute)
	set(&o.CheckpointInterval, time.Minute)
	set(&o.StartCheckpointInterval, time.Minute)
	set(&o.HighWatermarkInterval, 5*time.Second)
	set(&o.FlushCheckInterval, time.Second)
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
	if o.MaxOpenFiles <= 0 {
		o.MaxOpenFiles = maxOpenFiles()
	}
	if o.RecoveryThreads <= 0 {
		o.RecoveryThreads = 2
	}
	if o.Stepped {
		o.RecoveryThreads = 1
	}
	if o.TopicConfig == nil {
		o.TopicConfig = func(string) *Config { return o.Config }
	}
}

func (d *Dirs) unlock() {
	for _, dir := range d.dirs {
		if dir.lock != nil {
			dir.lock.Close()
		}
	}
}

// anyOnline gives the error of a directory if all are offline.
func (d *Dirs) anyOnline() error {
	var err error
	for _, dir := range d.dirs {
		e := dir.offline()
		if e == nil {
			return nil
		}
		err = e
	}
	if err == nil {
		err = fmt.Errorf("%w: log.dirs is empty", ErrDirOffline)
	}
	return err
}

// takeDirs locks the directories and reads or writes their meta.properties. Nothing is written before all are known to
// be free and to belong to this node.
func (d *Dirs) takeDirs() error {
	clean := true
	var metas []*MetaProperties
	for _, path := range d.o.Paths {
		dir := &logDir{path: path, written: [checkpointKinds]int{-1, -1, -1, -1}}
		if slices.ContainsFunc(d.dirs, func(o *logDir) bool { return filepath.Clean(o.path) == filepath.Clean(path) }) {
			return fmt.Errorf("%w: log.dirs names %s twice", ErrInconsistent, path)
		}
		d.dirs = append(d.dirs, dir)
		meta, err := d.takeDir(dir)
		switch {
		case err == nil:
		case errors.Is(err, ErrLocked) || errors.Is(err, ErrInconsistent) || errors.Is(err, ErrCorrupt):
			return err
		default:
			d.slog.Error("log directory is offline", "dir", path, "error", err)
			err = fmt.Errorf("%w: %s: %w", ErrDirOffline, path, err)
			dir.err.Store(&err)
		}
		metas = append(metas, meta)
	}
	if err := d.anyOnline(); err != nil {
		return err
	}
	if err := d.settleCluster(metas); err != nil {
		return err
	}
	for i, dir := range d.dirs {
		if dir.offline() != nil {
			clean = false
			continue
		}
		marker, found, err := d.prepareDir(dir, metas[i])
		if err != nil {
			return fmt.Errorf("preparing log directory %s: %w", dir.path, err)
		}
		dir.clean = found
		if found && clean {
			d.lastEpoch = marker.BrokerEpoch
		}
		clean = clean && found
	}
	if !clean {
		d.lastEpoch = -1
	}
	return nil
}

// takeDir locks one directory and reads its meta.properties; nil if there is none yet.
func (d *Dirs) takeDir(dir *logDir) (*MetaProperties, error) {
	if err := makeDir(d.fs, dir.path); err != nil {
		return nil, err
	}
	path := filepath.Join(dir.path, lockFile)
	owner := vfs.ReadOwner(d.fs, path)
	lock, err := d.fs.Lock(path)
	var locked *vfs.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("%w: %s: %w; stop that process, or use another log.dirs", ErrLocked, dir.path, err)
	}
	if err != nil {
		return nil, err
	}
	dir.lock = lock
	dir.boot = owner.BootID != "" && owner.BootID == d.fs.BootID()
	path = filepath.Join(dir.path, metaPropertiesFile)
	b, err := readFile(d.fs, path)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeMetaProperties(path, b)
	if err != nil {
		return nil, err
	}
	if err := m.CheckEngine(path, d.o.ZooKeeper); err != nil {
		return nil, err
	}
	if m.NodeID >= 0 && m.NodeID != d.o.NodeID {
		return nil, fmt.Errorf("%w: %s belongs to node %d, but this is node %d; set node.id=%d, or use another log.dirs",
			ErrInconsistent, path, m.NodeID, d.o.NodeID, m.NodeID)
	}
	return &m, nil
}

// settleCluster finds the cluster's id, on which all directories must agree.
func (d *Dirs) settleCluster(metas []*MetaProperties) error {
	d.clusterID = d.o.ClusterID
	from := "the configuration"
	for i, m := range metas {
		if m == nil || m.ClusterID == "" {
			continue
		}
		if d.clusterID == "" {
			d.clusterID, from = m.ClusterID, d.dirs[i].path
		}
		if m.ClusterID != d.clusterID {
			return fmt.Errorf("%w: %s belongs to cluster %s, but %s says %s; use another log.dirs, or remove the directory to give its data up",
				ErrInconsistent, d.dirs[i].path, m.ClusterID, from, d.clusterID)
		}
	}
	if d.clusterID == "" {
		var id [16]byte
		newID(&id)
		d.clusterID = formatID(id)
	}
	return nil
}

// prepareDir writes what a directory lacks and takes its marker of a clean shutdown.
func (d *Dirs) prepareDir(dir *logDir, m *MetaProperties) (marker cleanShutdown, found bool, err error) {
	d.dropBallast(dir)
	want := MetaProperties{Version: 1, ClusterID: d.clusterID, NodeID: d.o.NodeID}
	if d.o.ZooKeeper {
		want.Version = 0
	}
	if m != nil {
		want.DirectoryID = m.DirectoryID
	}
	if want.DirectoryID == [16]byte{} {
		newID(&want.DirectoryID)
	}
	dir.id = want.DirectoryID
	if m == nil || *m != want {
		if err := vfs.ReplaceFile(d.fs, filepath.Join(dir.path, metaPropertiesFile), want.encode(d.o.Clock()), true); err != nil {
			return marker, false, err
		}
	}
	cleaner := filepath.Join(dir.path, cleanerCheckpointFile)
	if !exists(d.fs, cleaner) {
		if err := vfs.WriteFile(d.fs, cleaner, nil, false); err != nil {
			return marker, false, err
		}
	}
	return takeCleanShutdown(d.fs, dir.path)
}

// newID makes a UUID whose text does not start with a dash, which command lines would take for a flag.
func newID(id *[16]byte) {
	for randomID(id); strings.HasPrefix(formatID(*id), "-"); {
		randomID(id)
	}
}

// loadDir loads the logs of one directory.
func (d *Dirs) loadDir(dir *logDir) {
	begun := d.o.Clock()
	n, err := d.loadLogs(dir)
	if err == nil {
		// Entries of partitions that are not there must not be inherited by later ones of the same name.
		err = d.checkpoint(dir, true)
	}
	if err != nil && !errors.Is(err, ErrNoSpace) {
		d.fail(dir, err)
		return
	}
	// A directory that has no log yet has no clean shutdown behind it either, and nothing to worry about.
	d.slog.Info("logs loaded", "dir", dir.path, "logs", n, "clean", dir.clean || n == 0, "ms", d.o.Clock().Sub(begun).Milliseconds())
}

func (d *Dirs) loadLogs(dir *logDir) (int, error) {
	names, err := d.fs.ReadDir(dir.path)
	if err != nil {
		return 0, err
	}
	points, err := d.readCheckpoint(dir, recoveryPointCheckpointFile)
	if err != nil {
		return 0, err
	}
	starts, err := d.readCheckpoint(dir, logStartCheckpointFile)
	if err != nil {
		return 0, err
	}
	marks, err := d.readCheckpoint(dir, highWatermarkCheckpointFile)
	if err != nil {
		return 0, err
	}
	cleaned, err := d.readCheckpoint(dir, cleanerCheckpointFile)
	if err != nil {
		return 0, err
	}
	var keys []partitionKey
	futures := map[partitionKey]string{}
	for _, e := range names {
		name := e.Name()
		path := filepath.Join(dir.path, name)
		topic, partition, ok := ParsePartitionDirName(name)
		switch {
		case !e.IsDir() || name == metadataTopicDir:
		case strings.HasSuffix(name, deleteDirSuffix):
			d.background.later(0, func() { d.removeDir(path) })
		case strings.HasSuffix(name, strayDirSuffix):
			d.slog.Warn("directory is kept but not used", "dir", path)
		case strings.HasSuffix(name, futureDirSuffix):
			if topic, partition, _, ok := parseFutureName(name); ok {
				futures[partitionKey{topic, partition}] = path
			}
		case ok:
			keys = append(keys, partitionKey{topic, partition})
		}
	}
	parallel(len(keys), d.o.RecoveryThreads, func(i int) {
		key := keys[i]
		o := d.options(dir, filepath.Join(dir.path, PartitionDirName(key.topic, key.partition)), key, [16]byte{}, d.o.TopicConfig(key.topic))
		o.RecoveryPoint, o.LogStartOffset, o.HighWatermark, o.CleanShutdown = points[key], starts[key], marks[key], dir.clean
		o.SameBoot = dir.boot
		l, err := Open(o)
		if offset, ok := cleaned[key]; ok && err == nil {
			l.compaction.upTo.Store(min(offset, l.EndOffset()))
		}
		d.loaded(dir, key, o.Dir, l, err, checkpointsOf(key, points, starts, marks, cleaned))
	})
	for key, path := range futures {
		o := d.options(dir, path, key, [16]byte{}, d.o.TopicConfig(key.topic))
		o.RecoveryPoint, o.LogStartOffset, o.HighWatermark, o.CleanShutdown = points[key], starts[key], marks[key], dir.clean
		o.SameBoot = dir.boot
		l, err := Open(o)
		d.loadedFuture(dir, key, path, l, err)
	}
	return len(keys), dir.offline()
}

// loadedFuture takes a future log in. One that cannot be used is removed: it is a copy.
func (d *Dirs) loadedFuture(dir *logDir, key partitionKey, path string, l *Log, err error) {
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.futures[key].l == nil {
			d.futures[key] = placed{l, dir}
			dir.logs++
			return
		}
		l.abandon()
	} else if isDiskFailure(err) && !isNoSpace(err) {
		d.fail(dir, err)
		return
	}
	d.slog.Warn("an unfinished copy of a log is of no use and is removed", "dir", path, "error", fmt.Sprint(err))
	d.background.later(0, func() { d.removeDir(path) })
}

// checkpointsOf is what the checkpoints say of one log.
func checkpointsOf(key partitionKey, points, starts, marks, cleaned offsetCheckpoint) (offsets [checkpointKinds]int64) {
	offsets = noOffsets
	for kind, c := range map[checkpointKind]offsetCheckpoint{recoveryPointCheckpoint: points, logStartCheckpoint: starts, highWatermarkCheckpoint: marks, cleanerCheckpoint: cleaned} {
		if offset, ok := c[key]; ok {
			offsets[kind] = offset
		}
	}
	return offsets
}

// loaded takes a log in, or notes why it could not be opened.
func (d *Dirs) loaded(dir *logDir, key partitionKey, path string, l *Log, err error, offsets [checkpointKinds]int64) {
	if err == nil {
		d.mu.Lock()
		other, twice := d.logs[key]
		if !twice {
			d.logs[key] = placed{l, dir}
			dir.logs++
		}
		d.mu.Unlock()
		if !twice {
			return
		}
		l.abandon()
		err = fmt.Errorf("%w: %s is also in %s; remove one of the two", ErrInconsistent, path, other.dir.path)
	}
	if isDiskFailure(err) && !isNoSpace(err) {
		d.fail(dir, err)
		return
	}
	d.slog.Error("log cannot be opened, its replica is offline", "dir", path, "error", err)
	d.mu.Lock()
	d.broken[key] = brokenLog{path: path, dir: dir, err: err, offsets: offsets, clean: dir.clean}
	dir.logs++
	d.mu.Unlock()
}

// readCheckpoint reads a file of offsets. A damaged one is reported and counts as empty, which costs a longer recovery,
// as with Apache Kafka.
func (d *Dirs) readCheckpoint(dir *logDir, name string) (offsetCheckpoint, error) {
	c, err := readOffsetCheckpoint(d.fs, filepath.Join(dir.path, name))
	if errors.Is(err, ErrCorrupt) {
		d.slog.Error("checkpoint is damaged and left out", "dir", dir.path, "error", err)
		return offsetCheckpoint{}, nil
	}
	return c, err
}
