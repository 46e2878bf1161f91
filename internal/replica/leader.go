package replica

import (
	"slices"
	"sync"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// leader is what a leader keeps for one leader epoch. It is lost on failover: followers' positions come back with their
// fetches, and a client whose acknowledgement was lost sends again.
type leader struct {
	p     *Partition
	log   *log.Log
	epoch int32
	start int64 // log end when the epoch began

	mu             sync.Mutex
	partitionEpoch int32
	replicas       []int32
	isr            []int32 // always holds this broker
	remote         map[int32]*remoteReplica
	acks           ackQueue
	deletions      ackQueue // DeleteRecords that wait for the followers' log starts
	resigned       bool
}

// remoteReplica is a follower as its fetches show it.
type remoteReplica struct {
	endOffset   int64 // -1 until it has fetched
	startOffset int64
}

func newLeader(p *Partition, l *log.Log, m *metadata.Partition) *leader {
	ld := &leader{p: p, log: l, epoch: m.LeaderEpoch, start: l.EndOffset(), remote: make(map[int32]*remoteReplica)}
	ld.update(m)
	return ld
}

// update takes over replicas and ISR from the metadata, within the same leader epoch.
func (ld *leader) update(m *metadata.Partition) {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	ld.partitionEpoch = m.PartitionEpoch
	ld.replicas, ld.isr = m.Replicas, m.ISR
	if !slices.Contains(ld.isr, ld.p.nodeID) {
		ld.isr = append(slices.Clip(ld.isr), ld.p.nodeID)
	}
	for _, id := range ld.replicas {
		if id != ld.p.nodeID && ld.remote[id] == nil {
			ld.remote[id] = &remoteReplica{endOffset: -1, startOffset: -1}
		}
	}
	for id := range ld.remote {
		if !slices.Contains(ld.replicas, id) {
			delete(ld.remote, id)
		}
	}
}

// minISR is how many replicas must be in sync for acks=all: min.insync.replicas, but no more than there are replicas.
func (ld *leader) minISR() int { return min(ld.p.config.Load().MinInSyncReplicas, len(ld.replicas)) }

// enough reports whether acks=all can be promised now.
func (ld *leader) enough() bool {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	return len(ld.isr) >= ld.minISR()
}

// advance moves the high watermark to the least log end of the ISR and answers the acknowledgements that it passes. It
// is called after every append and every move of a follower.
func (ld *leader) advance() {
	ld.mu.Lock()
	if ld.resigned {
		ld.mu.Unlock()
		return
	}
	hw := ld.log.EndOffset()
	for _, id := range ld.isr {
		if r := ld.remote[id]; r != nil {
			hw = min(hw, r.endOffset)
		}
	}
	moved := hw >= 0 && ld.log.SetHighWatermark(hw)
	var due []ack
	var err error
	if ld.acks.len() > 0 {
		due = ld.acks.upTo(ld.log.HighWatermark())
		if len(due) > 0 && len(ld.isr) < ld.minISR() {
			err = ld.p.errorf(ErrNotEnoughReplicasAfterAppend)
		}
	}
	ld.mu.Unlock()
	for i := range due {
		due[i].done(err)
	}
	if moved {
		ld.p.advanced()
	}
}

// await has done called when everything below offset is committed, or with an error when this broker stops leading.
// If it was called before await returns, cancel is nil. Otherwise cancel takes the wait back and reports whether it was in
// time: then done is not called.
func (ld *leader) await(offset int64, done func(error)) (cancel func() bool) {
	ld.mu.Lock()
	if ld.resigned {
		ld.mu.Unlock()
		done(ld.p.errorf(ErrNotLeader))
		return nil
	}
	if ld.log.HighWatermark() >= offset {
		var err error
		if len(ld.isr) < ld.minISR() {
			err = ld.p.errorf(ErrNotEnoughReplicasAfterAppend)
		}
		ld.mu.Unlock()
		done(err)
		return nil
	}
	id := ld.acks.add(offset, done)
	ld.mu.Unlock()
	return func() bool {
		ld.mu.Lock()
		defer ld.mu.Unlock()
		return ld.acks.remove(id)
	}
}

// resign fails what waits. The records may still get committed by the next leader.
func (ld *leader) resign() {
	ld.mu.Lock()
	ld.resigned = true
	due := append(ld.acks.all(), ld.deletions.all()...)
	ld.mu.Unlock()
	for i := range due {
		due[i].done(ld.p.errorf(ErrNotLeader))
	}
}
