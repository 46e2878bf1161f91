package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gregor/internal/log/cleaner"
	"gregor/internal/record"
)

// This file chooses what of a log is compacted, and compacts it.
//
// A log has a clean part, where each key occurs once, and a dirty one from compaction.upTo on. A cleaning makes a map of the
// keys of the dirty part, as far as they fit, and copies the segments from the log's start to the map's end without the
// records that are superseded. It works on sealed segments only, with no lock held: appends and reads do not notice. See
// cleanSwap for how the copies take their place.

// dirtiness is what a cleaning of a log would do.
type dirtiness struct {
	from, to  int64 // the dirty part that may be cleaned
	clean     int64 // bytes before it
	cleanable int64 // bytes in it
	overdue   bool  // it holds records older than max.compaction.lag.ms

	truncations int // of the log when it was looked at
}

func (d dirtiness) ratio() float64 {
	if d.cleanable == 0 {
		return 0
	}
	return float64(d.cleanable) / float64(d.clean+d.cleanable)
}

// due tells whether the log should be cleaned.
func (d dirtiness) due(cfg *Config) bool {
	return d.cleanable > 0 && (d.overdue || d.ratio() > cfg.MinCleanableRatio)
}

// dirtiness looks at the segments, and at their timestamps if the configuration has a lag.
func (l *Log) dirtiness(cfg *Config, now time.Time) (d dirtiness, err error) {
	l.mu.Lock()
	list := *l.segments.Load()
	d.truncations = l.truncations
	l.mu.Unlock()
	d.from = l.compaction.upTo.Load()
	if start := l.start.Load(); d.from < start || d.from > l.end.Load() {
		d.from = start
	}
	d.from = max(d.from, list[0].base)
	first := floor(list, d.from)
	// Nothing is touched that is active, that is not committed, that belongs to an open transaction or stands behind the
	// first record of one, or that is too young.
	last := min(len(list)-1, max(floor(list, l.LastStableOffset()), first))
	if lag := cfg.MinCompactionLagMs; lag > 0 {
		for i := first; i < last; i++ {
			ts, err := list[i].largestTimestamp()
			if err != nil {
				return d, err
			}
			if ts > now.UnixMilli()-lag {
				last = i
			}
		}
	}
	d.to = list[last].base
	for i, s := range list[:last] {
		if i < first {
			d.clean += s.size.Load()
		} else {
			d.cleanable += s.size.Load()
		}
	}
	if d.to <= d.from {
		d.cleanable = 0
	}
	if lag := cfg.MaxCompactionLagMs; d.cleanable > 0 && lag > 0 && lag <= now.UnixMilli() {
		d.overdue, err = l.olderThan(list[first:last], now.UnixMilli()-lag)
	}
	return d, err
}

// olderThan looks for a segment that begins with a record from before a time.
func (l *Log) olderThan(list []*segment, ms int64) (bool, error) {
	for _, s := range list {
		ts, err := s.firstTimestamp()
		if err != nil {
			return false, err
		}
		if ts > 0 && ts < ms {
			return true, nil
		}
	}
	return false, nil
}

// firstTimestamp is the largest timestamp of a sealed segment's first batch; -1 if there is none.
func (s *segment) firstTimestamp() (int64, error) {
	if s.size.Load() == 0 {
		return -1, nil
	}
	f, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer f.release()
	w := newWalker(f, lookChunk)
	defer w.close()
	b, _, err := w.header(0, s.size.Load())
	if err != nil {
		return 0, corruptBatch(s, err)
	}
	return b.MaxTimestamp(), nil
}

// cleanOptions are how a cleaning is done.
type cleanOptions struct {
	mapBytes   int64 // for the offset map
	loadFactor float64
	chunk      int               // bytes that are written at once
	throttle   *cleaner.Throttle // nil: none
}

// cleaned tells what a cleaning did.
type cleaned struct {
	from, to    int64 // the dirty part that is clean now
	bytesBefore int64 // of the segments that were copied
	bytesAfter  int64
	mapBytes    int64
	cleaner.Stats
}

var (
	// errCleanStopped: the log was truncated or closed while it was cleaned. What was done until then stands.
	errCleanStopped = errors.New("log changed during its compaction")

	// errMapTooSmall: not even one batch fits the offset map.
	errMapTooSmall = errors.New("one batch has more keys than the offset map takes; raise log.cleaner.dedupe.buffer.size")
)

// clean compacts the log up to d.to, or as far as the keys fit the offset map. Errors: errCleanStopped, that of ctx,
// ErrNoSpace, ErrDirOffline; ErrCorrupt and the like if a segment cannot be read, which is left as it is.
func (l *Log) clean(ctx context.Context, d dirtiness, o cleanOptions) (cleaned, error) {
	c := cleaning{l: l, ctx: ctx, o: o, cfg: l.config.Load(), now: l.now(), done: cleaned{from: d.from, to: d.from}}
	l.mu.Lock()
	c.truncations = l.truncations
	err := l.usable()
	if err == nil && c.truncations != d.truncations {
		err = errCleanStopped
	}
	l.mu.Unlock()
	if err != nil {
		return c.done, err
	}
	err = c.run(d)
	switch {
	case err == nil:
	case errors.Is(err, errGone), errors.Is(err, errCleanStopped), c.stopped():
		err = errCleanStopped
	case isNoSpace(err) || isDiskFailure(err):
		err = l.writeFailed(err)
	}
	return c.done, err
}

// cleaning is one cleaning of a log.
type cleaning struct {
	l           *Log
	ctx         context.Context
	o           cleanOptions
	cfg         *Config
	now         time.Time
	truncations int
	done        cleaned
}

// stopped tells whether what was read may not have been what is there.
func (c *cleaning) stopped() bool {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.l.closed || c.l.truncations != c.truncations || c.l.Err() != nil
}

func (c *cleaning) run(d dirtiness) error {
	// A record must not go before the one that supersedes it is on disk; the two may lie in different groups.
	if err := c.l.Flush(d.to); err != nil {
		return err
	}
	keys, err := c.keys(d.from, d.to)
	if err != nil {
		return err
	}
	end := keys.LastOffset() + 1
	if end <= d.from {
		return fmt.Errorf("%w: %s at offset %d", errMapTooSmall, c.l.dir, d.from)
	}
	c.done.mapBytes = keys.Bytes()
	f := &cleaner.Filter{Map: keys, Transactions: cleaner.NewTransactions(), NowMs: c.now.UnixMilli(),
		DeleteRetentionMs: c.cfg.DeleteRetentionMs}
	defer func() { c.done.Stats = f.Stats }()
	for _, group := range c.groups(end) {
		if err := c.group(group, f); err != nil {
			return err
		}
	}
	c.done.to = end
	c.l.compaction.upTo.Store(end)
	return nil
}

// keys makes the map of the dirty part.
func (c *cleaning) keys(from, to int64) (*cleaner.OffsetMap, error) {
	keys := cleaner.NewOffsetMap(to-from, c.o.mapBytes, c.o.loadFactor)
	txns := cleaner.NewTransactions()
	list := *c.l.segments.Load()
	aborted, err := c.l.abortedIn(list, from, to, true)
	if err != nil {
		return nil, err
	}
	txns.Add(abortedForCleaner(aborted))
	for i := max(floor(list, from), 0); i < len(list)-1 && list[i].base < to; i++ {
		full, err := c.addKeys(keys, txns, list[i], from)
		if full || err != nil {
			return keys, err
		}
		keys.Cover(list[i+1].base - 1) // the segment may end before the next begins
	}
	return keys, nil
}

// addKeys puts the keys of a segment into the map; full says that there is no place for more, and the map covers the
// batches before.
func (c *cleaning) addKeys(keys *cleaner.OffsetMap, txns *cleaner.Transactions, s *segment, from int64) (full bool, err error) {
	err = c.walk(s, from, func(b record.Batch) error {
		if b.IsControl() {
			if _, err := txns.Ended(b); err != nil {
				return err
			}
		} else if !txns.RolledBack(b) {
			for r, err := range b.Records() {
				if err != nil {
					return err
				}
				if r.Key != nil && r.Offset >= from && !keys.Put(r.Key, r.Offset) {
					full = true
					return io.EOF
				}
			}
		}
		keys.Cover(b.LastOffset())
		return nil
	})
	if err == io.EOF {
		err = nil
	}
	return full, err
}

func abortedForCleaner(list []AbortedTxn) []cleaner.Aborted {
	out := make([]cleaner.Aborted, len(list))
	for i, t := range list {
		out[i] = cleaner.Aborted(t)
	}
	return out
}

// groups puts neighbouring segments below an offset together that fit one, so that small remains become large segments
// again.
func (c *cleaning) groups(end int64) [][]*segment {
	list := *c.l.segments.Load()
	sealed := list[:len(list)-1]
	var groups [][]*segment
	var group []*segment
	var size, entries int64
	for i, s := range sealed {
		if s.base >= end {
			break
		}
		next := list[i+1].base
		bytes := s.size.Load()
		n := s.indexEntries()
		if len(group) > 0 && (size+bytes > int64(c.cfg.SegmentBytes) || (entries+n)*timeEntrySize > int64(c.cfg.SegmentIndexBytes) || !group[0].fits(next-1)) {
			groups = append(groups, group)
			group, size, entries = nil, 0, 0
		}
		group = append(group, s)
		size += bytes
		entries += n
	}
	if len(group) > 0 {
		groups = append(groups, group)
	}
	return groups
}

// indexEntries estimates the entries that the segment's larger index has.
func (s *segment) indexEntries() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return int64(max(len(s.idx.entries), len(s.tidx.entries)))
	}
	return s.size.Load()/int64(max(s.interval, 1)) + 1
}
