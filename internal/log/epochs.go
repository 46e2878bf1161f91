package log

import (
	"path/filepath"
	"slices"
	"sort"
	"sync/atomic"

	"gregor/internal/log/vfs"
)

// epochEntry says that the records from start on were appended under a leader epoch, up to the next entry.
type epochEntry struct {
	epoch int32
	start int64
}

// epochs is a log's leader epochs (KIP-101), kept in leader-epoch-checkpoint. Changes exclude each other by the log's
// mutex; readers need no lock. An entry is on disk before a record of its epoch is written.
type epochs struct {
	fs   vfs.FS
	path string
	list atomic.Pointer[[]epochEntry] // never changed in place
	// behind says that the file still has entries which the list has not. The log's mutex guards it.
	behind bool
}

func loadEpochs(fsys vfs.FS, dir string) (*epochs, error) {
	c := &epochs{fs: fsys, path: filepath.Join(dir, epochCheckpointFile)}
	b, err := readFile(fsys, c.path)
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	list, err := decodeEpochCheckpoint(c.path, b)
	if err != nil {
		return nil, err
	}
	c.list.Store(&list)
	return c, nil
}

func (c *epochs) entries() []epochEntry { return *c.list.Load() }

// store makes a list the current one, in the file first.
func (c *epochs) store(list []epochEntry) error {
	if !c.behind && slices.Equal(list, c.entries()) {
		return nil
	}
	if err := vfs.ReplaceFile(c.fs, c.path, encodeEpochCheckpoint(list), true); err != nil {
		return err
	}
	c.behind = false
	c.publish(list)
	return nil
}

// publish is a function of its own so that a call of store which changes nothing allocates nothing.
func (c *epochs) publish(list []epochEntry) { c.list.Store(&list) }

// latest is the last epoch; -1 if none.
func (c *epochs) latest() int32 {
	list := c.entries()
	if len(list) == 0 {
		return -1
	}
	return list[len(list)-1].epoch
}

// with gives the list after an epoch was found to start at an offset. Entries that contradict it are dropped: those of
// the same or a later epoch, and those that start at or after the offset.
func withEpoch(list []epochEntry, epoch int32, start int64) []epochEntry {
	if epoch < 0 {
		return list
	}
	n := len(list)
	if n > 0 && list[n-1].epoch == epoch && list[n-1].start <= start {
		return list
	}
	keep := slices.Clone(list)
	for n > 0 && (keep[n-1].epoch >= epoch || keep[n-1].start >= start) {
		n--
	}
	return append(keep[:n], epochEntry{epoch, start})
}

// assign notes that the record at an offset has an epoch.
func (c *epochs) assign(epoch int32, start int64) error {
	return c.store(withEpoch(c.entries(), epoch, start))
}

// truncateFromEnd drops the epochs that start at or after the log's new end.
func (c *epochs) truncateFromEnd(end int64) error {
	list := c.entries()
	i := sort.Search(len(list), func(i int) bool { return list[i].start >= end })
	return c.store(list[:i:i])
}

// forgetFromEnd is truncateFromEnd without the file, for a log that is opened: a leader whose epoch stayed empty leaves an
// entry at the end of every log, and the next leader epoch writes the file anyway. Until then the same entries would be
// forgotten again.
func (c *epochs) forgetFromEnd(end int64) {
	list := c.entries()
	i := sort.Search(len(list), func(i int) bool { return list[i].start >= end })
	if i < len(list) {
		keep := list[:i:i]
		c.behind = true
		c.publish(keep)
	}
}

// truncateFromStart drops the epochs that end at or before the log's new start; the one that reaches over it starts
// there now.
func (c *epochs) truncateFromStart(start int64) error {
	list := c.entries()
	i := sort.Search(len(list), func(i int) bool { return list[i].start > start })
	if i == 0 {
		return nil
	}
	keep := slices.Clone(list[i-1:])
	keep[0].start = start
	err := c.store(keep)
	if isNoSpace(err) {
		// Retention has to work on a full disk, and a file with too many entries does no harm: they are dropped again
		// when it is read.
		c.list.Store(&keep)
		err = nil
	}
	return err
}

// forOffset is the epoch of an offset; -1 if it lies before the first.
func (c *epochs) forOffset(offset int64) int32 {
	list := c.entries()
	i := sort.Search(len(list), func(i int) bool { return list[i].start > offset })
	if i == 0 {
		return -1
	}
	return list[i-1].epoch
}

// endOffset answers OffsetForLeaderEpoch: the largest epoch not above the asked one, and where the next one starts;
// for the latest epoch that is the end of the log. An epoch before the first is answered with itself and the first
// start, one after the latest with -1, -1.
func (c *epochs) endOffset(epoch int32, logEnd int64) (int32, int64) {
	list := c.entries()
	n := len(list)
	switch {
	case epoch < 0 || n == 0 || epoch > list[n-1].epoch:
		return -1, -1
	case epoch == list[n-1].epoch:
		return epoch, logEnd
	}
	i := sort.Search(n, func(i int) bool { return list[i].epoch > epoch })
	if i == 0 {
		return epoch, list[0].start
	}
	return list[i-1].epoch, list[i].start
}
