package log

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"gregor/internal/record"
)

// The leader epochs in leader-epoch-checkpoint repeat, without a checksum, what the batches say, as far as there are any. A file
// that is damaged or missing is made anew of them. One that can be read is compared with the end of the log when it is opened,
// and with the batches around the begin of each epoch when one before the last is first asked for, which is seldom.

// openEpochs reads the leader epochs of a log; lost says that the file is damaged, or missing.
func (l *Log) openEpochs() (lost bool, err error) {
	l.epochs, err = loadEpochs(l.fs, l.dir)
	if errors.Is(err, ErrCorrupt) {
		l.slog.Warn("the leader epochs are damaged and made anew of the records", "error", err)
		l.epochs, err = newEpochs(l.fs, l.dir), nil
		return true, nil
	}
	return err == nil && len(l.epochs.entries()) == 0, err
}

// lastWritten is the last batch that opening a log has seen; the epoch is -1 if it has seen none, or one without an epoch.
type lastWritten struct {
	offset int64
	epoch  int32
}

// recoverEpochs makes the leader epochs anew of the records if they are lost, or do not fit the last batch.
func (l *Log) recoverEpochs(list []*segment, lost bool, last lastWritten) error {
	fits := last.epoch < 0 || l.epochs.forOffset(last.offset) == last.epoch
	if fits && (!lost || l.next == list[0].base || last.epoch < 0 && list[len(list)-1].size.Load() > 0) {
		return nil
	}
	if !fits {
		l.slog.Warn("the leader epochs do not fit the records and are made anew", "dir", l.dir, "offset", last.offset, "epoch", l.epochs.forOffset(last.offset), "record_epoch", last.epoch)
	}
	found, err := l.epochsOf(list, l.next)
	if err != nil {
		return l.locate(list, math.MaxInt64, err)
	}
	l.epochs.publish(found) // the next flush writes them
	return nil
}

// epochsOf reads the leader epochs from the batches below an offset, and drops those that the log's start lies behind.
func (l *Log) epochsOf(list []*segment, end int64) (found []epochEntry, err error) {
	for _, s := range list {
		err := walkBatches(s, s.size.Load(), s.base, end, func(b record.Batch, _ *walker, _, _ int64) error {
			found = withEpoch(found, b.LeaderEpoch(), b.BaseOffset())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	start := l.start.Load()
	if i := sort.Search(len(found), func(i int) bool { return found[i].start > start }); i > 0 {
		found = found[i-1:]
		found[0].start = start
	}
	return found, nil
}

// startAfter is where the log starts if the checkpoint says checkpointed. The leader epochs are cut with each move of the
// start, and before it is noted there: a checkpoint that is ahead of them is damaged, and would have records deleted.
func (l *Log) startAfter(checkpointed, base int64) int64 {
	if known := l.epochs.entries(); len(known) > 0 && checkpointed > known[0].start && checkpointed > base {
		start := max(known[0].start, base)
		l.slog.Warn("the checkpoint of log starts is ahead of the leader epochs; what it would hide is kept", "dir", l.dir, "checkpoint", checkpointed, "start", start)
		return start
	}
	return max(checkpointed, base)
}

// compareEpochs compares the begin of each epoch with the batches around it, once, and makes the epochs anew if they do not fit.
// Damaged batches are for others to find.
func (l *Log) compareEpochs() error {
	list, known, end := *l.segments.Load(), l.epochs.entries(), l.end.Load()
	fit := true
	for i, e := range known {
		before, at, err := epochsAround(list, e.start, end)
		if isBadBatch(err) {
			return nil
		}
		if err != nil {
			return err
		}
		deleted := i == 0 && e.start <= l.start.Load() // what lies before it
		fit = fit && (before < e.epoch || deleted) && (at < 0 || at >= e.epoch)
	}
	if fit {
		l.epochs.compared.Store(true)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	found, err := l.epochsOf(*l.segments.Load(), l.next)
	if isBadBatch(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if latest := l.epochs.entries(); len(latest) > 0 && latest[len(latest)-1].start >= l.next { // one without records yet
		found = withEpoch(found, latest[len(latest)-1].epoch, latest[len(latest)-1].start)
	}
	l.slog.Warn("the leader epochs do not fit the records and are made anew", "dir", l.dir, "epochs", fmt.Sprint(known), "records", fmt.Sprint(found))
	if err := l.epochs.store(found); err != nil {
		return l.writeFailed(err)
	}
	l.epochs.compared.Store(true)
	return nil
}

// epochsAround gives the epochs of the last batch that begins before an offset and of the first one that begins at or behind it;
// -1 if there is none.
func epochsAround(list []*segment, offset, end int64) (before, at int32, err error) {
	before, at = -1, -1
	for i := max(floor(list, offset-1), 0); i < len(list) && at < 0; i++ {
		s := list[i]
		size := s.size.Load()
		s.mu.Lock()
		err := s.load()
		pos := s.idx.lookup(offset - 1 - s.base)
		var f *segmentFile
		if err == nil {
			f, err = s.acquireLocked()
		}
		s.mu.Unlock()
		if err != nil {
			return before, at, err
		}
		w := newWalker(f, lookChunk)
		for pos < size && at < 0 {
			b, bytes, herr := w.header(pos, size)
			if err = herr; err != nil || b.BaseOffset() >= end {
				break
			}
			if b.BaseOffset() >= offset {
				at = b.LeaderEpoch()
				break
			}
			before = b.LeaderEpoch()
			pos += bytes
		}
		w.close()
		f.release()
		if err != nil {
			return before, at, err
		}
	}
	return before, at, nil
}
