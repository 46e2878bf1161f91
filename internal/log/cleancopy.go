package log

import (
	"errors"
	"fmt"
	"math"

	"gregor/internal/log/cleaner"
	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// throttleChunk is after how many bytes read the cleaner looks whether it has to wait or to end.
const throttleChunk = 64 << 10

// walk gives the batches of a sealed segment that reach to an offset or beyond, checked. An error of do ends it.
func (c *cleaning) walk(s *segment, from int64, do func(record.Batch) error) error {
	s.mu.Lock()
	err := s.load()
	var f *segmentFile
	if err == nil {
		f, err = s.acquireLocked()
	}
	position := s.idx.lookup(from - s.base)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer f.release()
	w := newWalker(f, walkChunk)
	defer w.close()
	unpaid := 0
	for limit := s.size.Load(); position < limit; {
		b, err := w.batch(position, limit)
		if err == nil {
			err = b.CheckCRC()
		}
		if err != nil {
			return corruptBatch(s, err)
		}
		if unpaid += len(b); unpaid >= throttleChunk {
			if err := c.pay(unpaid); err != nil {
				return err
			}
			unpaid = 0
		}
		position += int64(len(b))
		if b.LastOffset() < from {
			continue
		}
		if err := do(b); err != nil {
			return corruptBatch(s, err)
		}
	}
	return c.pay(unpaid)
}

// pay waits for n bytes to be within the rate. Error: that of the context.
func (c *cleaning) pay(n int) error { return c.o.throttle.Wait(c.ctx, n) }

// group copies a group of segments and puts the copy in their place. If retention has taken one of them meanwhile the
// group stays as it is.
func (c *cleaning) group(group []*segment, f *cleaner.Filter) error {
	if c.stopped() {
		return errCleanStopped
	}
	w, err := c.create(group[0].base)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			w.abandon()
		}
	}()
	before := int64(0)
	for _, s := range group {
		before += s.size.Load()
		if err := c.copy(s, f, w); errors.Is(err, errNotOfLog) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := w.finish(f.Transactions.Kept()); err != nil {
		return err
	}
	done, err = c.l.cleanSwap(group, w.s, c.truncations)
	if err != nil || !done {
		return err
	}
	c.done.bytesBefore += before
	c.done.bytesAfter += w.s.written
	return nil
}

// copy writes what is left of a segment.
func (c *cleaning) copy(s *segment, f *cleaner.Filter, w *cleanWriter) error {
	list := *c.l.segments.Load()
	at := floor(list, s.base)
	if at < 0 || list[at] != s || at+1 >= len(list) {
		return errNotOfLog
	}
	aborted, err := c.l.abortedIn(list[at:], s.base, list[at+1].base, true)
	if err != nil {
		return err
	}
	f.Transactions.Add(abortedForCleaner(aborted))
	f.Producers = c.l.activeProducers()
	return c.walk(s, s.base, func(b record.Batch) error {
		w.source = append(w.source[:0], b[:record.HeaderSize]...)
		rest, err := f.Batch(b)
		if err != nil || rest == nil {
			return err
		}
		return w.add(rest)
	})
}

// errNotOfLog: retention took a segment that was to be copied.
var errNotOfLog = errors.New("segment is not of the log any more")

// activeProducers lists the producers whose last batch is to be kept.
func (l *Log) activeProducers() map[int64]cleaner.Producer {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := make(map[int64]cleaner.Producer, len(l.producers.byID))
	for id, p := range l.producers.byID {
		last := cleaner.Producer{Epoch: p.epoch, LastOffset: -1}
		if p.n > 0 {
			last.LastOffset = p.batches[p.n-1].lastOffset
		}
		m[id] = last
	}
	return m
}

// cleanWriter writes a segment that is to replace others, with the suffix .cleaned.
type cleanWriter struct {
	c   *cleaning
	s   *segment
	f   vfs.File
	buf []byte
	at  int64 // position of buf

	source record.Batch // header of the last batch that was read
	next   int64        // the offset after the last batch that was written
}

func (c *cleaning) create(base int64) (*cleanWriter, error) {
	s := newSegment(c.l.fs, c.l.o.files, c.l.dir, base, c.cfg)
	s.swapping.Store(swapCleaned)
	f, err := c.l.fs.Create(s.path(logSuffix))
	if err != nil {
		return nil, err
	}
	s.loaded, s.txn.loaded, s.txn.verified, s.used = true, true, true, true
	s.createdMs = c.now.UnixMilli()
	return &cleanWriter{c: c, s: s, f: f}, nil
}

func (w *cleanWriter) add(b record.Batch) error {
	position := w.at + int64(len(w.buf))
	if position+int64(len(b)) > math.MaxInt32 {
		return fmt.Errorf("%w: compacted, segment %d of %s would have more than %d bytes", errBroken, w.s.base, w.c.l.dir, math.MaxInt32)
	}
	if position == 0 {
		w.s.firstTs = b.MaxTimestamp()
	}
	w.s.note(b, len(b), position, w.s.interval)
	w.buf = append(w.buf, b...)
	w.next = b.NextOffset()
	if len(w.buf) < w.c.o.chunk {
		return nil
	}
	return w.flush()
}

func (w *cleanWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.f.WriteAt(w.buf, w.at); err != nil {
		return err
	}
	n := len(w.buf)
	w.at += int64(n)
	w.buf = w.buf[:0]
	return w.c.pay(n)
}

// finish makes the segment and its indexes durable under their .cleaned names.
//
// The segment always reaches as far as those that it is made of, if need be with an empty batch. So a start that finds it
// knows which segments it replaces.
func (w *cleanWriter) finish(aborted []cleaner.Aborted) error {
	if len(w.source) > 0 && w.next < w.source.NextOffset() {
		if err := w.add(w.source.Placeholder()); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	s := w.s
	s.written = w.at
	s.size.Store(w.at)
	s.flushed = true
	s.tidx.add(s.maxTs.timestampMs, s.maxTs.offset)
	if err := s.writeIndexes(int64(len(s.idx.entries))*offsetEntrySize, int64(len(s.tidx.entries))*timeEntrySize, true); err != nil {
		return err
	}
	var list []byte
	for _, a := range aborted {
		t := AbortedTxn(a)
		s.txn.list = append(s.txn.list, t)
		list = t.AppendTo(list)
	}
	if len(list) > 0 {
		if err := vfs.WriteFile(s.fs, s.path(txnIndexSuffix), list, true); err != nil {
			return err
		}
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	w.f = nil
	return s.fs.SyncDir(s.dir)
}

// abandon removes what was written. Those that are .swap already go first: without a .cleaned file beside them a start
// would take them for good.
func (w *cleanWriter) abandon() {
	if w.f != nil {
		w.f.Close()
	}
	s := w.s
	remove := func(state int32) (err error) {
		s.swapping.Store(state)
		for _, suffix := range [...]string{indexSuffix, timeIndexSuffix, txnIndexSuffix, logSuffix} {
			err = errors.Join(err, removeFile(s.fs, s.path(suffix)))
		}
		return err
	}
	var err error
	if s.swapping.Load() == swapAll {
		if err = remove(swapAll); err == nil {
			err = s.fs.SyncDir(s.dir)
		}
	}
	if err == nil {
		err = remove(swapCleaned)
	}
	if err != nil {
		w.c.l.slog.Warn("files of an unfinished compaction were not removed, the next start does it", "dir", s.dir, "error", err)
	}
}
