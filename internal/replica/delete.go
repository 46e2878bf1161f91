package replica

import (
	"context"
	"time"

	"gregor/internal/log"
)

// DeleteRecords moves the log start to before; -1 deletes all that is committed. It calls done once, with the lowest log
// start of the partition's replicas, when that has reached before or after the timeout, then with
// context.DeadlineExceeded.
func (p *Partition) DeleteRecords(before int64, timeout time.Duration, done func(lowWatermark int64, err error)) {
	ld, err := p.lead(NoEpoch)
	if err != nil {
		done(-1, err)
		return
	}
	if c := p.config.Load().Log; c.CleanupCompact && !c.CleanupDelete {
		done(-1, p.errorf(ErrPolicy))
		return
	}
	hw := ld.log.HighWatermark()
	if before == -1 {
		before = hw
	}
	if before < 0 || before > hw {
		done(-1, p.errorf(log.ErrOffsetOutOfRange))
		return
	}
	if _, err := ld.log.DeleteRecordsBefore(before); err != nil {
		done(-1, err)
		return
	}
	ld.awaitStart(before, timeout, done)
}

// awaitStart waits until every replica's log starts at offset or later.
func (ld *leader) awaitStart(offset int64, timeout time.Duration, done func(int64, error)) {
	ld.mu.Lock()
	low := ld.lowWatermark()
	if low >= offset || ld.resigned {
		ld.mu.Unlock()
		done(low, nil)
		return
	}
	var timer *time.Timer
	id := ld.deletions.add(offset, func(err error) {
		timer.Stop()
		ld.mu.Lock()
		low := ld.lowWatermark()
		ld.mu.Unlock()
		done(low, err)
	})
	timer = time.AfterFunc(timeout, func() {
		ld.mu.Lock()
		mine := ld.deletions.remove(id)
		low := ld.lowWatermark()
		ld.mu.Unlock()
		if mine {
			done(low, context.DeadlineExceeded)
		}
	})
	ld.mu.Unlock()
}

// settleDeletions takes out the deletions that every replica has followed. ld.mu is held.
func (ld *leader) settleDeletions(todo *consequences) {
	if ld.deletions.len() > 0 {
		todo.deleted = ld.deletions.upTo(ld.lowWatermark())
	}
}

// lowWatermark is the log start that every replica has reached whose broker is alive: one that is down follows when it
// comes back, as in Kafka. ld.mu is held.
func (ld *leader) lowWatermark() int64 {
	low := ld.log.StartOffset()
	for id, r := range ld.remote {
		if b := ld.p.m.broker(id); b == nil || !b.Fenced {
			low = min(low, r.startOffset)
		}
	}
	return low
}
