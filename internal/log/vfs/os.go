package vfs

import (
	"io/fs"
	"os"
)

// OS is the operating system's file system.
type OS struct{}

type osFile struct {
	*os.File
	fd uintptr
}

func newOSFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, fd: f.Fd()}, nil
}

func (f *osFile) Sync() error { return datasync(f.File) }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Fd gives the descriptor that was noted when the file was opened, without the locks of os.File: the caller keeps the
// file open while it uses the number.
func (f *osFile) Fd() (uintptr, bool) { return f.fd, true }

// Open implements FS.
func (OS) Open(name string) (File, error) { return newOSFile(openFile(name, os.O_RDONLY, 0)) }

// OpenWrite implements FS.
func (OS) OpenWrite(name string) (File, error) {
	return newOSFile(openFile(name, os.O_RDWR|os.O_CREATE, 0o644))
}

// Reopen implements FS.
func (OS) Reopen(name string) (File, error) { return newOSFile(openFile(name, os.O_RDWR, 0)) }

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return newOSFile(openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644))
}

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// RemoveAll implements FS.
func (OS) RemoveAll(name string) error { return os.RemoveAll(name) }

// Rename implements FS.
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// MkdirAll implements FS.
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o755) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
