package vfs

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times of the file, which nobody here needs, and so often saves a write to the journal of the
// file system. A changed size is written.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Lock implements FS. The lock belongs to the open file (F_OFD_SETLK), so two nodes in one process exclude each other,
// and it conflicts with the POSIX locks that Apache Kafka's Java takes.
func (o OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		holder := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &holder); err == nil && holder.Pid > 0 {
			return nil, &LockedError{Path: name, PID: int(holder.Pid)}
		}
		return nil, &LockedError{Path: name, PID: ownerOf(f).PID}
	}
	if err := writeOwner(f, o.BootID()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// BootID implements FS.
func (OS) BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}
