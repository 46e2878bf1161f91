package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mem is a file system in memory that knows what a power failure would leave: of a file the content at its last Sync,
// of a directory the entries at its last SyncDir. Crash gives that state as a new Mem.
type Mem struct {
	mu    sync.Mutex
	root  *memNode
	now   func() time.Time
	locks map[string]bool
	boot  int
	limit int64 // bytes; 0: no limit
	used  int64
}

// memNode is a file or a directory.
type memNode struct {
	dir bool
	mod time.Time

	// A file: data holds the bytes up to the last one written, size may be larger; what is between reads as zeros.
	data, syncedData []byte
	size, syncedSize int64

	entries, syncedEntries map[string]*memNode // a directory
	renamed                map[string]string   // names that were renamed since the last SyncDir, and names of the same renames
}

// linked finds a name that stands for all names that renames have linked with one.
func (n *memNode) linked(name string) string {
	for {
		to, ok := n.renamed[name]
		if !ok || to == name {
			return name
		}
		name = to
	}
}

// link notes a rename in the directory.
func (n *memNode) link(from, to string) {
	if n.renamed == nil {
		n.renamed = map[string]string{}
	}
	if a, b := n.linked(from), n.linked(to); a != b {
		n.renamed[a] = b
	}
}

// NewMem is an empty file system; its root is durable. now stamps the files; nil: time.Now.
func NewMem(now func() time.Time) *Mem {
	if now == nil {
		now = time.Now
	}
	return &Mem{root: newMemDir(now()), now: now, locks: map[string]bool{}}
}

func newMemDir(now time.Time) *memNode {
	return &memNode{dir: true, mod: now, entries: map[string]*memNode{}, syncedEntries: map[string]*memNode{}}
}

// SetLimit makes writes beyond so many bytes of content fail with ErrNoSpace; 0 lifts the limit.
func (m *Mem) SetLimit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// Used is the content held, in bytes.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Crash is the file system after a power failure now. With rnd nil nothing survives that was not synced. Else each
// change that was not synced survives or not by chance, a file that grew may keep a part of its new bytes, and of blocks
// that were written over each may survive. A rename in a directory survives as a whole or not at all, as on every
// journaling file system: what both names say comes from the same time.
func (m *Mem) Crash(rnd *rand.Rand) *Mem {
	return m.crash(rnd, 64) // small, so that a batch in a test has several
}

// CrashSectors is Crash for who relies on the size of a disk's sectors: blocks have 512 bytes.
func (m *Mem) CrashSectors(rnd *rand.Rand) *Mem { return m.crash(rnd, 512) }

func (m *Mem) crash(rnd *rand.Rand, block int) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem(m.now)
	c.boot = m.boot + 1
	seen := map[*memNode]*memNode{}
	c.root = survivor(m.root, rnd, block, seen)
	for _, n := range seen {
		c.used += int64(len(n.data))
	}
	return c
}

func survivor(n *memNode, rnd *rand.Rand, block int, seen map[*memNode]*memNode) *memNode {
	if s := seen[n]; s != nil {
		return s
	}
	s := &memNode{dir: n.dir, mod: n.mod}
	seen[n] = s
	if n.dir {
		s.entries, s.syncedEntries = map[string]*memNode{}, map[string]*memNode{}
		names := map[string]bool{}
		for name := range n.entries {
			names[name] = true
		}
		for name := range n.syncedEntries {
			names[name] = true
		}
		renames := map[string]bool{} // by linked name: did they survive?
		for _, name := range slices.Sorted(maps.Keys(names)) {
			child := n.syncedEntries[name]
			if rnd != nil && child != n.entries[name] {
				linked := n.linked(name)
				survives, decided := renames[linked]
				if !decided {
					survives = rnd.IntN(2) == 0
					renames[linked] = survives
				}
				if survives {
					child = n.entries[name]
				}
			}
			if child != nil {
				c := survivor(child, rnd, block, seen)
				s.entries[name], s.syncedEntries[name] = c, c
			}
		}
		return s
	}
	data, size := n.syncedData, n.syncedSize
	if rnd != nil {
		switch rnd.IntN(4) {
		case 0:
			data, size = n.data, n.size
		case 1: // torn: the old bytes, and some of the new ones behind them
			if len(n.data) > len(n.syncedData) {
				keep := len(n.syncedData) + rnd.IntN(len(n.data)-len(n.syncedData)+1)
				data = append(slices.Clone(n.syncedData), n.data[len(n.syncedData):keep]...)
				size = max(n.syncedSize, int64(keep))
			}
		case 2: // what was written over reached the disk in any order
			if n.size >= n.syncedSize {
				data, size = n.mixed(rnd, block), n.syncedSize
			}
		}
	}
	s.data, s.size = slices.Clone(data), size
	s.syncedData, s.syncedSize = s.data[:len(s.data):len(s.data)], size
	return s
}

// mixed is what was synced of a file, with each of its blocks the old one or the new one.
func (n *memNode) mixed(rnd *rand.Rand, block int) []byte {
	data := slices.Clone(n.data[:min(n.syncedSize, int64(len(n.data)))])
	for at := 0; at < len(data); at += block {
		if b := data[at:min(at+block, len(data))]; rnd.IntN(2) == 0 {
			clear(b)
			copy(b, n.syncedData[min(at, len(n.syncedData)):])
		}
	}
	return data
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// split cuts a path into its elements.
func split(name string) []string {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(name)), "/")
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" || p == "." })
}

// find gives the node of a path, or nil.
func (m *Mem) find(name string) *memNode {
	n := m.root
	for _, p := range split(name) {
		if n = n.entries[p]; n == nil {
			return nil
		}
	}
	return n
}

// parent gives the directory that holds a path's last element.
func (m *Mem) parent(op, name string) (*memNode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	n := m.root
	for _, p := range parts[:len(parts)-1] {
		if n = n.entries[p]; n == nil || !n.dir {
			return nil, "", pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, parts[len(parts)-1], nil
}

func (m *Mem) open(name string, create, truncate, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("open", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	switch {
	case n == nil && !create:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n == nil:
		n = &memNode{mod: m.now()}
		dir.entries[base] = n
	case n.dir:
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	if truncate {
		m.truncate(n, 0)
	}
	return &memFile{m: m, n: n, name: name, write: write}, nil
}

func (m *Mem) truncate(n *memNode, size int64) {
	if size < int64(len(n.data)) {
		m.used -= int64(len(n.data)) - size
		n.data = n.data[:size:size] // capped: syncedData may share the array
	}
	n.size = size
	n.mod = m.now()
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false, false, false) }

// OpenWrite implements FS.
func (m *Mem) OpenWrite(name string) (File, error) { return m.open(name, true, false, true) }

// Reopen implements FS.
func (m *Mem) Reopen(name string) (File, error) { return m.open(name, false, false, true) }

// Create implements FS.
func (m *Mem) Create(name string) (File, error) { return m.open(name, true, true, true) }

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if n.dir && len(n.entries) > 0 {
		return pathError("remove", name, fs.ErrExist)
	}
	m.used -= int64(len(n.data))
	delete(dir.entries, base)
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return nil
	}
	if n := dir.entries[base]; n != nil {
		m.forget(n)
		delete(dir.entries, base)
	}
	return nil
}

func (m *Mem) forget(n *memNode) {
	m.used -= int64(len(n.data))
	for _, c := range n.entries {
		m.forget(c)
	}
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent("rename", oldName)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent("rename", newName)
	if err != nil {
		return err
	}
	n := from.entries[oldBase]
	if n == nil {
		return pathError("rename", oldName, fs.ErrNotExist)
	}
	if old := to.entries[newBase]; old != nil && old != n {
		if old.dir {
			return pathError("rename", newName, fs.ErrExist)
		}
		m.forget(old)
	}
	delete(from.entries, oldBase)
	to.entries[newBase] = n
	if from == to {
		from.link(oldBase, newBase)
	}
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, p := range split(name) {
		c := n.entries[p]
		if c == nil {
			c = newMemDir(m.now())
			n.entries[p] = c
		}
		if !c.dir {
			return pathError("mkdir", name, fs.ErrExist)
		}
		n = c
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	var list []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.entries)) {
		list = append(list, fs.FileInfoToDirEntry(memInfo(base, n.entries[base])))
	}
	return list, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return memInfo(filepath.Base(name), n), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return pathError("sync", name, fs.ErrNotExist)
	}
	n.syncedEntries, n.renamed = maps.Clone(n.entries), nil
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.OpenWrite(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &LockedError{Path: name}
	}
	m.locks[name] = true
	n := f.(*memFile).n
	m.used -= int64(len(n.data))
	n.data = Owner{os.Getpid(), m.bootID()}.encode()
	n.size = int64(len(n.data))
	m.used += n.size
	return &memLock{m: m, name: name, f: f}, nil
}

// Kill is the file system after the process ended: everything written is there, and no lock is held.
func (m *Mem) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.locks)
}

// BootID implements FS: each Crash is another boot.
func (m *Mem) BootID() string { return m.bootID() }

func (m *Mem) bootID() string { return "boot-" + strconv.Itoa(m.boot) }

type memLock struct {
	m    *Mem
	name string
	f    File
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	delete(l.m.locks, l.name)
	l.m.mu.Unlock()
	return l.f.Close()
}

// FreeBytes implements FS.
func (m *Mem) FreeBytes(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total = m.limit
	if total == 0 {
		total = 1 << 40
	}
	return max(total-m.used, 0), total, nil
}

type memFile struct {
	m      *Mem
	n      *memNode
	name   string
	write  bool
	closed bool
}

func (f *memFile) check(op string, write bool) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.write {
		return pathError(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("read", false); err != nil {
		return 0, err
	}
	if off >= f.n.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.n.size-off))
	clear(p[:n])
	if off < int64(len(f.n.data)) {
		copy(p[:n], f.n.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write", true); err != nil {
		return 0, err
	}
	n, end := f.n, off+int64(len(p))
	var full error
	if grow := end - int64(len(n.data)); grow > 0 && f.m.limit > 0 && f.m.used+grow > f.m.limit {
		p = p[:max(int64(len(p))-(f.m.used+grow-f.m.limit), 0)]
		end = off + int64(len(p))
		full = pathError("write", f.name, ErrNoSpace)
	}
	if off < int64(len(n.data)) {
		n.data = slices.Clone(n.data) // what was synced stays as it was
	}
	if grow := end - int64(len(n.data)); grow > 0 && len(p) > 0 {
		f.m.used += grow
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[min(off, int64(len(n.data))):], p)
	n.size = max(n.size, end)
	n.mod = f.m.now()
	return len(p), full
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("truncate", true); err != nil {
		return err
	}
	f.m.truncate(f.n, size)
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("sync", false); err != nil {
		return err
	}
	f.n.syncedData, f.n.syncedSize = f.n.data[:len(f.n.data):len(f.n.data)], f.n.size
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("stat", false); err != nil {
		return 0, err
	}
	return f.n.size, nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("close", false); err != nil {
		return err
	}
	f.closed = true
	return nil
}

func (f *memFile) Name() string        { return f.name }
func (f *memFile) Fd() (uintptr, bool) { return 0, false }

type fileInfo struct {
	name string
	size int64
	mod  time.Time
	dir  bool
}

func memInfo(name string, n *memNode) fs.FileInfo {
	return fileInfo{name: name, size: n.size, mod: n.mod, dir: n.dir}
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) ModTime() time.Time { return i.mod }
func (i fileInfo) IsDir() bool        { return i.dir }
func (i fileInfo) Sys() any           { return nil }
func (i fileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
