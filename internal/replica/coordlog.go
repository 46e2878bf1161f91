package replica

import (
	"gregor/internal/log"
)

// CoordinatorLog is a partition as a coordinator sees it: the leader's log of an internal topic.
type CoordinatorLog struct{ p *Partition }

// CoordinatorLog returns the view.
func (p *Partition) CoordinatorLog() CoordinatorLog { return CoordinatorLog{p} }

// Append writes batches as the leader of an epoch, with acks=all's rule about the ISR, and returns the last offset.
func (c CoordinatorLog) Append(leaderEpoch int32, batch []byte) (lastOffset int64, err error) {
	info, err := c.p.Append(batch, AcksAll, leaderEpoch, log.Coordinator)
	return info.LastOffset, err
}

// Committed is the high watermark.
func (c CoordinatorLog) Committed() int64 {
	if l := c.p.log.Load(); l != nil {
		return l.HighWatermark()
	}
	return 0
}

// OnCommitted has f called with each new high watermark; nil ends that.
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
