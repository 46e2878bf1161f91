package raft

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

const topic = "__cluster_metadata"

// TopicDir is the name of the metadata log's directory.
const TopicDir = topic + "-0"

// entry is one batch of the log, which is one entry of the Raft log.
type entry struct {
	epoch   int32
	offset  int64 // of the batch's first record
	records int32
	voters  bool // it changes the voters
	seg     *segment
	pos     int64
	size    int32
	data    []byte // the batch, until it was delivered; nil: read it from the file
}

func (e *entry) next() int64 { return e.offset + int64(e.records) }

// metaLog is the metadata log on disk with a table of its batches in memory, from the newest snapshot on. Entry i of
// the table has Raft index first+i. It belongs to one goroutine; others read it under mu, which that goroutine takes for
// every change, but not while it writes and syncs.
type metaLog struct {
	mu           sync.RWMutex
	fs           vfs.FS
	dir          string
	segmentBytes int64

	segments []*segment // by base offset, the last one is written to
	old      []int64    // base offsets of the segments that lie before the newest snapshot
	first    uint64     // Raft index of entries[0]
	entries  []entry
	snapshot checkpoint // newest snapshot; its zero value is the empty state before offset 0
	epochs   []epochStart
	base     voterSet   // who voted before entries[0]
	changes  []votersAt // what of the entries changes that
}

// voters are those of the newest change, committed or not.
func (l *metaLog) voters() voterSet {
	if n := len(l.changes); n > 0 {
		return l.changes[n-1].set
	}
	return l.base
}

// votersUpTo are those after an entry.
func (l *metaLog) votersUpTo(index uint64) voterSet {
	set := l.base
	for _, c := range l.changes {
		if c.index <= index {
			set = c.set
		}
	}
	return set
}

// epochStart is a line of leader-epoch-checkpoint.
type epochStart struct {
	epoch  int32
	offset int64
}

func (l *metaLog) endOffset() int64 {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].next()
	}
	return l.snapshot.end
}

func (l *metaLog) startOffset() int64 {
	if len(l.old) > 0 {
		return l.old[0]
	}
	return l.segments[0].base
}

func (l *metaLog) lastEpoch() int32 {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].epoch
	}
	return l.snapshot.epoch
}

func (l *metaLog) active() *segment { return l.segments[len(l.segments)-1] }

// lastIndex is the Raft index of the last entry.
func (l *metaLog) lastIndex() uint64 { return l.first + uint64(len(l.entries)) - 1 }

// at returns the entry at a Raft index of the table.
func (l *metaLog) at(index uint64) *entry { return &l.entries[index-l.first] }

// find returns the Raft index of the batch that ends with an offset.
func (l *metaLog) find(lastOffset int64) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(l.entries, lastOffset, func(e entry, last int64) int {
		return int(e.next() - 1 - last)
	})
	return l.first + uint64(i), ok
}

// append writes batches with one write and makes them durable. Before it, what lies at and behind the first one's
// offset is cut off: Raft replaces entries that were never committed.
func (l *metaLog) append(batches []record.Batch) error {
	if err := l.truncate(batches[0].BaseOffset()); err != nil {
		return err
	}
	if err := l.rollIfFull(batches); err != nil {
		return err
	}
	seg := l.active()
	buf, pos := []byte(batches[0]), seg.size
	if len(batches) > 1 {
		buf = nil
		for _, b := range batches {
			buf = append(buf, b...)
		}
	}
	if err := seg.write(buf); err != nil {
		return err
	}
	if err := seg.log.Sync(); err != nil {
		return err
	}
	for _, b := range batches {
		if b.BaseOffset() != l.endOffset() {
			return fmt.Errorf("batch at offset %d at the end of a log that ends at %d", b.BaseOffset(), l.endOffset())
		}
		if err := l.enter(b, seg, pos, true); err != nil {
			return err
		}
		pos += int64(len(b))
	}
	return nil
}

// enter adds a batch that is on disk to the table, the indexes and the epochs. keep says that it is new.
func (l *metaLog) enter(b record.Batch, seg *segment, pos int64, keep bool) error {
	e := entry{
		epoch: b.LeaderEpoch(), offset: b.BaseOffset(), records: b.LastOffsetDelta() + 1,
		seg: seg, pos: pos, size: int32(len(b)),
	}
	if keep {
		e.data = b
	}
	set, changed, err := votersOf(b, l.voters())
	if err != nil {
		return fmt.Errorf("%w: %s at position %d, offset %d: control records: %v", journal.ErrCorrupt, seg.log.Name(), pos, e.offset, err)
	}
	e.voters, set.offset = changed, e.offset
	l.mu.Lock()
	l.entries = append(l.entries, e)
	if changed {
		l.changes = append(l.changes, votersAt{l.lastIndex(), set})
	}
	newEpoch := l.noteEpoch(e.epoch, e.offset)
	l.mu.Unlock()
	if newEpoch && keep {
		if err := l.writeEpochs(); err != nil {
			return err
		}
	}
	return seg.note(b, pos)
}

// read returns the batch of an entry.
func (l *metaLog) read(e *entry) (record.Batch, error) {
	if e.data != nil {
		return e.data, nil
	}
	return readEntry(e)
}

func readEntry(e *entry) (record.Batch, error) {
	b := make(record.Batch, e.size)
	if _, err := e.seg.log.ReadAt(b, e.pos); err != nil {
		return nil, fmt.Errorf("%s at position %d: %w", e.seg.log.Name(), e.pos, err)
	}
	if err := b.CheckCRC(); err != nil {
		return nil, fmt.Errorf("%w: %s at position %d, offset %d: %v", journal.ErrCorrupt, e.seg.log.Name(), e.pos, e.offset, err)
	}
	return b, nil
}

// release forgets the bytes of delivered entries; the file has them.
func (l *metaLog) release(through uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := through; i >= l.first && len(l.entries) > 0; i-- {
		if e := l.at(i); e.data == nil {
			return
		} else {
			e.data = nil
		}
	}
}

// truncate drops the batches from an offset on, which begins one.
func (l *metaLog) truncate(offset int64) error {
	n := len(l.entries)
	for n > 0 && l.entries[n-1].offset >= offset {
		n--
	}
	if n == len(l.entries) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := l.entries[n]
	for k := len(l.changes); k > 0 && l.changes[k-1].index >= l.first+uint64(n); k-- {
		l.changes = l.changes[:k-1]
	}
	l.entries = l.entries[:n]
	for l.active() != cut.seg {
		gone := l.active()
		gone.close()
		if err := removeSegment(l.fs, l.dir, gone.base); err != nil {
			return err
		}
		// One that came back after a power failure would lie behind a gap, or hide what is written here next.
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
		l.segments = l.segments[:len(l.segments)-1]
	}
	for k := len(l.epochs); k > 0 && l.epochs[k-1].offset >= offset; k-- {
		l.epochs = l.epochs[:k-1]
	}
	return cut.seg.cut(cut.pos)
}

func (l *metaLog) rollIfFull(batches []record.Batch) error {
	size := l.active().size
	for _, b := range batches {
		size += int64(len(b))
	}
	if size <= l.segmentBytes || l.active().size == 0 {
		return nil
	}
	return l.roll()
}

// roll begins a new segment at the end of the log.
func (l *metaLog) roll() error {
	if l.active().size == 0 {
		return nil
	}
	if err := l.active().noteTime(); err != nil {
		return err
	}
	seg, err := openSegment(l.fs, l.dir, l.endOffset())
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.segments = append(l.segments, seg)
	l.mu.Unlock()
	return l.fs.SyncDir(l.dir)
}

// noteEpoch remembers where an epoch begins, and reports whether it is a new one.
func (l *metaLog) noteEpoch(epoch int32, offset int64) bool {
	if n := len(l.epochs); n > 0 && l.epochs[n-1].epoch >= epoch {
		return false
	}
	l.epochs = append(l.epochs, epochStart{epoch, offset})
	return true
}

// writeEpochs writes leader-epoch-checkpoint. Only others read the file; ours is the log.
func (l *metaLog) writeEpochs() error {
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(l.epochs))
	for _, e := range l.epochs {
		fmt.Fprintf(&b, "%d %d\n", e.epoch, e.offset)
	}
	return vfs.ReplaceFile(l.fs, filepath.Join(l.dir, "leader-epoch-checkpoint"), []byte(b.String()), false)
}

// compact makes a snapshot the start of the table. Files are removed by clean.
func (l *metaLog) compact(c checkpoint) error {
	if c.index < l.first {
		return nil
	}
	base := l.votersUpTo(c.index)
	l.mu.Lock()
	l.entries = slices.Clone(l.entries[c.index-l.first+1:])
	l.first = c.index + 1
	l.snapshot = c
	l.base = base
	l.changes = slices.DeleteFunc(l.changes, func(v votersAt) bool { return v.index <= c.index })
	l.mu.Unlock()
	if err := l.roll(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segments) > 1 && l.segments[1].base <= c.end {
		l.segments[0].close()
		l.old = append(l.old, l.segments[0].base)
		l.segments = l.segments[1:]
	}
	return nil
}

// clean removes the oldest snapshots, and the log before the oldest that stays, while more is kept than the retention
// configuration asks for. The newest snapshot always stays.
func (l *metaLog) clean(retentionBytes, retentionMs, nowMs int64) error {
	kept, err := listCheckpoints(l.fs, l.dir)
	if err != nil {
		return err
	}
	for len(kept) > 1 {
		total, err := l.diskBytes(kept)
		if err != nil {
			return err
		}
		header, err := readCheckpointHeader(l.fs, filepath.Join(l.dir, kept[0].name()))
		tooOld := err == nil && retentionMs >= 0 && nowMs-header.lastContainedMs > retentionMs
		if !tooOld && (retentionBytes < 0 || total <= retentionBytes) {
			break
		}
		if err := l.fs.Remove(filepath.Join(l.dir, kept[0].name())); err != nil {
			return err
		}
		kept = kept[1:]
		for len(l.old) > 0 && l.nextBase() <= kept[0].end {
			if err := removeSegment(l.fs, l.dir, l.old[0]); err != nil {
				return err
			}
			l.old = l.old[1:]
		}
	}
	return l.fs.SyncDir(l.dir)
}

// nextBase is where the second oldest segment begins.
func (l *metaLog) nextBase() int64 {
	if len(l.old) > 1 {
		return l.old[1]
	}
	return l.segments[0].base
}

func (l *metaLog) diskBytes(kept []checkpoint) (total int64, err error) {
	names := make([]string, 0, len(kept)+len(l.old))
	for _, c := range kept {
		names = append(names, c.name())
	}
	for _, base := range l.old {
		names = append(names, segmentName(base, ".log"))
	}
	for _, name := range names {
		info, err := l.fs.Stat(filepath.Join(l.dir, name))
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	for _, s := range l.segments {
		total += s.size
	}
	return total, nil
}

func (l *metaLog) close() {
	for _, s := range l.segments {
		s.close()
	}
}
