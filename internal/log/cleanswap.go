package log

import (
	"slices"
)

// How the files of a segment are named while the cleaner puts it in the place of others.
const (
	swapDone    int32 = iota // as ever
	swapCleaned              // .cleaned: being written
	swapAll                  // .swap: counts instead of the segments it is made of
	swapIndexes              // .swap for the indexes: the segments it is made of are gone
)

// cleanSwap puts a segment in the place of those it was made from. If done is false its files are not needed: some of the
// old ones are not of the log any more. Error: errCleanStopped if the log was truncated or closed since.
//
// A crash at any point leaves a directory that the next start, Apache Kafka's too, brings to the old state or to the new:
//
//  1. All files are there as .cleaned, on disk. A start removes them.
//  2. They become .swap, the log last. As long as any is .cleaned a start removes all. From the last rename on they
//     count. On disk before the next step.
//  3. The old segments' files become .deleted. A start that finds the log's .swap removes old segments in its range. On
//     disk before the next step: else the new segment could stand beside an old one.
//  4. The log loses .swap. On disk before the next step: as long as the log is .swap, an index without it is an old one.
//  5. The indexes lose .swap.
//
// Appends go on meanwhile, since mu is held only to change the list. Nothing else that takes segments away can come
// between, since structure is held.
func (l *Log) cleanSwap(old []*segment, s *segment, truncations int) (done bool, err error) {
	l.structure.Lock()
	defer l.structure.Unlock()
	l.mu.Lock()
	err = l.usable()
	if err == nil && l.truncations != truncations {
		err = errCleanStopped
	}
	at := indexOfAll(*l.segments.Load(), old)
	l.mu.Unlock()
	if err != nil || at < 0 {
		return false, err
	}

	suffixes := [...]string{indexSuffix, timeIndexSuffix, txnIndexSuffix, logSuffix}
	rename := func(from, to int32, suffixes ...string) error {
		for _, suffix := range suffixes {
			if suffix == txnIndexSuffix && len(s.txn.list) == 0 {
				continue
			}
			s.swapping.Store(from)
			name := s.path(suffix)
			s.swapping.Store(to)
			if err := l.fs.Rename(name, s.path(suffix)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := rename(swapCleaned, swapAll, suffixes[:]...); err != nil {
		// Some are .swap and the log is .cleaned: a start removes them; until then they are in nobody's way.
		return false, err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return true, l.swapFailed(err)
	}

	l.mu.Lock()
	list := *l.segments.Load()
	at = indexOfAll(list, old) // the list may have grown
	for _, o := range old {
		o.retire()
	}
	l.setSegments(slices.Replace(slices.Clone(list), at, at+len(old), s))
	removed := l.forgetSnapshots(func(offset int64) bool {
		return slices.ContainsFunc(old[1:], func(s *segment) bool { return s.base == offset })
	})
	l.mu.Unlock()

	if err := l.dropSegments(old); err != nil {
		return true, l.swapFailed(err)
	}
	if err := l.removeSnapshotFiles(removed); err != nil {
		return true, l.swapFailed(err)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return true, l.swapFailed(err)
	}
	for _, step := range []func() error{
		func() error { return rename(swapAll, swapIndexes, logSuffix) },
		func() error { return rename(swapIndexes, swapDone, suffixes[:3]...) },
	} {
		s.mu.Lock()
		err := step()
		s.mu.Unlock()
		if err == nil {
			err = l.fs.SyncDir(l.dir)
		}
		if err != nil {
			return true, l.swapFailed(err)
		}
	}
	return true, nil
}

// swapFailed takes the log out of service: what is in memory and what is on disk may not agree. The next start ends the
// swap.
func (l *Log) swapFailed(err error) error {
	l.slog.Error("compacted segments could not be put in place, the log goes offline", "dir", l.dir, "error", err)
	l.Fail(err)
	return l.Err()
}

// indexOfAll finds segments, which follow each other, in a list; -1 if not all are there, or one is the last.
func indexOfAll(list, part []*segment) int {
	i := floor(list, part[0].base)
	if i < 0 || i+len(part) >= len(list) || !slices.Equal(list[i:i+len(part)], part) {
		return -1
	}
	return i
}
