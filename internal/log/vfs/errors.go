package vfs

import (
	"errors"
	"fmt"
)

var (
	// ErrNoSpace is what a full file system answers, beside the system's own ENOSPC.
	ErrNoSpace = errors.New("no space left on device")

	// ErrFault is an I/O error that a test asked for.
	ErrFault = errors.New("input/output error (injected)")
)

// LockedError tells that another process holds a lock file.
type LockedError struct {
	Path string
	PID  int // the holder; 0 if it cannot be told
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}
