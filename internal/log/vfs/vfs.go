// Package vfs is the small part of a file system that the log needs, so that a test can put another one underneath:
// Mem keeps on a crash only what was synced, Fault fails the nth write, runs out of space, or gives I/O errors.
//
// Names are ordinary paths of the operating system. Errors are those of package os (fs.ErrNotExist and so on are found
// with errors.Is).
package vfs

import (
	"io"
	"io/fs"
)

// File is an open file. It is safe for use by several goroutines as long as nobody closes it meanwhile. It has no
// current position: every access names its own.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Truncate changes the size; a longer file reads as zeros there.
	Truncate(size int64) error

	// Sync makes the content, and the size needed to read it, survive a power failure. After an error the state of
	// what was not yet synced is unknown: trying again proves nothing.
	Sync() error

	// Size is the current size in bytes.
	Size() (int64, error)

	// Name is the path that the file was opened with.
	Name() string

	// Fd is the descriptor for sendfile; ok is false if there is none.
	Fd() (fd uintptr, ok bool)
}

// FS is a file system.
type FS interface {
	// Open opens an existing file for reading only.
	Open(name string) (File, error)

	// OpenWrite opens a file for reading and writing and creates it if it is missing. A new file's directory entry is
	// durable only after SyncDir.
	OpenWrite(name string) (File, error)

	// Reopen opens an existing file for reading and writing.
	Reopen(name string) (File, error)

	// Create is OpenWrite of an empty file: what was there is cut to nothing.
	Create(name string) (File, error)

	// Remove deletes one file or one empty directory.
	Remove(name string) error

	// RemoveAll deletes a tree; a missing one is no error.
	RemoveAll(name string) error

	// Rename moves a file or directory and replaces a file of the new name atomically.
	Rename(oldName, newName string) error

	// MkdirAll makes a directory and those above it.
	MkdirAll(name string) error

	// ReadDir lists a directory by name.
	ReadDir(name string) ([]fs.DirEntry, error)

	// Stat describes a file.
	Stat(name string) (fs.FileInfo, error)

	// SyncDir makes the creations, renames and removals in a directory durable.
	SyncDir(name string) error

	// Lock takes an exclusive lock on a file, creating it if it is missing, without waiting. If another process has it
	// the error is a *LockedError. The lock ends when the closer is closed or the process ends. The file says who took
	// it last, see Owner.
	Lock(name string) (io.Closer, error)

	// BootID differs between two boots of the machine; empty if it cannot be told. If it is the same as when a file was
	// written, the machine did not lose power since, so the writes of a process that ended are all there.
	BootID() string

	// FreeBytes is the space left for this process on the file system that holds the directory; total its size.
	FreeBytes(name string) (free, total int64, err error)
}
