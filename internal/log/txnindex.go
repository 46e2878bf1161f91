package log

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"sort"

	"gregor/internal/log/vfs"
)

// AbortedTxn tells a consumer of committed records which records to leave out: those of the producer from FirstOffset
// to the abort marker at LastOffset.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64
	LastOffset       int64
	LastStableOffset int64 // of the log when the marker was written
}

// A transaction index lists the transactions whose abort marker lies in the segment, in the markers' order. The file is
// made with its first entry; entries are 34 bytes:
//
//	int16 version 0, int64 producer id, int64 first offset, int64 last offset, int64 last stable offset
const abortedTxnSize = 34

// AppendTo encodes the entry.
func (t AbortedTxn) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	for _, v := range [...]int64{t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStableOffset} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

// decodeTxnIndex reads a file's content. Error: ErrCorrupt for an unknown version, a marker below the segment's base
// offset, or markers out of order.
func decodeTxnIndex(path string, b []byte, base int64) ([]AbortedTxn, error) {
	if len(b)%abortedTxnSize != 0 {
		return nil, corrupt(path, "%d bytes are not a multiple of %d", len(b), abortedTxnSize)
	}
	list := make([]AbortedTxn, 0, len(b)/abortedTxnSize)
	for at := b; len(at) > 0; at = at[abortedTxnSize:] {
		if v := int16(binary.BigEndian.Uint16(at)); v != 0 {
			return nil, corrupt(path, "entry %d has version %d", len(list), v)
		}
		u := func(i int) int64 { return int64(binary.BigEndian.Uint64(at[2+8*i:])) }
		t := AbortedTxn{ProducerID: u(0), FirstOffset: u(1), LastOffset: u(2), LastStableOffset: u(3)}
		if t.LastOffset < base || t.FirstOffset > t.LastOffset {
			return nil, corrupt(path, "entry %d (%+v) lies outside the segment from %d", len(list), t, base)
		}
		if n := len(list); n > 0 && t.LastOffset <= list[n-1].LastOffset {
			return nil, corrupt(path, "entry %d (%+v) does not follow %+v", n, t, list[n-1])
		}
		list = append(list, t)
	}
	return list, nil
}

// txnIndex is a segment's transaction index. It is read when it is asked for, since few segments have one, and then
// kept.
type txnIndex struct {
	list     []AbortedTxn
	loaded   bool
	dirty    bool // written since the last sync
	verified bool // the list is what the batches say: see verifyTxns
}

// maxKeptTxns is how many verified entries a segment that nobody uses keeps in memory, so that they need not be compared again.
const maxKeptTxns = 1000

func (x *txnIndex) load(fsys vfs.FS, path string, base int64) error {
	if x.loaded {
		return nil
	}
	b, err := readFile(fsys, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if x.list, err = decodeTxnIndex(path, b, base); err != nil {
		return err
	}
	x.loaded = true
	return nil
}

// add appends an entry to list and file. Of a damaged file nothing is kept; what was in it is worked out again before
// somebody goes by it.
func (x *txnIndex) add(fsys vfs.FS, path string, base int64, t AbortedTxn) error {
	err := x.load(fsys, path, base)
	if errors.Is(err, ErrCorrupt) {
		x.list, x.loaded = nil, true
		err = cutFile(fsys, path, 0)
	}
	if err != nil {
		return err
	}
	f, err := fsys.OpenWrite(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(t.AppendTo(nil), int64(len(x.list))*abortedTxnSize)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		x.list = append(x.list, t)
		x.dirty = true
	}
	return err
}

// truncateTo drops the transactions whose marker is at or above an offset.
func (x *txnIndex) truncateTo(fsys vfs.FS, path string, base, offset int64) error {
	if err := x.load(fsys, path, base); err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	i := sort.Search(len(x.list), func(i int) bool { return x.list[i].LastOffset >= offset })
	if i == len(x.list) && x.loaded {
		return nil
	}
	x.list, x.loaded, x.dirty = x.list[:i], true, true
	if _, err := fsys.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return cutFile(fsys, path, int64(i)*abortedTxnSize)
}

func (x *txnIndex) sync(fsys vfs.FS, path string) error {
	if !x.dirty {
		return nil
	}
	if err := syncFile(fsys, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	x.dirty = false
	return nil
}

// overlapping gives the entries that matter to a read of [from, to), and whether no later segment can have another.
func (x *txnIndex) overlapping(dst []AbortedTxn, from, to int64) (_ []AbortedTxn, done bool) {
	for _, t := range x.list {
		if t.LastOffset >= from && t.FirstOffset < to {
			dst = append(dst, t)
		}
		if t.LastStableOffset >= to {
			return dst, true
		}
	}
	return dst, false
}

// AbortedTxns lists the aborted transactions that a consumer of committed records needs to know of when it reads the
// offsets from to to (exclusive).
func (l *Log) AbortedTxns(from, to int64) ([]AbortedTxn, error) {
	for {
		txns, err := l.abortedIn(*l.segments.Load(), from, to, true)
		if !errors.Is(err, errGone) {
			return txns, err
		}
		if err := l.gone(); err != nil {
			return nil, err
		}
	}
}

// aborted adds a segment's entries that matter to a read of [from, to). done says that no later segment has another.
// Error: errGone; the file may be another segment's by then.
func (s *segment) aborted(dst []AbortedTxn, from, to int64) (_ []AbortedTxn, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, false, errGone
	}
	if err := s.txn.load(s.fs, s.path(txnIndexSuffix), s.base); err != nil {
		return nil, false, err
	}
	dst, done = s.txn.overlapping(dst, from, to)
	return dst, done, nil
}
