package sim

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"gregor/internal/log/vfs"
)

// disk is a file system that a node can lose power on in the middle of any operation that changes it.
type disk struct {
	mem   *vfs.Mem
	fuse  int // changes until the node dies; 0: it does not
	dead  bool
	kill  bool // die as a process does, not as a machine: what was written stays
	quiet bool // the checkers are looking: the fuse does not burn
	count int  // of changes
}

// died is the panic that unwinds whatever the node was doing when its disk's fuse burnt down.
type died struct{ d *disk }

// newDisk is an empty disk, but for the directories that somebody made for us long ago.
func newDisk(now func() time.Time) *disk {
	mem := vfs.NewMem(now)
	for _, dir := range []string{dataDir, metaDir} {
		if err := errors.Join(mem.MkdirAll(dir), mem.SyncDir("/")); err != nil {
			panic(err)
		}
	}
	return &disk{mem: mem}
}

// after is the disk as the next process finds it.
func (d *disk) after(power bool, rnd *rand.Rand) *disk {
	mem := d.mem
	if power {
		mem = mem.Crash(rnd)
	} else {
		mem.Kill()
	}
	d.dead = true
	return &disk{mem: mem, count: d.count}
}

// change is called before every change.
func (d *disk) change() error {
	d.count++
	if d.dead {
		return fs.ErrClosed
	}
	if d.fuse > 0 && !d.quiet {
		if d.fuse--; d.fuse == 0 {
			d.dead = true
			panic(died{d})
		}
	}
	return nil
}

type simFile struct {
	vfs.File
	d *disk
}

func (f simFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.d.change(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f simFile) Truncate(size int64) error {
	if err := f.d.change(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f simFile) Sync() error {
	if err := f.d.change(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (d *disk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return simFile{f, d}, nil
}

func (d *disk) Open(name string) (vfs.File, error) { return d.wrap(d.mem.Open(name)) }

func (d *disk) OpenWrite(name string) (vfs.File, error) {
	if err := d.change(); err != nil {
		return nil, err
	}
	return d.wrap(d.mem.OpenWrite(name))
}

func (d *disk) Reopen(name string) (vfs.File, error) { return d.wrap(d.mem.Reopen(name)) }

func (d *disk) Create(name string) (vfs.File, error) {
	if err := d.change(); err != nil {
		return nil, err
	}
	return d.wrap(d.mem.Create(name))
}

func (d *disk) Remove(name string) error {
	if err := d.change(); err != nil {
		return err
	}
	return d.mem.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if err := d.change(); err != nil {
		return err
	}
	return d.mem.RemoveAll(name)
}

func (d *disk) Rename(oldName, newName string) error {
	if err := d.change(); err != nil {
		return err
	}
	return d.mem.Rename(oldName, newName)
}

func (d *disk) MkdirAll(name string) error {
	if err := d.change(); err != nil {
		return err
	}
	return d.mem.MkdirAll(name)
}

func (d *disk) SyncDir(name string) error {
	if err := d.change(); err != nil {
		return err
	}
	return d.mem.SyncDir(name)
}

func (d *disk) ReadDir(name string) ([]fs.DirEntry, error) { return d.mem.ReadDir(name) }
func (d *disk) Stat(name string) (fs.FileInfo, error)      { return d.mem.Stat(name) }
func (d *disk) Lock(name string) (io.Closer, error)        { return d.mem.Lock(name) }
func (d *disk) BootID() string                             { return d.mem.BootID() }
func (d *disk) FreeBytes(name string) (free, total int64, err error) {
	return d.mem.FreeBytes(name)
}
