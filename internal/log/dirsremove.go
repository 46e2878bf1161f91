package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Name names a log.
type Name struct {
	Topic     string
	Partition int32
}

// Delete takes logs out of use and deletes their files after file.delete.delay.ms. The checkpoints are written once for all
// of them. A name that has no log is passed over; an error about one keeps no other from being deleted.
func (d *Dirs) Delete(logs ...Name) error {
	_, err := d.remove(logs, deleteDirSuffix)
	return err
}

// MarkStray takes a log out of use that the cluster does not place here, and keeps its files in a directory named
// -stray. Error: ErrNotFound.
func (d *Dirs) MarkStray(topic string, partition int32) error {
	n, err := d.remove([]Name{{topic, partition}}, strayDirSuffix)
	if n == 0 {
		err = fmt.Errorf("%w: %s", ErrNotFound, PartitionDirName(topic, partition))
	}
	return err
}

// leaving is a log that is taken out of use.
type leaving struct {
	Name
	dir     *logDir
	log     *Log // nil if it could not be opened
	path    string
	retired string // where its files go
}

// remove takes logs out of use and returns of how many there was one.
func (d *Dirs) remove(logs []Name, suffix string) (found int, err error) {
	d.moving.Lock()
	defer d.moving.Unlock()
	var errs []error
	byDir := map[*logDir][]leaving{}
	for _, name := range logs {
		errs = append(errs, d.deleteFuture(name.Topic, name.Partition))
		if l, ok := d.takeOut(name, suffix); ok {
			byDir[l.dir] = append(byDir[l.dir], l)
			found++
		}
	}
	for dir, list := range byDir {
		errs = append(errs, d.retire(dir, list, suffix))
	}
	return found, errors.Join(errs...)
}

// takeOut makes a log one that nobody finds. ok is false if there is none.
func (d *Dirs) takeOut(name Name, suffix string) (l leaving, ok bool) {
	key := partitionKey{name.Topic, name.Partition}
	d.mu.Lock()
	p, found := d.logs[key]
	broken, isBroken := d.broken[key]
	if found {
		p.dir.logs--
	}
	if isBroken {
		broken.dir.logs--
	}
	delete(d.logs, key)
	delete(d.broken, key)
	d.mu.Unlock()
	l.Name = name
	switch {
	case isBroken:
		l.dir, l.path = broken.dir, broken.path
	case found:
		l.dir, l.path, l.log = p.dir, p.l.Dir(), p.l
	default:
		return l, false
	}
	var id [16]byte
	randomID(&id)
	l.retired = filepath.Join(l.dir.path, retiredDirName(name.Topic, name.Partition, id, suffix))
	if suffix == strayDirSuffix && !strings.Contains(filepath.Base(l.retired), name.Topic) {
		d.slog.Warn("the name of a stray directory is shortened", "topic", name.Topic, "dir", l.retired)
	}
	return l, true
}

// retire moves the files of logs away that have been taken out, all of one directory.
func (d *Dirs) retire(dir *logDir, list []leaving, suffix string) error {
	// A partition of the same name must not inherit the checkpoints of this one. On a full disk that has to wait: the
	// deletion is what makes room.
	if err := d.checkpoint(dir, true); err != nil && !errors.Is(err, ErrNoSpace) {
		return err
	}
	var errs []error
	moved := list[:0]
	for _, l := range list {
		var err error
		if l.log == nil {
			err = d.fs.Rename(l.path, l.retired)
		} else {
			err = l.log.moveAway(l.retired)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		moved = append(moved, l)
	}
	if err := d.fs.SyncDir(dir.path); err != nil {
		if isDiskFailure(err) {
			d.fail(dir, err)
		}
		return errors.Join(append(errs, err)...)
	}
	for _, l := range moved {
		d.slog.Info("log taken out of use", "topic", l.Topic, "partition", l.Partition, "dir", l.retired)
		if suffix == deleteDirSuffix {
			delay := time.Minute
			if l.log != nil {
				delay = time.Duration(l.log.Config().FileDeleteDelayMs) * time.Millisecond
			}
			d.background.later(delay, func() { d.removeDir(l.retired) })
		}
	}
	return errors.Join(errs...)
}
