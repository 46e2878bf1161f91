package log

import (
	"errors"
	"fmt"
)

// A log in which a recovery found damage is not opened: what it says of its producers and epochs would be wrong. Its file is
// repaired as it lies there, and then it is opened as at a start.

// Mend writes batches that another replica has, from d.Offset on, over a damaged range of a log that could not be opened: see
// Log.Repair, whose terms and errors it has. If nothing intact is behind the range, it is cut off, and records are not looked
// at. Reopen looks for the next damage. The caller makes sure that another replica is whole and that this one is needed for
// nothing. Error: ErrNotFound too.
func (d *Dirs) Mend(topic string, partition int32, damage Damage, records []byte) (more bool, err error) {
	d.moving.RLock() // nobody deletes it meanwhile
	defer d.moving.RUnlock()
	b, err := d.brokenOf(topic, partition)
	if err != nil {
		return false, err
	}
	more, err = mendFile(d.fs, damage, records)
	switch {
	case isNoSpace(err):
		return false, fmt.Errorf("%w: %w", ErrNoSpace, err)
	case isDiskFailure(err):
		d.fail(b.dir, err)
		return false, b.dir.offline()
	case err == nil && !more:
		d.slog.Warn("damage is repaired", "topic", topic, "partition", partition, "file", damage.File, "position", damage.Position, "offset", damage.Offset,
			"cut", damage.Tail(), "cause", damage.Cause)
	}
	return more, err
}

// Reopen opens a log that could not be opened before. Error: why it still cannot be.
func (d *Dirs) Reopen(topic string, partition int32) (*Log, error) {
	d.moving.RLock()
	defer d.moving.RUnlock()
	b, err := d.brokenOf(topic, partition)
	if err != nil {
		return nil, err
	}
	key := partitionKey{topic, partition}
	o := d.options(b.dir, b.path, key, [16]byte{}, d.o.TopicConfig(topic))
	o.RecoveryPoint, o.LogStartOffset, o.HighWatermark = max(b.offsets[recoveryPointCheckpoint], 0), max(b.offsets[logStartCheckpoint], 0), max(b.offsets[highWatermarkCheckpoint], 0)
	o.CleanShutdown, o.SameBoot = b.clean, b.dir.boot
	l, err := Open(o)
	if err != nil && isDiskFailure(err) && !isNoSpace(err) {
		d.fail(b.dir, err)
		return nil, b.dir.offline()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		b.err = err
		d.broken[key] = b
		return nil, err
	}
	if offset := b.offsets[cleanerCheckpoint]; offset >= 0 {
		l.compaction.upTo.Store(min(offset, l.EndOffset()))
	}
	delete(d.broken, key)
	d.logs[key] = placed{l, b.dir}
	return l, nil
}

// brokenOf finds a log that could not be opened, in a directory that works.
func (d *Dirs) brokenOf(topic string, partition int32) (brokenLog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.broken[partitionKey{topic, partition}]
	if !ok {
		return b, fmt.Errorf("%w: %s", ErrNotFound, PartitionDirName(topic, partition))
	}
	return b, b.dir.offline()
}

// DamageOf finds the damaged range in the error of a log, or of a read; false if it has none.
func DamageOf(err error) (Damage, bool) {
	var d *Damage
	if errors.As(err, &d) {
		return *d, true
	}
	return Damage{}, false
}
