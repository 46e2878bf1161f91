package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"gregor/internal/log/vfs"
)

// Options says where the files are.
type Options struct {
	Dir           string // dataDir
	LogDir        string // dataLogDir; "": Dir
	FS            vfs.FS // nil: the operating system's
	PreAllocBytes int64  // how much the log grows at a time; 0 or less: by what is written
	Gzip          bool   // compress snapshots

	// Durable is told, in order and by one goroutine, of the last transaction that is on disk. Failed is told once that
	// the disk does not take any more. Neither may block.
	Durable func(zxid int64)
	Failed  func(err error)
	Logger  *slog.Logger
}

// Store is the files of one server. Load comes first; then Append, and snapshots.
type Store struct {
	o         Options
	snapDir   string
	logDir    string
	locks     []io.Closer
	w         *writer
	last      int64 // zxid of the last transaction that was loaded
	cuts      []cut // torn tails that Load has found
	txnLoaded int
}

// cut is where a log ends though the file does not.
type cut struct {
	path string
	at   int64
}

// Open makes the directories if they are missing and locks them: a *vfs.LockedError says who has them.
func Open(o Options) (_ *Store, err error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.LogDir == "" {
		o.LogDir = o.Dir
	}
	if o.Durable == nil {
		o.Durable = func(int64) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, snapDir: filepath.Join(o.Dir, versionDir), logDir: filepath.Join(o.LogDir, versionDir)}
	defer func() {
		if err != nil {
			_ = s.unlock()
		}
	}()
	for i, dir := range []string{o.Dir, o.LogDir} {
		if i == 1 && filepath.Clean(dir) == filepath.Clean(o.Dir) {
			break
		}
		if err := makeDir(o.FS, filepath.Join(dir, versionDir)); err != nil {
			return nil, err
		}
		lock, err := o.FS.Lock(filepath.Join(dir, ".lock"))
		if err != nil {
			return nil, err
		}
		s.locks = append(s.locks, lock)
	}
	if err := s.checkDirs(); err != nil {
		return nil, err
	}
	return s, s.sweep()
}

// makeDir makes a directory and those above it, and each durable in the one that holds it.
func makeDir(fsys vfs.FS, dir string) error {
	missing := []string{filepath.Clean(dir)} // always: it may have been made just before a crash
	for d := filepath.Dir(missing[0]); ; d = filepath.Dir(d) {
		if _, err := fsys.Stat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		missing = append(missing, d)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := fsys.SyncDir(filepath.Dir(missing[i])); err != nil {
			return err
		}
	}
	return nil
}

// checkDirs refuses directories that were exchanged, or were one before, as ZooKeeper does: half of the data would be
// looked for in the wrong place.
func (s *Store) checkDirs() error {
	if s.snapDir == s.logDir {
		return nil
	}
	for _, c := range []struct{ dir, prefix, what string }{
		{s.logDir, snapshotPrefix, "the log directory %s has snapshots"},
		{s.snapDir, logPrefix, "the snapshot directory %s has logs"},
	} {
		files, err := list(s.o.FS, c.dir, c.prefix)
		if err != nil {
			return err
		}
		if len(files) > 0 {
			return fmt.Errorf(c.what+": look at dataDir and dataLogDir, and move the files to where they belong", c.dir)
		}
	}
	return nil
}

// sweep removes snapshots that were not finished.
func (s *Store) sweep() error {
	entries, err := s.o.FS.ReadDir(s.snapDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix+snapshotPrefix) {
			if err := s.o.FS.Remove(filepath.Join(s.snapDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Load gives the newest snapshot that is valid, and every transaction behind it. It gives the zxid of the last one, and
// how many there were behind the snapshot. fresh tells that the directory was empty: the server has to save a snapshot
// before its first transaction, since ZooKeeper does not open logs without one.
func (s *Store) Load(ctx context.Context, load Loader) (last int64, replayed int, fresh bool, err error) {
	snapshots, err := list(s.o.FS, s.snapDir, snapshotPrefix)
	if err != nil {
		return 0, 0, false, err
	}
	logs, err := list(s.o.FS, s.logDir, logPrefix)
	if err != nil {
		return 0, 0, false, err
	}
	from, found, err := s.loadSnapshot(snapshots, load)
	if err != nil {
		return 0, 0, false, err
	}
	s.last = from
	for i, f := range logs {
		if i+1 < len(logs) && logs[i+1].zxid <= from {
			continue // the next one begins before what is wanted
		}
		if err := s.loadLog(ctx, f.path, i+1 == len(logs), load); err != nil {
			if !found && errors.Is(err, ErrMissing) {
				err = fmt.Errorf("%w in %s, but there are logs, and they do not begin with the first transaction; restore a snapshot: %w", ErrNoSnapshot, s.snapDir, err)
			}
			return 0, 0, false, err
		}
	}
	if err := s.cutTails(); err != nil {
		return 0, 0, false, err
	}
	s.w = newWriter(s.o.FS, s.logDir, s.o.PreAllocBytes, s.last, s.o.Durable, s.o.Failed)
	return s.last, s.txnLoaded, !found && s.last == 0, nil
}

// loadSnapshot tries the snapshots from the newest on. If none is valid, the logs may still be complete from the
// first transaction on.
func (s *Store) loadSnapshot(snapshots []named, load Loader) (from int64, found bool, err error) {
	var bad []error
	for i := len(snapshots) - 1; i >= 0; i-- {
		f := snapshots[i]
		load.Begin(f.zxid)
		err := readSnapshot(s.o.FS, f.path, load)
		if err == nil {
			return f.zxid, true, nil
		}
		bad = append(bad, err)
		s.o.Logger.Warn("a snapshot cannot be used; trying the one before", "error", err.Error())
	}
	load.Begin(0)
	if len(bad) > 0 {
		logs, err := list(s.o.FS, s.logDir, logPrefix)
		if err != nil {
			return 0, false, err
		}
		if len(logs) == 0 || logs[0].zxid > 1 {
			return 0, false, fmt.Errorf("%w in %s, and no log begins with the first transaction; restore one from a copy: %w", ErrNoSnapshot, s.snapDir, errors.Join(bad...))
		}
	}
	return 0, false, nil
}

// loadLog gives the transactions of one file, which may be the last, that are behind what was loaded.
func (s *Store) loadLog(ctx context.Context, path string, last bool, load Loader) error {
	f, err := s.o.FS.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	r, err := newEntryReader(f, size)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	before := int64(0) // the zxid before, in this file
	for {
		txn, err := r.next()
		if errors.Is(err, errTail) {
			return s.tail(path, r, size, last, err)
		}
		if err != nil {
			return fmt.Errorf("%s at byte %d: %w", path, r.pos, err)
		}
		zxid := txnZxid(txn)
		if zxid <= before {
			return fmt.Errorf("%w: %s: transaction 0x%x follows 0x%x", ErrDamaged, path, zxid, before)
		}
		before = zxid
		if zxid <= s.last {
			continue
		}
		if !follows(zxid, s.last) {
			return fmt.Errorf("%w: 0x%x follows 0x%x in %s; restore the log that has what is between, or a snapshot of 0x%x or later", ErrMissing, zxid, s.last, path, zxid-1)
		}
		if err := load.Txn(txn); err != nil {
			return fmt.Errorf("%s: transaction 0x%x: %w", path, zxid, err)
		}
		s.last = zxid
		s.txnLoaded++
		if s.txnLoaded%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// follows tells whether a transaction may come after another. Every request that writes takes the next zxid, failed
// ones too; in an ensemble a new leader begins a new epoch, the upper half, and counts from 1.
func follows(zxid, last int64) bool {
	return zxid == last+1 || zxid>>32 > last>>32 && zxid&0xffffffff == 1
}

// tail looks at what is behind the last valid transaction of a file.
func (s *Store) tail(path string, r *entryReader, size int64, last bool, why error) error {
	at, zxid, ok, err := r.following(r.pos + 1)
	if err == nil && ok && last {
		ok, err = s.torn(path, r, at)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case ok:
		return damaged(path, r.pos, strings.TrimPrefix(why.Error(), errTail.Error()+": "), at, zxid)
	case r.pos < size:
		s.cuts = append(s.cuts, cut{path, r.pos})
	}
	return nil
}

// torn tells a gap that is damage from one that a power failure left of the last batch. The log lies in blocks that are
// allocated, and a disk writes them in any order: of a batch whose sync did not return, and of which nothing was acknowledged,
// later transactions may be there without the ones before them. Then a sector is missing, and nothing lies farther behind
// it than a batch is long. ZooKeeper ends a log at every gap.
func (s *Store) torn(path string, r *entryReader, at int64) (damage bool, err error) {
	missing, err := r.missing(r.pos, at)
	if err != nil || !missing {
		return true, err
	}
	_, _, farther, err := r.following(r.pos + batchBytes)
	if err == nil && !farther {
		s.o.Logger.Warn("the last transactions before a power failure reached the disk in part; none of them was acknowledged", "file", path, "byte", r.pos)
	}
	return farther, err
}

// cutTails ends the files where their transactions end, so that nobody stumbles over half of one later. Nothing of it
// was acknowledged.
func (s *Store) cutTails() error {
	for _, c := range s.cuts {
		f, err := s.o.FS.Reopen(c.path)
		if err != nil {
			return err
		}
		if err = f.Truncate(c.at); err == nil {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	s.cuts = nil
	return nil
}

// Append takes a transaction: header, body, digest. Durable tells when it is on disk. An error is for good.
func (s *Store) Append(zxid int64, txn []byte) error { return s.w.append(zxid, txn) }

// BeginSnapshot begins a snapshot of the tree as it is after a zxid; the next transaction begins a new log. While the
// nodes are written, transactions go on, and the nodes may show their effects.
func (s *Store) BeginSnapshot(zxid int64) (*SnapshotWriter, error) {
	s.w.roll()
	return newSnapshot(s.o.FS, s.snapDir, zxid, s.o.Gzip, s.w.wait)
}

// Close writes what was appended, ends the log where its transactions end, and gives the directories free.
func (s *Store) Close() error {
	var err error
	if s.w != nil {
		err = s.w.close()
	}
	return errors.Join(err, s.unlock())
}

func (s *Store) unlock() error {
	var errs []error
	for _, l := range s.locks {
		errs = append(errs, l.Close())
	}
	s.locks = nil
	return errors.Join(errs...)
}

// Sizes gives the bytes in the directories of the snapshots and of the log, which are the same if the directories are.
func (s *Store) Sizes() (snapshots, log int64) {
	snapshots = dirSize(s.o.FS, s.snapDir)
	if s.logDir == s.snapDir {
		return snapshots, snapshots
	}
	return snapshots, dirSize(s.o.FS, s.logDir)
}

func dirSize(fsys vfs.FS, dir string) (n int64) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}
