package log

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"gregor/internal/log/vfs"
)

// maxFileBytes bounds what is read into memory of one index, checkpoint or snapshot file.
const maxFileBytes = 1 << 30

// readFile reads a small file as a whole.
func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxFileBytes {
		return nil, corrupt(path, "%d bytes are more than such a file can have", size)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

// updateFile opens a file for writing, lets do change it, and closes it.
func updateFile(fsys vfs.FS, path string, do func(vfs.File) error) error {
	f, err := fsys.OpenWrite(path)
	if err != nil {
		return err
	}
	err = do(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncFile syncs an existing file. It is opened for writing, without which some systems do not sync.
func syncFile(fsys vfs.FS, path string) error {
	return updateFile(fsys, path, vfs.File.Sync)
}

func syncFileIfThere(fsys vfs.FS, path string) error {
	if !exists(fsys, path) {
		return nil
	}
	return syncFile(fsys, path)
}

func cutFile(fsys vfs.FS, path string, size int64) error {
	return updateFile(fsys, path, func(f vfs.File) error { return f.Truncate(size) })
}

// removeFile deletes a file; a missing one is no error.
func removeFile(fsys vfs.FS, path string) error {
	if err := fsys.Remove(path); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

func exists(fsys vfs.FS, path string) bool {
	_, err := fsys.Stat(path)
	return err == nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// makeDir makes a directory, and those above it, durably.
func makeDir(fsys vfs.FS, path string) error {
	if exists(fsys, path) {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(path); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}
