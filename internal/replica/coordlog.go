package replica

import (
	"gregor/internal/log"
)

// CoordinatorLog is a partition as a coordinator sees it: the leader's log of an internal topic, in one leader epoch.
type CoordinatorLog struct {
	p  *Partition
	ld *leader // nil: this broker did not lead
}

// CoordinatorLog returns the view of the present leader epoch.
func (p *Partition) CoordinatorLog() CoordinatorLog { return CoordinatorLog{p, p.role.Load().leader} }

// Append writes batches as the leader of an epoch, with acks=all's rule about the ISR, and returns the last offset.
func (c CoordinatorLog) Append(leaderEpoch int32, batch []byte) (lastOffset int64, err error) {
	info, err := c.p.Append(batch, AcksAll, leaderEpoch, log.Coordinator)
	return info.LastOffset, err
}

// AppendGuarded is Append of batches of a transaction, with the guard that [Manager.Verify] gave; log.Unverified if it was
// not asked.
func (c CoordinatorLog) AppendGuarded(leaderEpoch int32, batch []byte, guard log.Guard) (lastOffset int64, err error) {
	info, err := c.p.AppendGuarded(batch, AcksAll, leaderEpoch, log.Coordinator, guard)
	return info.LastOffset, err
}

// AppendMarker ends a producer's transaction in this partition.
func (c CoordinatorLog) AppendMarker(leaderEpoch int32, m log.Marker) (lastOffset int64, err error) {
	info, err := c.p.AppendMarker(m, leaderEpoch)
	return info.LastOffset, err
}

// Committed is the high watermark; once the epoch is over, what it was at its end. After that the log may have been cut and
// written by another leader, and its high watermark says nothing about what was appended here.
func (c CoordinatorLog) Committed() int64 {
	if c.ld == nil {
		return 0
	}
	return c.ld.highWatermark()
}

// OnCommitted has f called with each new high watermark of an epoch of this broker; nil ends that.
func (c CoordinatorLog) OnCommitted(f func(offset int64)) {
	c.p.waiters.mu.Lock()
	defer c.p.waiters.mu.Unlock()
	c.p.waiters.onCommitted = f
}

// Read returns whole batches up to the log's end, nothing at the end.
func (c CoordinatorLog) Read(from int64, maxBytes int) ([]byte, error) {
	l := c.p.log.Load()
	if l == nil {
		return nil, c.p.errorf(ErrStorage)
	}
	end := l.EndOffset()
	if from >= end {
		return nil, nil
	}
	s, err := l.Read(from, end, maxBytes, true)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Bytes()
}

// StartOffset is the log start.
func (c CoordinatorLog) StartOffset() int64 {
	if l := c.p.log.Load(); l != nil {
		return l.StartOffset()
	}
	return 0
}

// EndOffset is the log end.
func (c CoordinatorLog) EndOffset() int64 {
	if l := c.p.log.Load(); l != nil {
		return l.EndOffset()
	}
	return 0
}
