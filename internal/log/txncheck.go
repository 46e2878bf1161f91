package log

import (
	"errors"
	"math"
	"slices"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// A transaction index repeats, without a checksum, what the markers in the segment say: what is wrong or missing in it would
// give aborted records to consumers of committed ones. So one that this process did not make itself is compared with the
// batches of its segment before it is first gone by. Logs without transactions do not pay for that.

// abortedIn lists the aborted transactions that matter to a read of [from, to). transactional says that the read has records
// of transactions that this process did not write; without such records only indexes that have entries are compared.
func (l *Log) abortedIn(list []*segment, from, to int64, transactional bool) ([]AbortedTxn, error) {
	var txns []AbortedTxn
	for i := max(floor(list, from), 0); i < len(list); i++ {
		doubtful, err := list[i].doubtsTxns(transactional)
		if err == nil && doubtful {
			err = l.verifyTxns(list, i)
		}
		var done bool
		if err == nil {
			txns, done, err = list[i].aborted(txns, from, to)
		}
		if done || err != nil {
			return txns, err
		}
	}
	return txns, nil
}

// transactionalAt tells whether the segment with an offset has records of transactions among those that were checked.
func transactionalAt(list []*segment, offset int64) bool {
	i := floor(list, offset)
	return i >= 0 && list[i].trust.transactional.Load()
}

// doubtsTxns tells whether the index has to be compared before it is gone by.
func (s *segment) doubtsTxns(transactional bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false, errGone
	}
	if s.txn.verified {
		return false, nil
	}
	err := s.txn.load(s.fs, s.path(txnIndexSuffix), s.base)
	if errors.Is(err, ErrCorrupt) {
		return true, nil
	}
	return transactional || len(s.txn.list) > 0, err
}

// verifyTxns compares the index of the i-th segment with the batches, and makes it anew if they say something else. While a
// part of the segment is damaged that has to wait; what the file says is gone by then, if it can be read.
func (l *Log) verifyTxns(list []*segment, i int) error {
	s := list[i]
	s.verifying.Lock() // the others wait for the one that does it
	defer s.verifying.Unlock()
	s.mu.Lock()
	verified := s.txn.verified
	s.mu.Unlock()
	if verified {
		return nil
	}
	l.mu.Lock()
	truncations, snapshots := l.truncations, slices.Clone(l.snapshots)
	l.mu.Unlock()
	end := l.end.Load() // what is written meanwhile goes into the index that is in memory
	if i+1 < len(list) {
		end = min(end, list[i+1].base)
	}
	txns, err := l.txnsOf(list[:i+1], end, snapshots)
	if isBadBatch(err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.txn.load(s.fs, s.path(txnIndexSuffix), s.base)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.truncations != truncations {
		return errGone // to be done again
	}
	return l.settleTxns(s, txns, end)
}

// txnsOf works out the aborted transactions whose markers lie in the last of some segments, below an offset.
func (l *Log) txnsOf(list []*segment, end int64, snapshots []int64) (txns []AbortedTxn, err error) {
	s := list[len(list)-1]
	var ps producers
	from := list[0].base
	ps.reset(from)
	for k := len(snapshots) - 1; k >= 0; k-- {
		if snapshots[k] > s.base {
			continue
		}
		path := segmentPath(l.dir, snapshots[k], snapshotSuffix)
		b, err := readFile(l.fs, path)
		var entries []snapshotEntry
		if err == nil {
			entries, err = decodeSnapshot(path, b)
		}
		if err == nil {
			ps.restore(entries, snapshots[k], math.MinInt64)
			from = snapshots[k]
			break
		}
		if !errors.Is(err, ErrCorrupt) && !isNotExist(err) {
			return nil, err
		}
	}
	for _, before := range list[max(floor(list, from), 0):] {
		err := l.replayInto(&ps, before, before.size.Load(), from, end, func(txn completedTxn, lso int64) error {
			if before == s {
				txns = append(txns, AbortedTxn{ProducerID: txn.producerID, FirstOffset: txn.firstOffset, LastOffset: txn.lastOffset, LastStableOffset: lso})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return txns, nil
}

// settleTxns takes over what the batches below an offset say. mu is held.
func (l *Log) settleTxns(s *segment, txns []AbortedTxn, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errGone
	}
	path := s.path(txnIndexSuffix)
	x := &s.txn
	err := x.load(l.fs, path, s.base)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	n, _ := slices.BinarySearchFunc(x.list, end, func(t AbortedTxn, end int64) int { return int(min(max(t.LastOffset-end, -1), 1)) })
	if err == nil && slices.Equal(x.list[:n], txns) {
		x.verified = true
		return nil
	}
	l.slog.Warn("a transaction index does not fit its segment and is built again", "file", path, "entries", n, "transactions", len(txns), "error", err)
	x.list, x.loaded, x.verified = append(txns, x.list[n:]...), true, true
	return x.replace(l.fs, path)
}

// replace writes the file anew. A full disk has no room for that; the next start compares again.
func (x *txnIndex) replace(fsys vfs.FS, path string) error {
	if len(x.list) == 0 {
		return removeFile(fsys, path)
	}
	var b []byte
	for _, t := range x.list {
		b = t.AppendTo(b)
	}
	if err := vfs.ReplaceFile(fsys, path, b, true); err != nil && !isNoSpace(err) {
		return err
	}
	return nil
}

// replayInto applies the batches of a segment between two offsets to the state of producers.
func (l *Log) replayInto(ps *producers, s *segment, limit, from, end int64, aborted func(completedTxn, int64) error) error {
	return walkBatches(s, limit, from, end, func(b record.Batch, w *walker, pos, limit int64) (err error) {
		if !b.HasProducerID() {
			return nil
		}
		if b.IsControl() {
			if b, err = w.batch(pos, limit); err != nil {
				return corruptBatch(s, err)
			}
		}
		if err := ps.replay(b, aborted); err != nil {
			return corruptBatch(s, err)
		}
		return nil
	})
}
