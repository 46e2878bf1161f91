package log

import (
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"gregor/internal/log/vfs"
)

// epochEntry says that the records from start on were appended under a leader epoch, up to the next entry.
type epochEntry struct {
	epoch int32
	start int64
}

// epochs is a log's leader epochs (KIP-101), kept in leader-epoch-checkpoint. Changes exclude each other by the log's
// mutex; readers need no lock.
//
// A new epoch is only noted in memory, so that an election costs nothing on disk. Its entry is on disk before the recovery
// point passes a record of it: whatever lies behind that point is read after a crash, and the records tell their epochs.
// An entry that is taken away by a truncation is taken out of the file at once.
type epochs struct {
	fs   vfs.FS
	path string
	list atomic.Pointer[[]epochEntry] // never changed in place

	compared atomic.Bool // with the records: see compareEpochs

	writing sync.Mutex   // guards what follows, and the file; taken after the log's mutex
	saved   []epochEntry // what the file has
}

func newEpochs(fsys vfs.FS, dir string) *epochs {
	c := &epochs{fs: fsys, path: filepath.Join(dir, epochCheckpointFile)}
	c.list.Store(&c.saved)
	return c
}

func loadEpochs(fsys vfs.FS, dir string) (*epochs, error) {
	c := newEpochs(fsys, dir)
	b, err := readFile(fsys, c.path)
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	list, err := decodeEpochCheckpoint(c.path, b)
	if err != nil {
		return nil, err
	}
	c.list.Store(&list)
	c.saved = list
	return c, nil
}

func (c *epochs) entries() []epochEntry { return *c.list.Load() }

// store makes a list the current one, in the file first.
func (c *epochs) store(list []epochEntry) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.write(list); err != nil {
		return err
	}
	c.publish(list)
	return nil
}

// save brings the file up to date.
func (c *epochs) save() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.write(c.entries())
}

// write replaces the file if it differs. writing is held.
func (c *epochs) write(list []epochEntry) error {
	if slices.Equal(list, c.saved) {
		return nil
	}
	if err := vfs.ReplaceFile(c.fs, c.path, encodeEpochCheckpoint(list), true); err != nil {
		return err
	}
	c.saved = list
	return nil
}

// needsSave tells whether the file lacks something about the records before an offset, the log's end. What it says of the
// end itself, where an epoch without records starts, is forgotten when it is read.
func (c *epochs) needsSave(end int64) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	return !slices.Equal(before(c.entries(), end), before(c.saved, end))
}

// before gives the entries that start before an offset.
func before(list []epochEntry, offset int64) []epochEntry {
	i := sort.Search(len(list), func(i int) bool { return list[i].start >= offset })
	return list[:i:i]
}

// publish makes a list the current one, in memory.
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
func (c *epochs) assign(epoch int32, start int64) {
	if list := c.entries(); len(list) == 0 || list[len(list)-1].epoch != epoch || list[len(list)-1].start > start {
		c.publish(withEpoch(list, epoch, start))
	}
}

// found notes, while a log is recovered, that a batch at an offset has an epoch. The file may contradict that: it still
// has entries of epochs without records, which were dropped from memory and not yet from it, and an older epoch that
// another leader had went on from there.
func (c *epochs) found(epoch int32, offset int64) {
	if epoch < 0 {
		return
	}
	if c.forOffset(offset) > epoch {
		list := c.entries()
		i := sort.Search(len(list), func(i int) bool { return list[i].epoch > epoch })
		c.publish(list[:i:i])
	}
	if epoch > c.latest() {
		c.assign(epoch, offset)
	}
}

// truncateFromEnd drops the epochs that start at or after the log's new end.
func (c *epochs) truncateFromEnd(end int64) error {
	return c.store(before(c.entries(), end))
}

// forgetFromEnd is truncateFromEnd without the file, for a log that is opened: an epoch that stayed empty may have left an
// entry at the end of the log. Until the file is written the next time the same entries would be forgotten again.
func (c *epochs) forgetFromEnd(end int64) {
	if list := c.entries(); len(list) > 0 && list[len(list)-1].start >= end {
		c.publish(before(list, end))
	}
}

// truncateFromStart drops the epochs that end at or before the log's new start; the one that reaches over it starts
// there now. The file has them until it is written the next time: entries too many do no harm, and are dropped again when
// it is read. So retention waits for no disk while appends wait for it, and works on a full one.
func (c *epochs) truncateFromStart(start int64) {
	list := c.entries()
	i := sort.Search(len(list), func(i int) bool { return list[i].start > start })
	if i == 0 || i == 1 && list[0].start == start {
		return
	}
	keep := slices.Clone(list[i-1:])
	keep[0].start = start
	c.publish(keep)
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
