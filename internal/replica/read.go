package replica

import (
	"fmt"

	"gregor/internal/log"
)

// ReadOptions says what to read.
type ReadOptions struct {
	Offset           int64
	MaxBytes         int   // of this partition
	AtLeastOne       bool  // a first batch larger than MaxBytes is returned whole
	LeaderEpoch      int32 // the caller's, or NoEpoch
	LastFetchedEpoch int32 // of the record before Offset, or NoEpoch (KIP-595)
	Committed        bool  // isolation level read_committed: up to the last stable offset
	// Replica is set when a follower reads: then the log is read to its end, and the leader learns how far the follower is.
	Replica *ReplicaRead
	// Client is set for a client that may read from a follower, and so be sent to one (Fetch from version 11, KIP-392).
	Client *ClientRead
}

// ClientRead is a client that knows that any replica may be read.
type ClientRead struct {
	Rack     string // client.rack; empty if it has none
	Listener string // that it came by
}

// ReplicaRead is the follower that reads.
type ReplicaRead struct {
	ID             int32
	BrokerEpoch    int64 // -1: not told (Fetch before version 15)
	LogStartOffset int64 // where the follower's log starts; -1: not told
	Again          bool  // the position was told before: this is the read at the end of a long poll
}

// ReadResult is what a partition has to give. Offsets are set when there is no error.
type ReadResult struct {
	Slice            log.Slice // to be closed by the caller
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	Diverging        *EpochEnd        // then Slice is empty
	Aborted          []log.AbortedTxn // of the range of Slice, for read_committed
	Preferred        *int32           // a replica nearer to the client, to read from; then Slice is empty
}

// EpochEnd is where the records of a leader epoch end.
type EpochEnd struct {
	Epoch     int32
	EndOffset int64
}

// Read returns whole batches from the one that holds Offset.
func (p *Partition) Read(o ReadOptions) (ReadResult, error) {
	if o.Client != nil {
		if res, handled, err := p.readFollower(&o); handled {
			return res, err
		}
	}
	ld, err := p.lead(o.LeaderEpoch)
	if err != nil {
		return ReadResult{}, err
	}
	// The start is read first: a concurrent DeleteRecords then makes the offset look in range and Read below says no.
	if o.Replica != nil {
		// Before its position is looked at: one that may not fetch learns nothing else.
		if err := ld.mayFetch(o.Replica, o.LeaderEpoch); err != nil {
			return ReadResult{}, err
		}
	}
	res := ReadResult{LogStartOffset: ld.log.StartOffset(), LastStableOffset: ld.log.LastStableOffset(), HighWatermark: ld.log.HighWatermark()}
	res.LastStableOffset = min(res.LastStableOffset, res.HighWatermark)
	if o.LastFetchedEpoch != NoEpoch {
		if d, err := ld.diverging(o.Offset, o.LastFetchedEpoch); err != nil || d != nil {
			res.Diverging = d
			return res, err
		}
	}
	end := ld.log.EndOffset()
	if o.Offset < res.LogStartOffset || o.Offset > end {
		return res, fmt.Errorf("%w: %s-%d: %d, log has %d to %d", log.ErrOffsetOutOfRange, p.topic, p.index, o.Offset, res.LogStartOffset, end)
	}
	if o.Client != nil {
		if res.Preferred = ld.nearer(o.Client, o.Offset); res.Preferred != nil {
			return res, nil
		}
	}
	limit := res.HighWatermark
	switch {
	case o.Replica != nil:
		if !o.Replica.Again {
			if err := ld.fetched(o.Replica, o.LeaderEpoch, o.Offset, end); err != nil {
				return res, err
			}
			res.HighWatermark = ld.log.HighWatermark() // the follower's own fetch may have moved it
		}
		limit = end
	case o.Committed:
		limit = res.LastStableOffset
	}
	if o.Offset >= limit || o.MaxBytes <= 0 && !o.AtLeastOne {
		return res, nil
	}
	if o.Replica != nil && ld.holdsBack(o.Replica.ID) {
		return res, nil
	}
	if o.Committed && o.Replica == nil {
		res.Slice, res.Aborted, err = ld.log.ReadCommitted(o.Offset, limit, o.MaxBytes, o.AtLeastOne)
		return res, err
	}
	if res.Slice, err = ld.log.Read(o.Offset, limit, o.MaxBytes, o.AtLeastOne); err != nil {
		return res, err
	}
	if o.Replica != nil {
		ld.gave(res.Slice.Len())
	}
	return res, nil
}

// Available estimates how many bytes a Read would give. It does no I/O.
func (p *Partition) Available(o *ReadOptions) int64 {
	l, limit := p.readable(o)
	if o.Offset >= limit {
		return 0
	}
	return l.BytesFrom(o.Offset, limit)
}

// IsReadable tells whether a Read would give anything, which is less to find out than how much.
func (p *Partition) IsReadable(o *ReadOptions) bool {
	_, limit := p.readable(o)
	return o.Offset < limit
}

// readable gives the log and the offset up to which it may be read; -1 if it cannot be read here.
func (p *Partition) readable(o *ReadOptions) (l *log.Log, limit int64) {
	if l = p.following(o); l == nil {
		ld, err := p.lead(NoEpoch)
		if err != nil {
			return nil, -1
		}
		l = ld.log.load()
	}
	switch {
	case o.Replica != nil:
		return l, l.EndOffset()
	case o.Committed:
		return l, min(l.HighWatermark(), l.LastStableOffset())
	}
	return l, l.HighWatermark()
}

// diverging compares a reader's last epoch with ours (KIP-595): nil if its log is a prefix of ours.
func (ld *leader) diverging(offset int64, epoch int32) (*EpochEnd, error) {
	return ld.p.diverging(ld.log.load(), ld.epoch, offset, epoch)
}

func (p *Partition) diverging(l *log.Log, current int32, offset int64, epoch int32) (*EpochEnd, error) {
	found, end := l.EndOffsetForEpoch(epoch)
	if epoch == current && found < 0 { // nothing was written in the current epoch yet
		return nil, nil
	}
	if found < 0 || end < 0 {
		return nil, fmt.Errorf("%w: no record of leader epoch %d: %s-%d", log.ErrOffsetOutOfRange, epoch, p.topic, p.index)
	}
	if found < epoch || end < offset {
		return &EpochEnd{found, end}, nil
	}
	return nil, nil
}
