package log

import (
	"fmt"
	"math"

	"gregor/internal/record"
)

// AppendLeader appends batches as the partition's leader: it gives them the next offsets and the leader epoch, in place,
// and writes them at once. records may be changed and is not kept. Batches of origin Client are checked fully; those
// made in this process are trusted.
//
// With flush.messages=1 readers see the batches from when they are on disk. That is when it returns, or, after OnFlushed,
// later: then AppendInfo.Pending is set.
//
// Errors: those of record.ValidateProduced, ErrTooLarge, ErrTooLargeForSegment, the producer errors
// (ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ...), ErrNoSpace, ErrDirOffline, ErrClosed. After an error nothing
// was appended, except after ErrDirOffline, when that is not known.
//
// That a transaction is open at its coordinator is not asked for: see AppendGuarded.
func (l *Log) AppendLeader(records []byte, leaderEpoch int32, origin Origin) (AppendInfo, error) {
	return l.appendLeader(records, leaderEpoch, terms{origin: origin, guard: Unverified})
}

// AppendGuarded is AppendLeader of batches that may be the first of a transaction. That needs the guard that
// StartVerification gave; 0 is enough for a transaction that is open. Error, too: ErrInvalidTxnState if the guard is not
// valid any more.
func (l *Log) AppendGuarded(records []byte, leaderEpoch int32, origin Origin, guard Guard) (AppendInfo, error) {
	return l.appendLeader(records, leaderEpoch, terms{origin: origin, guard: guard})
}

func (l *Log) appendLeader(records []byte, leaderEpoch int32, t terms) (AppendInfo, error) {
	cfg := l.config.Load()
	nowMs := l.now().UnixMilli()
	origin := t.origin
	if err := l.hasRoom(len(records), origin); err != nil {
		return AppendInfo{}, err
	}
	records, err := l.prepare(records, cfg, origin, nowMs)
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
	err = l.write(records, &info, cfg, t, nowMs)
	l.mu.Unlock()
	if err != nil {
		return AppendInfo{}, err
	}
	if cfg.LogAppendTime && origin != RaftLeader {
		info.LogAppendTimeMs = nowMs
	}
	return l.finishLeader(info, cfg)
}

// AppendFollower appends batches as the leader of the partition had them: offsets and epochs are kept. Errors:
// ErrUnexpectedOffset if they start below the end of the log, ErrCorrupt, ErrNoSpace, ErrDirOffline, ErrClosed.
func (l *Log) AppendFollower(records []byte) (AppendInfo, error) {
	if err := l.hasRoom(len(records), Replication); err != nil {
		return AppendInfo{}, err
	}
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
	err := l.write(records, &info, cfg, terms{origin: Replication}, nowMs)
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
	return l.finishLeader(info, cfg)
}

// finishLeader is finish, which does not wait if somebody else does.
func (l *Log) finishLeader(info AppendInfo, cfg *Config) (AppendInfo, error) {
	if cfg.FlushMessages != 1 || info.LastOffset < l.RecoveryPoint() || l.flush.told.Load() == nil {
		return l.finish(info, cfg)
	}
	info.Pending = true
	info.LogStartOffset = l.StartOffset()
	return info, l.flushSoon(info.LastOffset + 1)
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
func (l *Log) write(records []byte, info *AppendInfo, cfg *Config, t terms, nowMs int64) error {
	if len(records) > cfg.SegmentBytes {
		return fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrTooLargeForSegment, len(records), cfg.SegmentBytes)
	}
	if err := l.checkBatches(records, info, t); err != nil {
		return err
	}
	s, err := l.segmentFor(len(records), info, cfg, nowMs)
	if err != nil {
		return l.writeFailed(err)
	}
	position := s.written
	if err := s.allocate(cfg); err != nil {
		return l.writeFailed(err)
	}
	f, err := s.acquire()
	if err != nil {
		return l.writeFailed(err)
	}
	if err = s.zeroAhead(f, len(records), cfg); err == nil {
		_, err = f.WriteAt(records, position)
	}
	if err != nil {
		// Half a batch may be there. The next append goes over it; a crash before that finds a torn tail.
		f.Truncate(position)
		s.ahead = 0
		f.release()
		return l.writeFailed(err)
	}
	f.release()
	l.assignEpochs(records)
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
func (l *Log) checkBatches(records []byte, info *AppendInfo, t terms) error {
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
			if err := l.producers.check(b, mark, t, b.BaseOffset()); err != nil {
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

// assignEpochs notes the leader epochs of records that have been written, before they can be read. mu is held.
func (l *Log) assignEpochs(records []byte) {
	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if e := b.LeaderEpoch(); e > l.epochs.latest() {
			l.epochs.assign(e, b.BaseOffset())
		}
	}
}
