package storage

import (
	"errors"
	"fmt"
)

var (
	// ErrDamaged is wrapped when a log cannot be read up to its end though valid transactions follow.
	ErrDamaged = errors.New("transaction log is damaged")

	// ErrMissing is wrapped when transactions are missing between the snapshot and the log, or between two logs.
	ErrMissing = errors.New("transactions are missing")

	// ErrSnapshot is wrapped when a snapshot cannot be used.
	ErrSnapshot = errors.New("invalid snapshot")

	// ErrNoSnapshot is wrapped when there are logs, and no snapshot that they could be applied to.
	ErrNoSnapshot = errors.New("no usable snapshot")

	// ErrClosed is what waits for the disk gets when the storage was closed.
	ErrClosed = errors.New("storage is closed")
)

// damaged says where a log is broken and what can be done about it.
func damaged(path string, at int64, why string, nextAt, nextZxid int64) error {
	return fmt.Errorf("%w: %s at byte %d: %s, but transaction 0x%x follows at byte %d. Restore the file from a copy; "+
		"to give up every transaction from there on, end it there: truncate -s %d %s, and remove later logs",
		ErrDamaged, path, at, why, nextZxid, nextAt, at, path)
}
