package log

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"gregor/internal/log/vfs"
)

// A disk that fills up to its last byte takes everything down that has to write: the metadata log, committed offsets,
// checkpoints, and the removal of topics, which is what would make room. So a part of it is kept for these: when less is
// free, records of clients are refused, on leaders and followers alike, until there is room again.

const (
	// spaceInterval is how often the room of a directory is looked at.
	spaceInterval = 250 * time.Millisecond
	// maxReserve and reserveShare are the reserve unless it is configured: a hundredth of the disk, up to a gigabyte.
	maxReserve   = 1 << 30
	reserveShare = 100
)

// On a disk that somebody else has filled to the last byte even that is not enough. A ballast, a file that is given up then,
// is what a node starts with.

// ballastFile is in a log directory. Apache Kafka, which looks at directories only, leaves it alone.
const ballastFile = ".gregor_ballast"

// dropBallast gives the ballast up if a directory has hardly any other room.
func (d *Dirs) dropBallast(dir *logDir) {
	path := filepath.Join(dir.path, ballastFile)
	if d.o.Ballast <= 0 {
		return
	}
	if free, _, err := d.fs.FreeBytes(dir.path); err != nil || free >= d.o.Ballast/4 || !exists(d.fs, path) {
		return
	}
	if err := removeFile(d.fs, path); err == nil {
		d.slog.Error("the disk of a log directory is full: the room that was kept for this is given to what the broker itself writes", "dir", dir.path, "bytes", d.o.Ballast)
	}
}

// keepBallast makes the ballast where it is missing and there is room for it.
func (d *Dirs) keepBallast(dir *logDir, free int64) {
	path := filepath.Join(dir.path, ballastFile)
	if d.o.Ballast <= 0 || free < 2*d.o.Ballast || exists(d.fs, path) {
		return
	}
	err := updateFile(d.fs, path, func(f vfs.File) error {
		block := make([]byte, 64<<10) // a hole would be no room
		for at := int64(0); at < d.o.Ballast; at += int64(len(block)) {
			if _, err := f.WriteAt(block[:min(int64(len(block)), d.o.Ballast-at)], at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		_ = removeFile(d.fs, path)
	}
}

// watchSpace looks whether a directory has less room than its reserve. It has room again when a quarter more is free, so
// that it does not change with every segment that retention removes.
func (d *Dirs) watchSpace(dir *logDir) {
	if dir.offline() != nil {
		return
	}
	free, total, err := d.fs.FreeBytes(dir.path)
	if err != nil {
		return // not to be told here; writes tell
	}
	reserve := int64(-1)
	if d.o.Reserve != nil {
		reserve = d.o.Reserve()
	}
	if reserve < 0 {
		reserve = min(total/reserveShare, maxReserve)
	}
	dir.unseen.Store(0)
	dir.lookAfter.Store(reserve / 8)
	d.dropBallast(dir)
	was := dir.crowded.Load()
	switch {
	case free < reserve:
		err := fmt.Errorf("%w: %s of %d MB has %d MB left, of which the last %d MB are kept for the broker itself (log.dirs.reserved.bytes); free some, or lower retention",
			ErrNoSpace, dir.path, total>>20, free>>20, reserve>>20)
		dir.crowded.Store(&err)
		if was == nil {
			d.slog.Error("a log directory is nearly full: records are refused, reads and retention go on", "dir", dir.path, "free", free, "reserved", reserve)
		}
	case was != nil && free >= reserve+reserve/4:
		dir.crowded.Store(nil)
		d.slog.Info("a log directory has room again: records are taken", "dir", dir.path, "free", free, "reserved", reserve)
	default:
		d.keepBallast(dir, free-reserve)
	}
}

// room tells why a log's directory does not take so many bytes of clients; nil for the logs that a broker itself needs. It
// looks at the disk when much has been written since the last time.
func (d *Dirs) room(dir *logDir, topic string) func(bytes int) error {
	switch {
	case strings.HasPrefix(topic, "__cluster_metadata"), topic == "__consumer_offsets", topic == "__transaction_state", topic == "__share_group_state":
		return nil
	}
	return func(bytes int) error {
		if after := dir.lookAfter.Load(); dir.unseen.Add(int64(bytes)) > after && after > 0 {
			dir.looking.Lock()
			if dir.unseen.Load() > after {
				d.watchSpace(dir)
			}
			dir.looking.Unlock()
		}
		if err := dir.crowded.Load(); err != nil {
			return *err
		}
		return nil
	}
}

// hasRoom tells whether a log takes records of some origin.
func (l *Log) hasRoom(bytes int, origin Origin) error {
	if l.o.Room == nil || origin != Client && origin != Replication {
		return nil
	}
	return l.o.Room(bytes)
}
