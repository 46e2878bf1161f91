package log

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gregor/internal/record"
)

// AppendLeader appends batches as the partition's leader: it gives them the next offsets and the leader epoch, in place,
// and writes them at once. records may be changed and is not kept. Batches of origin Client are checked fully; those
// made in this process are trusted.
//
// With flush.messages=1 it returns when the batches are on disk, and readers see them from then on.
//
// Errors: those of record.ValidateProduced, ErrTooLarge, ErrTooLargeForSegment, the producer errors
// (ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ...), ErrNoSpace, ErrDirOffline, ErrClosed. After an error nothing
// was appended, except after ErrDirOffline, when that is not known.
func (l *Log) AppendLeader(records []byte, leaderEpoch int32, origin Origin) (AppendInfo, error) {
	cfg := l.config.Load()
	nowMs := l.now().UnixMilli()
	records, err := prepare(records, cfg, origin, nowMs)
	if err != nil {
		return AppendInfo{}, err
	}

	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return AppendInfo{}, err
	}
	info := AppendInfo{FirstOffset: l.next, LogAppendTimeMs: -1}
	if dup, found := l.findDuplicate(records, origin); found {
		l.mu.Unlock()
		return l.answerDuplicate(info, dup)
	}
	offset := l.next
	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(leaderEpoch)
		offset = b.NextOffset()
	}
	err = l.write(records, &info, cfg, origin, nowMs)
	l.mu.Unlock()
	if err != nil {
		return AppendInfo{}, err
	}
	if cfg.LogAppendTime && origin != RaftLeader {
		info.LogAppendTimeMs = nowMs
	}
	return l.finish(info, cfg)
}

// AppendFollower appends batches as the leader of the partition had them: offsets and epochs are kept. Errors:
// ErrUnexpectedOffset if they start below the end of the log, ErrCorrupt, ErrNoSpace, ErrDirOffline, ErrClosed.
func (l *Log) AppendFollower(records []byte) (AppendInfo, error) {
	cfg := l.config.Load()
	nowMs := l.now().UnixMilli()
	first, last := int64(-1), int64(-1)
	for rest := records; len(rest) > 0; {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err != nil {
			return AppendInfo{}, err
		}
		if err := b.CheckCRC(); err != nil {
			return AppendInfo{}, err
		}
		if b.BaseOffset() <= last || b.LastOffsetDelta() < 0 {
			return AppendInfo{}, fmt.Errorf("%w: a batch from offset %d to %d follows offset %d", ErrCorrupt, b.BaseOffset(), b.LastOffset(), last)
		}
		if first < 0 {
			first = b.BaseOffset()
		}
		if last = b.LastOffset(); last-first > math.MaxInt32 {
			return l.appendInParts(records)
		}
	}
	if first < 0 {
		return AppendInfo{FirstOffset: -1, LastOffset: -1, LogAppendTimeMs: -1, MaxTimestampMs: -1, LogStartOffset: l.StartOffset()}, nil
	}

	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return AppendInfo{}, err
	}
	if first < l.next {
		defer l.mu.Unlock()
		return AppendInfo{}, fmt.Errorf("%w: batches from offset %d, the log %s ends at %d", ErrUnexpectedOffset, first, l.dir, l.next)
	}
	info := AppendInfo{FirstOffset: first, LogAppendTimeMs: -1}
	err := l.write(records, &info, cfg, Replication, nowMs)
	l.mu.Unlock()
	if err != nil {
		return AppendInfo{}, err
	}
	return l.finish(info, cfg)
}

// appendInParts appends batch by batch what compaction has stretched over more offsets than one segment can hold.
func (l *Log) appendInParts(records []byte) (AppendInfo, error) {
	all := AppendInfo{FirstOffset: -1, MaxTimestampMs: -1, LogAppendTimeMs: -1}
	for len(records) > 0 {
		b, rest, err := record.Next(records)
		if err != nil {
			return all, err
		}
		info, err := l.AppendFollower(b)
		if err != nil {
			return all, err
		}
		if all.FirstOffset < 0 {
			all.FirstOffset = info.FirstOffset
		}
		all.LastOffset, all.LogStartOffset = info.LastOffset, info.LogStartOffset
		all.MaxTimestampMs = max(all.MaxTimestampMs, info.MaxTimestampMs)
		all.Batches++
		records = rest
	}
	return all, nil
}

// prepare checks a leader's batches, stamps them, and compresses them again if the topic says so. It needs no lock.
func prepare(records []byte, cfg *Config, origin Origin, nowMs int64) ([]byte, error) {
	if origin == RaftLeader {
		return records, nil
	}
	rules := record.Rules{Compacted: cfg.CleanupCompact, LogAppendTime: cfg.LogAppendTime, NowMs: nowMs,
		BeforeMaxMs: cfg.TimestampBeforeMaxMs, AfterMaxMs: cfg.TimestampAfterMaxMs, MaxBytes: cfg.MaxMessageBytes}
	again := false
	n := 0
	for rest := records; len(rest) > 0; n++ {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err != nil {
			return nil, err
		}
		if origin == Client {
			if err := record.ValidateProduced(b, rules); err != nil {
				return nil, err
			}
		} else {
			if len(b) > cfg.MaxMessageBytes {
				return nil, fmt.Errorf("%w: the batch has %d bytes, max.message.bytes is %d", ErrTooLarge, len(b), cfg.MaxMessageBytes)
			}
			if cfg.LogAppendTime && !b.IsControl() {
				b.SetLogAppendTime(nowMs)
			}
		}
		again = again || cfg.recompresses(b)
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: no batch to append", ErrInvalidRecord)
	}
	if !again {
		return records, nil
	}
	return recompress(records, cfg)
}

// recompresses tells whether compression.type asks for another codec than the batch has.
func (c *Config) recompresses(b record.Batch) bool {
	return c.CompressionType != "producer" && c.CompressionType != "" && !b.IsControl() && c.codec() != b.Codec()
}

func (c *Config) codec() record.Codec {
	if c.CompressionType == "uncompressed" {
		return record.None
	}
	codec, err := record.ParseCodec(c.CompressionType)
	if err != nil {
		return record.None
	}
	return codec
}

func recompress(records []byte, cfg *Config) ([]byte, error) {
	out := make([]byte, 0, len(records))
	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if cfg.recompresses(b) {
			var err error
			if b, err = b.Recompress(cfg.codec(), cfg.CompressionLevel); err != nil {
				return nil, err
			}
			if len(b) > cfg.MaxMessageBytes {
				return nil, fmt.Errorf("%w: the batch has %d bytes as %s, max.message.bytes is %d", ErrTooLarge, len(b), cfg.CompressionType, cfg.MaxMessageBytes)
			}
		}
		out = append(out, b...)
	}
	return out, nil
}

// findDuplicate looks whether a client's only batch repeats one of its producer's last. mu is held.
func (l *Log) findDuplicate(records []byte, origin Origin) (producerBatch, bool) {
	if origin != Client {
		return producerBatch{}, false
	}
	b, _, err := record.Next(records)
	if err != nil || !b.HasProducerID() {
		return producerBatch{}, false
	}
	return l.producers.duplicate(b)
}

// answerDuplicate gives the offsets that the batch got the first time, once they are as durable as the caller may expect.
func (l *Log) answerDuplicate(info AppendInfo, dup producerBatch) (AppendInfo, error) {
	info.FirstOffset, info.LastOffset = dup.lastOffset-int64(dup.offsetDelta), dup.lastOffset
	info.MaxTimestampMs, info.Duplicate = dup.timestampMs, true
	cfg := l.config.Load()
	if cfg.LogAppendTime {
		info.LogAppendTimeMs = dup.timestampMs
	}
	return l.finish(info, cfg)
}

// finish flushes if flush.messages asks for it, without the lock.
func (l *Log) finish(info AppendInfo, cfg *Config) (AppendInfo, error) {
	if cfg.FlushMessages != math.MaxInt64 && info.LastOffset+1-l.RecoveryPoint() >= cfg.FlushMessages {
		if err := l.Flush(info.LastOffset + 1); err != nil {
			return AppendInfo{}, err
		}
	}
	info.LogStartOffset = l.StartOffset()
	return info, nil
}

// write appends batches that have their offsets. mu is held.
func (l *Log) write(records []byte, info *AppendInfo, cfg *Config, origin Origin, nowMs int64) error {
	if len(records) > cfg.SegmentBytes {
		return fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrTooLargeForSegment, len(records), cfg.SegmentBytes)
	}
	if err := l.checkBatches(records, info, origin); err != nil {
		return err
	}
	s, err := l.segmentFor(len(records), info, cfg, nowMs)
	if err != nil {
		return l.writeFailed(err)
	}
	if err := l.assignEpochs(records); err != nil {
		return l.writeFailed(err)
	}

	position := s.written
	f, err := s.acquire()
	if err != nil {
		return l.writeFailed(err)
	}
	if _, err := f.WriteAt(records, position); err != nil {
		// Half a batch may be there. The next append goes over it; a crash before that finds a torn tail.
		f.Truncate(position)
		f.release()
		return l.writeFailed(err)
	}
	f.release()
	s.written = position + int64(len(records))
	if position == 0 {
		s.firstTs = info.MaxTimestampMs
	}
	l.next = info.LastOffset + 1

	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		s.note(b, len(b), position, cfg.IndexIntervalBytes)
		position += int64(len(b))
	}
	err = l.producers.commit(l.next, func(txn completedTxn, lastStableOffset int64) error {
		return l.indexAborted(s, txn, lastStableOffset)
	})
	if err != nil {
		// The batches are written, but readers of committed records could not tell which are aborted.
		l.Fail(err)
		return l.Err()
	}
	l.publishTxns()
	if cfg.FlushMessages > 1 {
		s.size.Store(s.written)
		l.end.Store(l.next)
	}
	return nil
}

func (l *Log) indexAborted(s *segment, txn completedTxn, lastStableOffset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.txn.list) == 0 {
		l.flush.dirty.Store(true)
	}
	return s.txn.add(l.fs, s.path(txnIndexSuffix), s.base, AbortedTxn{ProducerID: txn.producerID, FirstOffset: txn.firstOffset,
		LastOffset: txn.lastOffset, LastStableOffset: lastStableOffset})
}

// checkBatches checks producers and sums the batches up. mu is held.
func (l *Log) checkBatches(records []byte, info *AppendInfo, origin Origin) error {
	l.producers.begin()
	info.MaxTimestampMs = -1
	for rest := records; len(rest) > 0; info.Batches++ {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err != nil {
			return err
		}
		info.LastOffset = b.LastOffset()
		info.MaxTimestampMs = max(info.MaxTimestampMs, b.MaxTimestamp())
		if b.HasProducerID() {
			mark, err := markerOf(b)
			if err != nil {
				return err
			}
			if err := l.producers.check(b, mark, origin, b.BaseOffset()); err != nil {
				return err
			}
		}
	}
	return nil
}

// markerOf reads the marker of a control batch; nil for a batch of data.
func markerOf(b record.Batch) (*marker, error) {
	if !b.IsControl() {
		return nil, nil
	}
	m, ok, err := readMarker(b)
	if err != nil || !ok {
		return nil, err
	}
	return &m, nil
}

// assignEpochs notes new leader epochs before their records are written. mu is held.
func (l *Log) assignEpochs(records []byte) error {
	list := l.epochs.entries()
	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if e := b.LeaderEpoch(); len(list) == 0 || e > list[len(list)-1].epoch {
			list = withEpoch(list, e, b.BaseOffset())
		}
	}
	return l.epochs.store(list)
}

// segmentFor gives the segment for an append, a new one if the active is full. mu is held.
func (l *Log) segmentFor(size int, info *AppendInfo, cfg *Config, nowMs int64) (*segment, error) {
	s := l.active()
	switch {
	case !s.fits(info.LastOffset):
	case s.written == 0:
		return s, nil
	case s.written > int64(cfg.SegmentBytes-size):
	case l.waited(s, info.MaxTimestampMs, nowMs) > cfg.SegmentMs-s.jitterMs:
	case s.full(cfg):
	default:
		return s, nil
	}
	return l.roll(max(info.FirstOffset, l.next))
}

// waited is the age of a segment: by the timestamps if it has some, so that a log which is copied quickly is rolled as
// the original was; else by the clock.
func (l *Log) waited(s *segment, maxTimestampMs, nowMs int64) int64 {
	if s.firstTs >= 0 && maxTimestampMs >= 0 {
		return maxTimestampMs - s.firstTs
	}
	return nowMs - s.createdMs
}

func (s *segment) full(cfg *Config) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idx.full(cfg.SegmentIndexBytes) || s.tidx.full(cfg.SegmentIndexBytes)
}

// Roll starts a new segment at the end of the log, unless the active one is empty.
func (l *Log) Roll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.active().written == 0 {
		return nil
	}
	_, err := l.roll(l.next)
	return l.writeFailed(err)
}

// roll seals the active segment and starts one at base. If that fails the old one stays the active one. mu is held.
func (l *Log) roll(base int64) (*segment, error) {
	cfg, old := l.config.Load(), l.active()
	list := *l.segments.Load()
	if old.base == base {
		return nil, fmt.Errorf("%w: segment %d of %s is to be rolled at its own base", errBroken, base, l.dir)
	}
	s, err := createSegment(l.fs, l.dir, base, cfg, l.now())
	if err != nil {
		return nil, err
	}
	s.jitterMs = jitter(cfg)
	l.flush.dirty.Store(true)
	if err := l.sealForRoll(old, base, cfg); err != nil {
		s.markDeletedNow()
		return nil, err
	}
	l.setSegments(append(list[:len(list):len(list)], s))
	l.slog.Debug("rolled", "segment", base)
	if l.o.Flusher != nil {
		l.o.Flusher(l, base)
	}
	return s, nil
}

func (l *Log) sealForRoll(old *segment, base int64, cfg *Config) error {
	if cfg.Preallocate {
		if err := l.trimActive(); err != nil {
			return err
		}
	}
	if err := old.seal(); err != nil {
		return err
	}
	if l.flush.point.Load() >= base {
		// A recovery point at or above a segment's base says that the segments before are on disk with their indexes. This
		// one's records are, as always with flush.messages=1; now its indexes.
		if err := old.sync(true); err != nil {
			return l.syncFailed(err)
		}
		old.flushed = true
	}
	l.producers.end = base
	return l.takeSnapshot(base)
}

// jitter is what is taken off segment.ms of one segment.
func jitter(cfg *Config) int64 {
	if cfg.SegmentJitterMs <= 0 {
		return 0
	}
	return rand.Int64N(min(cfg.SegmentJitterMs, cfg.SegmentMs) + 1)
}

// takeSnapshot writes the producers' state at an offset, unless the file is there. It is synced by the next flush. mu
// is held.
func (l *Log) takeSnapshot(offset int64) error {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] >= offset || offset <= l.start.Load() && n == 0 {
		return nil
	}
	path := segmentPath(l.dir, offset, snapshotSuffix)
	if err := writeFile(l.fs, path, encodeSnapshot(l.producers.snapshot()), false); err != nil {
		removeFile(l.fs, path)
		return err
	}
	l.flush.dirty.Store(true)
	l.snapshots = append(l.snapshots, offset)
	l.unsyncedSnapshots = append(l.unsyncedSnapshots, offset)
	return nil
}
