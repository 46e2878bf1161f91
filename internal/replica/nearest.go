package replica

import (
	"fmt"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// nearer finds the replica that a client should rather read from: one in the client's rack, in sync, which has the offset
// (KIP-392, RackAwareReplicaSelector). It is nil if the leader is as near, or nobody is nearer.
func (ld *leader) nearer(c *ClientRead, offset int64) *int32 {
	m := ld.p.m
	if c.Rack == "" || m.o.Nearest == nil || !m.o.Nearest() {
		return nil
	}
	image := m.current.Load()
	if own := image.Broker(ld.p.nodeID); own == nil || inRack(own, c.Rack) {
		return nil
	}
	ld.mu.Lock()
	defer ld.mu.Unlock()
	var best *remoteReplica
	var found int32
	for _, id := range ld.isr { // one out of sync may lag ever more, and its reader with it
		r := ld.remote[id]
		if r == nil || r.endOffset < offset || r.startOffset > offset || !isNear(image.Broker(id), c) {
			continue
		}
		if best == nil || r.endOffset > best.endOffset || r.endOffset == best.endOffset && r.lastCaughtUp.After(best.lastCaughtUp) {
			best, found = r, id
		}
	}
	if best == nil {
		return nil
	}
	return &found
}

func inRack(b *metadata.Broker, rack string) bool { return b.Rack != nil && *b.Rack == rack }

// isNear tells whether a broker is in the client's rack and can be reached by the listener that it uses.
func isNear(b *metadata.Broker, c *ClientRead) bool {
	if b == nil || !inRack(b, c.Rack) || b.Fenced || b.ShuttingDown {
		return false
	}
	_, ok := b.Endpoint(c.Listener)
	return ok
}

// following is the log of a follower that a client may read; nil if this broker does not follow, or the reader is to ask
// the leader.
func (p *Partition) following(o *ReadOptions) *log.Log {
	if r := p.role.Load(); o.Client == nil || r.follower == nil || r.gone || r.offline {
		return nil
	}
	return p.log.Load()
}

// readFollower serves a client from a follower: up to the high watermark as this replica knows it. An offset that the
// leader has committed and this replica does not have yet is out of range here; the client then asks the leader and does
// not reset its position (KIP-392). handled is false if this broker does not follow.
func (p *Partition) readFollower(o *ReadOptions) (res ReadResult, handled bool, err error) {
	r := p.role.Load()
	l := p.following(o)
	if l == nil {
		return res, false, nil
	}
	if err := p.checkEpoch(r, o.LeaderEpoch); err != nil {
		return res, true, err
	}
	res = ReadResult{LogStartOffset: l.StartOffset(), LastStableOffset: l.LastStableOffset(), HighWatermark: l.HighWatermark()}
	if o.LastFetchedEpoch != NoEpoch {
		if d, err := p.diverging(l, r.leaderEpoch, o.Offset, o.LastFetchedEpoch); err != nil || d != nil {
			res.Diverging = d
			return res, true, err
		}
	}
	if end := l.EndOffset(); o.Offset < res.LogStartOffset || o.Offset > end {
		return res, true, fmt.Errorf("%w: %s-%d: %d, this follower's log has %d to %d", log.ErrOffsetOutOfRange, p.topic, p.index, o.Offset, res.LogStartOffset, end)
	}
	limit := res.HighWatermark
	if o.Committed {
		limit = min(limit, res.LastStableOffset)
	}
	if o.Offset >= limit || o.MaxBytes <= 0 && !o.AtLeastOne {
		return res, true, nil
	}
	if o.Committed {
		res.Slice, res.Aborted, err = l.ReadCommitted(o.Offset, limit, o.MaxBytes, o.AtLeastOne)
	} else {
		res.Slice, err = l.Read(o.Offset, limit, o.MaxBytes, o.AtLeastOne)
	}
	return res, true, err
}
