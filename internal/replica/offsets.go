package replica

import (
	"gregor/internal/log"
)

// Timestamps of ListOffsets that are not times.
const (
	LatestTimestamp        int64 = -1 // the high watermark, or the last stable offset for read_committed
	EarliestTimestamp      int64 = -2
	MaxTimestamp           int64 = -3 // KIP-734
	EarliestLocalTimestamp int64 = -4 // KIP-405
	LatestTieredTimestamp  int64 = -5 // KIP-1005; -1 while nothing is tiered
	EarliestPendingUpload  int64 = -6 // KIP-1023; -1 while nothing is tiered
)

// Isolation is up to where an offset lookup sees.
type Isolation int8

// The isolations.
const (
	ReadUncommitted Isolation = iota // high watermark
	ReadCommitted                    // last stable offset
	ReadAll                          // log end: for replicas
)

// OffsetInfo is a found offset; Offset -1 if there is none.
type OffsetInfo struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// NoOffset is the answer when nothing was found.
var noOffset = OffsetInfo{-1, -1, -1}

// ListOffset finds an offset by time or by one of the special timestamps, in a leader epoch of the caller or NoEpoch.
func (p *Partition) ListOffset(timestamp int64, isolation Isolation, epoch int32) (OffsetInfo, error) {
	ld, err := p.lead(epoch)
	if err != nil {
		return noOffset, err
	}
	l := ld.log.load()
	switch timestamp {
	case EarliestTimestamp, EarliestLocalTimestamp:
		start := l.StartOffset()
		return OffsetInfo{start, -1, ld.epochOf(start)}, nil
	case LatestTieredTimestamp, EarliestPendingUpload:
		return noOffset, nil
	}
	limit := l.EndOffset()
	switch isolation {
	case ReadUncommitted:
		limit = l.HighWatermark()
	case ReadCommitted:
		limit = min(l.LastStableOffset(), l.HighWatermark())
	}
	// A new leader learns only from its followers what its predecessor had committed. Until then it would tell offsets
	// below what clients have seen (KIP-207).
	if isolation != ReadAll && l.HighWatermark() < ld.start {
		return noOffset, p.errorf(ErrOffsetNotAvailable)
	}
	switch {
	case timestamp == LatestTimestamp:
		return OffsetInfo{limit, -1, ld.epoch}, nil
	case timestamp == MaxTimestamp:
		offset, ts, e, err := l.MaxTimestampOffset()
		if err != nil {
			return noOffset, err
		}
		if offset < 0 || offset >= limit {
			return noOffset, nil
		}
		return OffsetInfo{offset, ts, e}, nil
	case timestamp < 0:
		return noOffset, nil
	}
	offset, ts, e, err := l.OffsetForTimestamp(timestamp)
	if err != nil {
		return noOffset, err
	}
	if offset < 0 || offset >= limit {
		return noOffset, nil
	}
	return OffsetInfo{offset, ts, e}, nil
}

// epochOf is the leader epoch of the record at offset; the current one at the end of the log.
func (ld *leader) epochOf(offset int64) int32 {
	if e := ld.log.EpochForOffset(offset); e >= 0 {
		return e
	}
	if offset >= ld.log.EndOffset() {
		return ld.epoch
	}
	return -1
}

// EndOffsetForEpoch finds the largest leader epoch not above the asked one and where its records end; -1, -1 if there is
// none (KIP-101, KIP-279).
func (p *Partition) EndOffsetForEpoch(asked, current int32) (EpochEnd, error) {
	ld, err := p.lead(current)
	if err != nil {
		return EpochEnd{-1, -1}, err
	}
	if asked == ld.epoch {
		return EpochEnd{asked, ld.log.EndOffset()}, nil
	}
	epoch, end := ld.log.EndOffsetForEpoch(asked)
	return EpochEnd{epoch, end}, nil
}

// Producers lists the producers that have written to the partition lately.
func (p *Partition) Producers() ([]log.ProducerState, error) {
	ld, err := p.lead(NoEpoch)
	if err != nil {
		return nil, err
	}
	return ld.log.Producers(), nil
}
