package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// A future log is the copy of a log that is on its way to another directory of the same node (KIP-113). Its directory is
// named T-P.<32 hex digits>-future. When it has everything, Promote puts it into the place of the log that it was made
// from, whose directory becomes T-P.<the same digits>-delete:
//
//  1. the future log is flushed and closed
//  2. the current one is renamed to -delete, and that made durable
//  3. the future one is renamed to T-P, and that made durable
//
// A crash before 2 leaves both, and the copying goes on. One between 2 and 3 leaves a -future and a -delete of the same
// digits, which says that the future log has everything: finishMoves does step 3.

// Future finds a partition's future log; nil if there is none.
func (d *Dirs) Future(topic string, partition int32) *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.futures[partitionKey{topic, partition}].l
}

// Futures lists the future logs.
func (d *Dirs) Futures() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*Log, 0, len(d.futures))
	for _, p := range d.futures {
		list = append(list, p.l)
	}
	return list
}

// CreateFuture makes an empty future log for a partition in the directory with the id dir. Errors: ErrNotFound if the
// partition has no log to copy, ErrExists if it has a future log, or its log is in that directory; those of Create.
func (d *Dirs) CreateFuture(topic string, partition int32, dir [16]byte) (*Log, error) {
	d.moving.RLock()
	defer d.moving.RUnlock()
	key := partitionKey{topic, partition}
	d.mu.Lock()
	place, err := d.choose(dir)
	current, found := d.logs[key]
	switch {
	case err != nil:
	case !found:
		err = fmt.Errorf("%w: %s", ErrNotFound, PartitionDirName(topic, partition))
	case d.futures[key].l != nil || current.dir == place || d.making[key] != nil:
		err = fmt.Errorf("%w: %s", ErrExists, PartitionDirName(topic, partition))
	}
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	d.making[key] = place
	place.logs++
	d.mu.Unlock()

	var id [16]byte
	randomID(&id)
	l, err := d.makeIn(place, filepath.Join(place.path, retiredDirName(topic, partition, id, futureDirSuffix)), key, current.l.TopicID(), current.l.Config())
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.making, key)
	if err != nil {
		place.logs--
		return nil, err
	}
	d.futures[key] = placed{l, place}
	return l, nil
}

// DeleteFuture gives up what CreateFuture began. A partition without a future log is passed over.
func (d *Dirs) DeleteFuture(topic string, partition int32) error {
	d.moving.Lock()
	defer d.moving.Unlock()
	return d.deleteFuture(topic, partition)
}

// deleteFuture is DeleteFuture with moving held.
func (d *Dirs) deleteFuture(topic string, partition int32) error {
	key := partitionKey{topic, partition}
	d.mu.Lock()
	f, found := d.futures[key]
	delete(d.futures, key)
	if found {
		f.dir.logs--
	}
	d.mu.Unlock()
	if !found {
		return nil
	}
	var id [16]byte
	randomID(&id)
	l := leaving{Name: Name{topic, partition}, dir: f.dir, log: f.l, path: f.l.Dir(),
		retired: filepath.Join(f.dir.path, retiredDirName(topic, partition, id, deleteDirSuffix))}
	return d.retire(f.dir, []leaving{l}, deleteDirSuffix)
}

// Promote puts the future log of a partition into the place of its log. The caller has seen to it that both have the same
// records, and lets nobody write to either; readers of the old log get ErrClosed. The new one has the old one's high
// watermark. After an error the partition may be without a log until the node starts again; Get then finds none.
func (d *Dirs) Promote(topic string, partition int32) (*Log, error) {
	d.moving.Lock()
	defer d.moving.Unlock()
	key := partitionKey{topic, partition}
	d.mu.Lock()
	current, future := d.logs[key], d.futures[key]
	d.mu.Unlock()
	if current.l == nil || future.l == nil {
		return nil, fmt.Errorf("%w: %s or its future log", ErrNotFound, PartitionDirName(topic, partition))
	}
	for _, p := range []placed{current, future} {
		if err := errors.Join(p.dir.offline(), p.l.Err()); err != nil {
			return nil, err
		}
	}
	_, _, digits, ok := parseFutureName(filepath.Base(future.l.Dir()))
	if !ok {
		return nil, fmt.Errorf("%w: %s is no future log", errBroken, future.l.Dir())
	}
	cleaned := min(current.l.compaction.upTo.Load(), future.l.EndOffset())
	start, hw, config := future.l.StartOffset(), current.l.HighWatermark(), current.l.Config()
	if err := future.l.Close(); err != nil {
		return nil, err
	}
	retired := filepath.Join(current.dir.path, PartitionDirName(topic, partition)+"."+digits+deleteDirSuffix)
	l, err := d.swap(current, future, key, retired, Options{LogStartOffset: start, HighWatermark: hw, Config: config})

	d.mu.Lock()
	delete(d.futures, key)
	delete(d.logs, key)
	current.dir.logs--
	if err != nil {
		d.broken[key] = brokenLog{path: future.l.Dir(), dir: future.dir, err: err, offsets: noOffsets}
		d.mu.Unlock()
		return nil, fmt.Errorf("moving a replica to %s: %w", future.dir.path, err)
	}
	l.compaction.upTo.Store(cleaned)
	d.logs[key] = placed{l, future.dir}
	d.mu.Unlock()
	d.background.later(time.Duration(config.FileDeleteDelayMs)*time.Millisecond, func() { d.removeDir(retired) })
	for _, dir := range []*logDir{future.dir, current.dir} {
		if err := d.checkpoint(dir, true); err != nil {
			d.slog.Warn("checkpoint not written", "dir", dir.path, "error", err)
		}
	}
	d.slog.Info("log moved to another directory", "topic", topic, "partition", partition, "dir", l.Dir())
	return l, nil
}

// swap does the renaming of Promote and opens what has become the partition's log.
func (d *Dirs) swap(current, future placed, key partitionKey, retired string, as Options) (*Log, error) {
	if err := current.l.moveAway(retired); err != nil {
		return nil, err
	}
	if err := d.syncNamesOf(current.dir); err != nil {
		return nil, err
	}
	path := filepath.Join(future.dir.path, PartitionDirName(key.topic, key.partition))
	if err := d.fs.Rename(future.l.Dir(), path); err != nil {
		if isDiskFailure(err) {
			d.fail(future.dir, err)
		}
		return nil, err
	}
	if err := d.syncNamesOf(future.dir); err != nil {
		return nil, err
	}
	o := d.options(future.dir, path, key, current.l.TopicID(), as.Config)
	o.LogStartOffset, o.HighWatermark, o.CleanShutdown = as.LogStartOffset, as.HighWatermark, true
	o.RecoveryPoint = future.l.RecoveryPoint()
	l, err := Open(o)
	if err != nil && isDiskFailure(err) {
		d.fail(future.dir, err)
	}
	return l, err
}

func (d *Dirs) syncNamesOf(dir *logDir) error {
	err := d.fs.SyncDir(dir.path)
	if err != nil && isDiskFailure(err) {
		d.fail(dir, err)
	}
	return err
}

// parseFutureName takes "T-P.<32 hex digits>-future" apart.
func parseFutureName(name string) (topic string, partition int32, digits string, ok bool) {
	return parseRetiredName(name, futureDirSuffix)
}

func parseRetiredName(name, suffix string) (topic string, partition int32, digits string, ok bool) {
	rest, ok := strings.CutSuffix(name, suffix)
	i := strings.LastIndexByte(rest, '.')
	if !ok || i < 0 || len(rest)-i-1 != 32 {
		return "", 0, "", false
	}
	topic, partition, ok = ParsePartitionDirName(rest[:i])
	return topic, partition, rest[i+1:], ok
}

// finishMoves ends what a crash in the middle of Promote left, before the logs are loaded.
func (d *Dirs) finishMoves() {
	type move struct {
		key    partitionKey
		digits string
	}
	type found struct {
		dir  *logDir
		name string
	}
	futures := map[move]found{}
	deleted := map[move]bool{}
	current := map[partitionKey]bool{}
	for _, dir := range d.dirs {
		if dir.offline() != nil {
			continue
		}
		names, err := d.fs.ReadDir(dir.path)
		if err != nil {
			continue // loading says why
		}
		for _, e := range names {
			if topic, p, digits, ok := parseFutureName(e.Name()); ok {
				futures[move{partitionKey{topic, p}, digits}] = found{dir, e.Name()}
			} else if topic, p, digits, ok := parseRetiredName(e.Name(), deleteDirSuffix); ok {
				deleted[move{partitionKey{topic, p}, digits}] = true
			} else if topic, p, ok := ParsePartitionDirName(e.Name()); ok {
				current[partitionKey{topic, p}] = true
			}
		}
	}
	for m, f := range futures {
		if !deleted[m] || current[m.key] {
			continue
		}
		path := filepath.Join(f.dir.path, PartitionDirName(m.key.topic, m.key.partition))
		err := d.fs.Rename(filepath.Join(f.dir.path, f.name), path)
		if err == nil {
			err = d.fs.SyncDir(f.dir.path)
		}
		if err != nil {
			d.fail(f.dir, err)
			continue
		}
		d.slog.Info("finished an interrupted move of a replica between log directories", "dir", path)
	}
}
