package vfs

import (
	"io"
	"io/fs"
)

// Op is a kind of access that Fault asks its hook about.
type Op string

// The operations that change something, and reading.
const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRemove   Op = "remove"
	OpRename   Op = "rename"
	OpMkdir    Op = "mkdir"
	OpSyncDir  Op = "syncdir"
)

// Changes tells whether the operation changes what is on disk, or what of it is durable.
func (o Op) Changes() bool { return o != OpOpen && o != OpRead }

// ShortWrite, as the error of a hook for a write, lets the first N bytes through.
type ShortWrite struct {
	N   int
	Err error
}

func (e *ShortWrite) Error() string { return e.Err.Error() }
func (e *ShortWrite) Unwrap() error { return e.Err }

// Fault is a file system that asks Hook before each operation. An error of the hook is the operation's, which is then
// not done.
type Fault struct {
	FS
	Hook func(op Op, name string) error
}

func (f *Fault) ask(op Op, name string) error {
	if err := f.Hook(op, name); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

func (f *Fault) file(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := f.ask(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, f: f}, nil
}

// Open implements FS.
func (f *Fault) Open(name string) (File, error) { return f.file(OpOpen, name, f.FS.Open) }

// OpenWrite implements FS.
func (f *Fault) OpenWrite(name string) (File, error) {
	if _, err := f.FS.Stat(name); err == nil {
		return f.file(OpOpen, name, f.FS.OpenWrite)
	}
	return f.file(OpCreate, name, f.FS.OpenWrite)
}

// Reopen implements FS.
func (f *Fault) Reopen(name string) (File, error) { return f.file(OpOpen, name, f.FS.Reopen) }

// Create implements FS.
func (f *Fault) Create(name string) (File, error) { return f.file(OpCreate, name, f.FS.Create) }

// Remove implements FS.
func (f *Fault) Remove(name string) error {
	if err := f.ask(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll implements FS.
func (f *Fault) RemoveAll(name string) error {
	if err := f.ask(OpRemove, name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// Rename implements FS.
func (f *Fault) Rename(oldName, newName string) error {
	if err := f.ask(OpRename, oldName); err != nil {
		return err
	}
	return f.FS.Rename(oldName, newName)
}

// MkdirAll implements FS.
func (f *Fault) MkdirAll(name string) error {
	if err := f.ask(OpMkdir, name); err != nil {
		return err
	}
	return f.FS.MkdirAll(name)
}

// SyncDir implements FS.
func (f *Fault) SyncDir(name string) error {
	if err := f.ask(OpSyncDir, name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

// Lock implements FS.
func (f *Fault) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

type faultFile struct {
	File
	f *Fault
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.ask(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.f.Hook(OpWrite, f.Name())
	if err == nil {
		return f.File.WriteAt(p, off)
	}
	n := 0
	if short, ok := err.(*ShortWrite); ok {
		n, _ = f.File.WriteAt(p[:min(short.N, len(p))], off)
	}
	return n, &fs.PathError{Op: string(OpWrite), Path: f.Name(), Err: err}
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.f.ask(OpTruncate, f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error {
	if err := f.f.ask(OpSync, f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}
