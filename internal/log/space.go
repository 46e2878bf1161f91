package log

import (
	"fmt"
	"strings"
	"time"
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
	}
}

// room tells why a log's directory takes no records of clients; nil for the logs that a broker itself needs.
func (d *Dirs) room(dir *logDir, topic string) func() error {
	switch {
	case strings.HasPrefix(topic, "__cluster_metadata"), topic == "__consumer_offsets", topic == "__transaction_state", topic == "__share_group_state":
		return nil
	}
	return func() error {
		if err := dir.crowded.Load(); err != nil {
			return *err
		}
		return nil
	}
}

// hasRoom tells whether a log takes records of some origin.
func (l *Log) hasRoom(origin Origin) error {
	if l.o.Room == nil || origin != Client && origin != Replication {
		return nil
	}
	return l.o.Room()
}
