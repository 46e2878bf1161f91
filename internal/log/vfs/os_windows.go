package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// openFile lets others rename and delete the file while it is open, as the log does with segments that are still read.
func openFile(name string, flag int, _ os.FileMode) (*os.File, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	access := uint32(windows.GENERIC_READ)
	if flag&os.O_RDWR != 0 {
		access |= windows.GENERIC_WRITE
	}
	mode := uint32(windows.OPEN_EXISTING)
	switch {
	case flag&os.O_TRUNC != 0:
		mode = windows.CREATE_ALWAYS
	case flag&os.O_CREATE != 0:
		mode = windows.OPEN_ALWAYS
	}
	share := uint32(windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE)
	h, err := windows.CreateFile(p, access, share, nil, mode, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

func datasync(f *os.File) error { return f.Sync() }

// SyncDir implements FS. NTFS journals its directories; there is nothing to ask for.
func (OS) SyncDir(string) error { return nil }

// FreeBytes implements FS.
func (OS) FreeBytes(name string) (free, total int64, err error) {
	p, err := windows.UTF16PtrFromString(filepath.Clean(name))
	if err != nil {
		return 0, 0, err
	}
	var avail, size, all uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &size, &all); err != nil {
		return 0, 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: name, Err: err}
	}
	return int64(avail), int64(size), nil
}

// lockAt is where the locked byte lies: far behind the process id, since a locked range cannot be read by others.
const lockAt = 1 << 30

// Lock implements FS, with LockFileEx.
func (o OS) Lock(name string) (io.Closer, error) {
	f, err := openFile(name, os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{Offset: lockAt})
	if err != nil {
		defer f.Close()
		if !errors.Is(err, windows.ERROR_LOCK_VIOLATION) && !errors.Is(err, windows.ERROR_IO_PENDING) {
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

// BootID implements FS. There is no id of a boot.
func (OS) BootID() string { return "" }
