package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// Severity is what a Finding means for who owns the records.
type Severity int8

const (
	// Lost: records that were on disk cannot be read. The broker refuses them and says so; another replica may have them.
	Lost Severity = iota
	// Cut: a crash left the end of a log half written. It was never acknowledged as flushed, and the next start cuts it off.
	Cut
	// Remade: a file that only repeats what the records say. The next start, or the next use, makes it anew.
	Remade
)

func (s Severity) String() string {
	switch s {
	case Lost:
		return "damaged"
	case Cut:
		return "torn"
	}
	return "remade"
}

// Finding is something that is wrong with a file of a log directory.
type Finding struct {
	Severity  Severity
	Topic     string // empty: a file of the directory itself
	Partition int32
	File      string
	Position  int64 // in the file, in bytes; -1 where it says nothing
	Offset    int64 // of the first record that is concerned; -1 where it says nothing
	Problem   string
}

// Checked counts what was looked at.
type Checked struct {
	Partitions, Segments int
	Batches, Bytes       int64
}

// Add counts what was looked at elsewhere.
func (c *Checked) Add(o Checked) {
	c.Partitions += o.Partitions
	c.Segments += o.Segments
	c.Batches += o.Batches
	c.Bytes += o.Bytes
}

// Check reads every file of a log directory that nobody uses and tells found, from one goroutine at a time, what is wrong.
// It changes nothing. Of the records it checks the batches' checksums, sizes and offsets; what they hold only their readers
// know. workers partitions are read side by side. Errors: a *vfs.LockedError if a process uses the directory, or one of
// reading.
func Check(ctx context.Context, fsys vfs.FS, dir string, workers int, found func(Finding)) (Checked, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return Checked{}, err
	}
	if exists(fsys, filepath.Join(dir, lockFile)) {
		lock, err := fsys.Lock(filepath.Join(dir, lockFile))
		if err != nil && !errors.Is(err, fs.ErrPermission) { // what may not be changed may be read
			return Checked{}, err
		}
		if err == nil {
			defer lock.Close()
		}
	}
	var mu sync.Mutex
	c := checker{fs: fsys, dir: dir, found: func(f Finding) {
		mu.Lock()
		defer mu.Unlock()
		found(f)
	}}
	if err := c.own(names); err != nil {
		return Checked{}, err
	}
	var (
		wg    sync.WaitGroup
		todo  = make(chan string)
		total Checked
		fail  error
	)
	for range max(1, workers) {
		wg.Go(func() {
			for name := range todo {
				sum, err := c.partition(ctx, name)
				mu.Lock()
				total.Add(sum)
				fail = errors.Join(fail, err)
				mu.Unlock()
			}
		})
	}
	for _, e := range names {
		if _, _, ok := partitionOf(e.Name()); ok && e.IsDir() {
			todo <- e.Name()
		}
	}
	close(todo)
	wg.Wait()
	return total, fail
}

// partitionOf takes a partition's directory apart, a future replica's too. Those that are going to be deleted are none.
func partitionOf(name string) (topic string, partition int32, ok bool) {
	if strings.HasSuffix(name, deleteDirSuffix) {
		return "", 0, false
	}
	for _, suffix := range [...]string{futureDirSuffix, strayDirSuffix} {
		if strings.HasSuffix(name, suffix) {
			name = name[:max(0, strings.LastIndexByte(name, '.'))]
		}
	}
	return ParsePartitionDirName(name)
}

type checker struct {
	fs       vfs.FS
	dir      string
	found    func(Finding)
	recovery offsetCheckpoint
	clean    bool // the directory was closed: nothing in it may be torn
}

// own checks the directory's own files.
func (c *checker) own(names []fs.DirEntry) error {
	for _, e := range names {
		path := filepath.Join(c.dir, e.Name())
		var check func([]byte) error
		severity := Remade
		switch e.Name() {
		case metaPropertiesFile:
			severity = Lost
			check = func(b []byte) error { _, err := decodeMetaProperties(path, b); return err }
		case recoveryPointCheckpointFile:
			check = func(b []byte) (err error) { c.recovery, err = decodeOffsetCheckpoint(path, b); return err }
		case logStartCheckpointFile, highWatermarkCheckpointFile, cleanerCheckpointFile:
			check = func(b []byte) error { _, err := decodeOffsetCheckpoint(path, b); return err }
		case cleanShutdownFile:
			c.clean = true
			continue
		default:
			continue
		}
		if err := c.file(path, severity, Finding{}, check); err != nil {
			return err
		}
	}
	return nil
}

// file reads a small file and reports what check says of it.
func (c *checker) file(path string, severity Severity, where Finding, check func([]byte) error) error {
	b, err := readFile(c.fs, path)
	if err != nil {
		return err
	}
	if err := check(b); err != nil {
		where.Severity, where.File, where.Position, where.Offset, where.Problem = severity, path, -1, -1, problem(path, err)
		c.found(where)
	}
	return nil
}

// problem is an error's text without the path, which a Finding has already.
func problem(path string, err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), ErrCorrupt.Error()+": "), path+": ")
}

// partition checks one partition's directory.
func (c *checker) partition(ctx context.Context, name string) (Checked, error) {
	dir := filepath.Join(c.dir, name)
	names, err := c.fs.ReadDir(dir)
	if err != nil {
		return Checked{}, err
	}
	topic, partition, _ := partitionOf(name)
	p := partitionCheck{checker: c, dir: dir, sum: Checked{Partitions: 1},
		where: Finding{Topic: topic, Partition: partition}, recovery: c.recovery[partitionKey{topic, partition}]}
	files := map[string]bool{}
	for _, e := range names {
		files[e.Name()] = true
		if base, suffix, ok := parseSegmentName(e.Name()); ok && suffix == logSuffix {
			p.bases = append(p.bases, base)
		}
	}
	slices.Sort(p.bases)
	for i, base := range p.bases {
		if err := p.segment(ctx, i, base, files); err != nil {
			return p.sum, err
		}
	}
	return p.sum, p.others(ctx, names)
}

type partitionCheck struct {
	*checker
	dir      string
	where    Finding
	bases    []int64
	recovery int64
	next     int64 // the offset that the next batch has at least
	torn     bool  // the log ends before the segments that are left
	sum      Checked
}

func (p *partitionCheck) report(s Severity, path string, position, offset int64, text string) {
	f := p.where
	f.Severity, f.File, f.Position, f.Offset, f.Problem = s, path, position, offset, text
	p.found(f)
}

// segment walks the i-th segment and compares its indexes with it.
func (p *partitionCheck) segment(ctx context.Context, i int, base int64, files map[string]bool) error {
	path := segmentPath(p.dir, base, logSuffix)
	f, err := p.fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	p.sum.Segments++
	if base < p.next && !p.torn {
		p.report(Lost, path, 0, base, fmt.Sprintf("the segment starts at offset %d, the one before reaches to %d", base, p.next-1))
	}
	p.next = max(p.next, base)
	ends := map[int32]int32{} // position of each batch, by its last offset, relative to base
	pos, bad, err := p.walk(ctx, f, size, func(b record.Batch, pos int64) error {
		if b.BaseOffset() < p.next || b.LastOffsetDelta() < 0 || b.LastOffset()-base > 1<<31-1 {
			return fmt.Errorf("%w: offsets %d to %d after offset %d", ErrCorrupt, b.BaseOffset(), b.LastOffset(), p.next-1)
		}
		ends[int32(b.LastOffset()-base)] = int32(pos)
		p.next = b.NextOffset()
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bad != nil {
		p.bad(f, path, i, pos, size, bad)
	}
	return p.indexes(base, pos, ends, files)
}

// walk checks the batches of a file up to the first bad one, and counts them. do says what else is wrong with a batch.
func (p *partitionCheck) walk(ctx context.Context, f vfs.File, size int64, do func(b record.Batch, pos int64) error) (pos int64, bad, err error) {
	w := newWalker(f, walkChunk)
	defer w.close()
	for pos < size {
		if err := ctx.Err(); err != nil {
			return pos, nil, err
		}
		b, err := w.batch(pos, size)
		if err == nil {
			err = b.CheckCRC()
		}
		if err == nil {
			err = do(b, pos)
		}
		if isBadBatch(err) {
			return pos, err, nil
		}
		if err != nil {
			return pos, nil, err
		}
		pos += int64(len(b))
		p.sum.Batches++
		p.sum.Bytes += int64(len(b))
	}
	return pos, nil, nil
}

// bad reports a batch that cannot be read: as a torn tail if it is where a crash may leave one, else as damage.
func (p *partitionCheck) bad(f vfs.File, path string, i int, pos, size int64, cause error) {
	if !p.clean && p.next >= p.recovery && p.last(i) && zeroed(f, pos, size) {
		return // zeroAhead, or preallocate
	}
	text := problem(path, cause)
	severity := Lost
	switch _, offset, behind := findBatch(f, pos+1, size, p.next, p.bases[i]); {
	case behind:
		text += fmt.Sprintf("; intact records follow from offset %d", offset)
	case p.clean || p.next < p.recovery || !p.last(i):
	default:
		severity, p.torn = Cut, true
	}
	p.report(severity, path, pos, p.next, text)
}

// last tells that nothing was written behind the i-th segment.
func (p *partitionCheck) last(i int) bool {
	for _, base := range p.bases[i+1:] {
		if info, err := p.fs.Stat(segmentPath(p.dir, base, logSuffix)); err != nil || info.Size() > 0 {
			return false
		}
	}
	return true
}

// indexes compares a segment's indexes with its intact batches, which end at a position.
func (p *partitionCheck) indexes(base, size int64, ends map[int32]int32, files map[string]bool) error {
	kinds := map[string]func(path string, b []byte) error{
		indexSuffix: func(path string, b []byte) error {
			x, err := decodeOffsetIndex(path, b, size)
			for _, e := range x.entries {
				if at, ok := ends[e.offset]; !ok || at != e.position {
					return corrupt(path, "entry %v: no batch there ends at that offset", e)
				}
			}
			return err
		},
		timeIndexSuffix: func(path string, b []byte) error {
			x, err := decodeTimeIndex(path, b)
			for _, e := range x.entries {
				if base+int64(e.offset) >= p.next {
					return corrupt(path, "entry %v lies behind the segment's end, offset %d", e, p.next)
				}
			}
			return err
		},
		txnIndexSuffix: func(path string, b []byte) error {
			_, err := decodeTxnIndex(path, b, base)
			return err
		},
	}
	for suffix, check := range kinds {
		path := segmentPath(p.dir, base, suffix)
		if !files[filepath.Base(path)] {
			continue
		}
		if err := p.file(path, Remade, p.where, func(b []byte) error { return check(path, b) }); err != nil {
			return err
		}
	}
	return nil
}

// others checks the files that belong to no segment.
func (p *partitionCheck) others(ctx context.Context, names []fs.DirEntry) error {
	for _, e := range names {
		path := filepath.Join(p.dir, e.Name())
		base, suffix, ok := parseSegmentName(e.Name())
		var check func([]byte) error
		severity := Remade
		switch {
		case ok && suffix == snapshotSuffix:
			check = func(b []byte) error { _, err := decodeSnapshot(path, b); return err }
		case ok && suffix != logSuffix && isSegmentSuffix(suffix) && !slices.Contains(p.bases, base):
			check = func([]byte) error { return corrupt(path, "there is no segment that it belongs to") }
		case strings.HasSuffix(e.Name(), ".checkpoint") && p.where.Topic+"-0" == metadataTopicDir:
			if err := p.snapshotOfMetadata(ctx, path); err != nil {
				return err
			}
			continue
		case e.Name() == epochCheckpointFile:
			severity = Lost
			check = func(b []byte) error { _, err := decodeEpochCheckpoint(path, b); return err }
		case e.Name() == partitionMetadataFile:
			severity = Lost
			check = func(b []byte) error { _, err := decodePartitionMetadata(path, b); return err }
		default:
			continue
		}
		if err := p.file(path, severity, p.where, check); err != nil {
			return err
		}
	}
	return nil
}

// snapshotOfMetadata checks the batches of a snapshot of the metadata log.
func (p *partitionCheck) snapshotOfMetadata(ctx context.Context, path string) error {
	f, err := p.fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	pos, bad, err := p.walk(ctx, f, size, func(record.Batch, int64) error { return nil })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bad != nil {
		p.report(Lost, path, pos, -1, problem(path, bad))
	}
	return nil
}
