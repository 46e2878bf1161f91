//go:build unix && !linux

package vfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func datasync(f *os.File) error { return f.Sync() }

// Lock implements FS, with flock(2).
func (o OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		return nil, &LockedError{Path: name, PID: ownerOf(f).PID}
	}
	if err := writeOwner(f, o.BootID()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// BootID implements FS: macOS has an id of the boot session, other systems nothing that is safe to compare.
func (OS) BootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
