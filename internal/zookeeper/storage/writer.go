package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"gregor/internal/log/vfs"
)

// spareBytes is how much memory is kept for the next batch.
const spareBytes = 4 << 20

// batchBytes is how much is made durable with one sync, and one transaction more. What a power failure leaves of it may have
// gaps: see Store.torn.
const batchBytes = 1 << 20

// padBytes is how near to the end of the allocated space ZooKeeper goes (class FilePadding).
const padBytes = 4096

// batch is what goes to disk with one sync: entries for one file.
type batch struct {
	roll bool  // a new file begins with it
	from int64 // its first zxid
	last int64
	data []byte
}

// writer appends transactions to the log. One goroutine writes and syncs; while it does, the transactions that come in
// gather for the next round.
type writer struct {
	fs       vfs.FS
	dir      string
	prealloc int64
	durable  func(zxid int64) // called by the goroutine after each sync, in order
	failed   func(error)      // called by the goroutine, once

	mu      sync.Mutex
	wake    sync.Cond
	queue   []batch // the last one grows
	spare   []byte
	synced  sync.Cond // told is new, or err
	told    int64     // the last transaction on disk
	err     error
	closing bool
	done    chan struct{}

	// The goroutine's own.
	file      vfs.File
	pos, size int64
	scratch   []byte
}

func newWriter(fsys vfs.FS, dir string, prealloc, last int64, durable func(int64), failed func(error)) *writer {
	w := &writer{fs: fsys, dir: dir, prealloc: prealloc, durable: durable, failed: failed, told: last, done: make(chan struct{})}
	w.wake.L = &w.mu
	w.synced.L = &w.mu
	go w.run()
	return w
}

// append takes one transaction; it is in the order of the calls. The bytes are copied.
func (w *writer) append(zxid int64, txn []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if n := len(w.queue); n == 0 || len(w.queue[n-1].data) >= batchBytes {
		w.queue = append(w.queue, batch{from: zxid, data: w.spare[:0]})
		w.spare = nil
		w.wake.Signal()
	}
	b := &w.queue[len(w.queue)-1]
	if b.from == 0 {
		b.from = zxid
	}
	b.last = zxid
	b.data = appendEntry(b.data, txn)
	return nil
}

// roll lets the next transaction begin a new file.
func (w *writer) roll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.queue); n > 0 && w.queue[n-1].roll && w.queue[n-1].from == 0 {
		return
	}
	w.queue = append(w.queue, batch{roll: true})
	w.wake.Signal()
}

// wait waits until a transaction is on disk.
func (w *writer) wait(zxid int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.told < zxid && w.err == nil {
		w.synced.Wait()
	}
	if w.told >= zxid {
		return nil
	}
	return w.err
}

// close writes what was appended and ends the goroutine.
func (w *writer) close() error {
	w.mu.Lock()
	w.closing = true
	w.wake.Signal()
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, ErrClosed) {
		return nil
	}
	return w.err
}

func (w *writer) run() {
	defer close(w.done)
	rolling := true // the first transaction begins a new file, as in ZooKeeper
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closing {
			w.wake.Wait()
		}
		todo := w.queue
		w.queue = nil
		ending := len(todo) == 0
		if ending && w.err == nil {
			w.err = ErrClosed
			w.synced.Broadcast()
		}
		w.mu.Unlock()
		if ending {
			if err := w.finish(true); err != nil {
				w.fail(err)
			}
			return
		}
		for _, b := range todo {
			rolling = rolling || b.roll
			if len(b.data) == 0 {
				continue
			}
			if err := w.commit(b, rolling); err != nil {
				w.fail(err)
				_ = w.finish(false)
				return
			}
			rolling = false
			w.mu.Lock()
			if cap(b.data) <= spareBytes {
				w.spare = b.data
			}
			w.told = b.last
			w.synced.Broadcast()
			w.mu.Unlock()
			w.durable(b.last)
		}
	}
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	w.err = fmt.Errorf("transaction log: %w", err)
	w.queue = nil
	w.synced.Broadcast()
	err = w.err
	w.mu.Unlock()
	w.failed(err)
}

// commit makes a batch durable. The file before is complete on disk before a new one begins, so that a crash never
// leaves a gap between them.
func (w *writer) commit(b batch, roll bool) error {
	if roll || w.file == nil {
		if err := w.finish(true); err != nil {
			return err
		}
		path := filepath.Join(w.dir, logName(b.from))
		f, err := w.fs.Create(path)
		if err != nil {
			return err
		}
		w.file, w.pos, w.size = f, 0, 0
		w.scratch = appendFileHeader(w.scratch[:0], logMagic, logDatabase)
		if err := w.write(w.scratch); err != nil {
			return err
		}
	}
	fresh := w.pos == fileHeaderBytes
	if err := w.allocate(int64(len(b.data))); err != nil {
		return err
	}
	if err := w.write(b.data); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if fresh {
		return w.fs.SyncDir(w.dir)
	}
	return nil
}

func (w *writer) write(p []byte) error {
	n, err := w.file.WriteAt(p, w.pos)
	w.pos += int64(n)
	w.size = max(w.size, w.pos)
	return err
}

// allocate makes the file longer in large steps, so that most syncs need not write its length.
func (w *writer) allocate(n int64) error {
	if w.prealloc <= 0 || w.pos+n+padBytes < w.size {
		return nil
	}
	size := (w.pos + n + padBytes + w.prealloc) / w.prealloc * w.prealloc
	if err := w.file.Truncate(size); err != nil {
		return err
	}
	w.size = size
	return nil
}

// finish closes the file; with cut what was allocated and not written is given back, so that a start has less to read.
func (w *writer) finish(cut bool) error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	var err error
	if cut && w.size > w.pos {
		if err = f.Truncate(w.pos); err == nil {
			err = f.Sync()
		}
	}
	return errors.Join(err, f.Close())
}
