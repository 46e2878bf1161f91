package vfs

import "path/filepath"

// TmpSuffix ends the name of a file that ReplaceFile has not finished. Who opens a directory removes such files.
const TmpSuffix = ".tmp"

// ReplaceFile changes a small file so that the end of this process leaves the old or the new content; with sync that is
// so for the end of the machine too, and the new content is durable when ReplaceFile returns.
func ReplaceFile(fsys FS, path string, content []byte, sync bool) error {
	tmp := path + TmpSuffix
	if err := WriteFile(fsys, tmp, content, sync); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return err
	}
	if !sync {
		return nil
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// WriteFile writes a whole file.
func WriteFile(fsys FS, path string, content []byte, sync bool) error {
	f, err := fsys.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil && sync {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
