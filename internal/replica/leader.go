package replica

import (
	"slices"
	"sync"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// leader is what a leader keeps for one leader epoch. It is lost on failover: followers' positions come back with their
// fetches, and a client whose acknowledgement was lost sends again.
type leader struct {
	p     *Partition
	log   ledLog
	epoch int32
	start int64 // log end when the epoch began

	mu             sync.Mutex
	partitionEpoch int32
	replicas       []int32
	isr            []int32   // as the controller has it; always holds this broker
	proposed       *proposal // nil unless a change of the ISR is under way, or its fate is not known
	remote         map[int32]*remoteReplica
	acks           ackQueue
	deletions      ackQueue // DeleteRecords that wait for the followers' log starts
	flushes        ackQueue // acks=1 that wait for the disk (flush.messages=1)
	resigned       bool
	last           int64 // high watermark when it resigned
	seenEnd        int64 // log end up to which lagging was looked at
}

// consequences is what a change under the leader's mutex leads to, to be done without it.
type consequences struct {
	due      []ack
	err      error // of due
	deleted  []ack // DeleteRecords that every replica has followed
	flushed  []ack // acks=1 that are on disk
	moved    bool  // the high watermark
	proposal *proposal
}

func (ld *leader) do(c *consequences) {
	for i := range c.due {
		c.due[i].done(c.err)
	}
	for i := range c.deleted {
		c.deleted[i].done(nil)
	}
	for i := range c.flushed {
		c.flushed[i].done(nil)
	}
	if c.moved {
		ld.p.advanced()
	}
	if c.proposal != nil {
		ld.p.m.proposals.submit(c.proposal)
	}
}

func newLeader(p *Partition, l *log.Log, m *metadata.Partition) *leader {
	ld := &leader{p: p, epoch: m.LeaderEpoch, start: l.EndOffset(), seenEnd: l.EndOffset(), partitionEpoch: -1, remote: make(map[int32]*remoteReplica)}
	ld.log.store(l)
	ld.update(m)
	return ld
}

// update takes over replicas and ISR from the metadata, within the same leader epoch. The controller's answer to a
// proposal may have come before the metadata: what is older than that is left out.
func (ld *leader) update(m *metadata.Partition) {
	ld.mu.Lock()
	if m.PartitionEpoch < ld.partitionEpoch || ld.resigned {
		ld.mu.Unlock()
		return
	}
	if m.PartitionEpoch > ld.partitionEpoch {
		ld.proposed = nil
	}
	ld.partitionEpoch = m.PartitionEpoch
	ld.replicas = m.Replicas
	ld.setISR(m.ISR)
	ld.assign(m)
	ld.mu.Unlock()
}

// setISR takes over a committed ISR. ld.mu is held.
func (ld *leader) setISR(isr []int32) {
	if !slices.Contains(isr, ld.p.nodeID) {
		isr = append(slices.Clip(isr), ld.p.nodeID)
	}
	ld.isr = isr
	if len(isr) < len(ld.replicas) {
		ld.p.m.watch(ld)
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

// advance moves the high watermark and answers the acknowledgements that it passes. It is called after every append and
// every change of the ISR.
func (ld *leader) advance() {
	var todo consequences
	ld.mu.Lock()
	ld.settle(ld.now(), &todo)
	ld.mu.Unlock()
	ld.do(&todo)
}

// appended does what follows from an append that ends at offset. It reports whether all of it is committed.
func (ld *leader) appended(offset int64) (committed bool) {
	var todo consequences
	ld.mu.Lock()
	ld.settle(ld.now(), &todo)
	committed = !ld.resigned && ld.log.HighWatermark() >= offset && ld.maximal() >= ld.minISR()
	followers := len(ld.remote) > 0
	ld.mu.Unlock()
	if followers && !todo.moved { // else they are woken by do
		ld.p.appended()
	}
	ld.do(&todo)
	return committed
}

// now is the time if somebody needs it: without followers nobody does. ld.mu is held.
func (ld *leader) now() time.Time {
	if len(ld.remote) == 0 {
		return time.Time{}
	}
	return ld.p.m.now()
}

// lagFrom starts the clock of followers that had everything until now: one of an idle partition is not heard of, since
// its session names only what changes. ld.mu is held.
func (ld *leader) lagFrom(now time.Time) {
	end := ld.log.EndOffset()
	if end <= ld.seenEnd {
		return
	}
	for _, r := range ld.remote {
		if r.endOffset >= ld.seenEnd {
			r.lastCaughtUp = later(r.lastCaughtUp, now)
		}
	}
	ld.seenEnd = end
}

// settle does what follows from a change of log end, followers or ISR. ld.mu is held.
func (ld *leader) settle(now time.Time, todo *consequences) {
	if ld.resigned {
		return
	}
	ld.lagFrom(now)
	if hw := ld.committed(now); hw >= 0 && ld.log.SetHighWatermark(hw) {
		todo.moved = true
	}
	if ld.flushes.len() > 0 {
		todo.flushed = ld.flushes.upTo(ld.log.EndOffset())
	}
	if ld.acks.len() > 0 {
		todo.due = ld.acks.upTo(ld.log.HighWatermark())
		if len(todo.due) > 0 && ld.maximal() < ld.minISR() {
			todo.err = ld.p.errorf(ErrNotEnoughReplicasAfterAppend)
		}
	}
	ld.settleDeletions(todo)
}

// committed is the least log end of those that count: the ISR with those that are about to be in it, because the
// controller may make any of these the next leader; and those that could join it any moment. Below min.insync.replicas
// nothing gets committed (KIP-966): an eligible leader replica has to have all that ever was. It returns -1 if the high
// watermark has to stay. ld.mu is held.
func (ld *leader) committed(now time.Time) int64 {
	if len(ld.isr) < ld.minISR() {
		return -1
	}
	end := ld.log.EndOffset()
	hw := end
	for _, id := range ld.replicas {
		r := ld.remote[id]
		if r == nil || r.endOffset >= hw {
			continue
		}
		if ld.inMaximal(id) || r.caughtUp(end, now, ld.p.m.lag()) && ld.eligible(id, r) {
			hw = r.endOffset
		}
	}
	return hw
}

// inMaximal reports whether a broker is in the ISR, or will be if the proposal is accepted. ld.mu is held.
func (ld *leader) inMaximal(id int32) bool {
	return slices.Contains(ld.isr, id) || ld.proposed != nil && slices.Contains(ld.proposed.isr, id)
}

// maximal is the size of the ISR with those that are about to be in it. ld.mu is held.
func (ld *leader) maximal() int {
	if ld.proposed == nil {
		return len(ld.isr)
	}
	return max(len(ld.isr), len(ld.proposed.isr))
}

// highWatermark is up to where this leader's appends are committed.
func (ld *leader) highWatermark() int64 {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	if ld.resigned {
		return ld.last
	}
	return ld.log.HighWatermark()
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
		if ld.maximal() < ld.minISR() {
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

// awaitFlush is await for what is to be on this broker's disk, whether or not it is committed.
func (ld *leader) awaitFlush(offset int64, done func(error)) (cancel func() bool) {
	ld.mu.Lock()
	if ld.resigned || ld.log.EndOffset() >= offset {
		var err error
		if ld.resigned {
			err = ld.p.errorf(ErrNotLeader)
		}
		ld.mu.Unlock()
		done(err)
		return nil
	}
	id := ld.flushes.add(offset, done)
	ld.mu.Unlock()
	return func() bool {
		ld.mu.Lock()
		defer ld.mu.Unlock()
		return ld.flushes.remove(id)
	}
}

// resign fails what waits. The records may still get committed by the next leader.
func (ld *leader) resign() {
	ld.mu.Lock()
	ld.resigned = true
	ld.last = ld.log.HighWatermark()
	ld.proposed = nil
	due := slices.Concat(ld.acks.all(), ld.deletions.all(), ld.flushes.all())
	ld.mu.Unlock()
	for i := range due {
		due[i].done(ld.p.errorf(ErrNotLeader))
	}
}
