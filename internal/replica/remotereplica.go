package replica

import (
	"fmt"
	"slices"
	"time"

	"gregor/internal/metadata"
)

// remoteReplica is a follower as its fetches show it. The leader's mutex guards it.
type remoteReplica struct {
	endOffset   int64 // -1 until it has fetched
	startOffset int64 // -1 until it has told
	brokerEpoch int64 // of the process that fetches; noBrokerEpoch until it has fetched

	lastFetch    time.Time // when it fetched last
	lastEnd      int64     // the leader's log end then
	lastCaughtUp time.Time // when it had, as far as is known, all that the leader had; zero: never
	refusedUntil time.Time // the controller did not take it into the ISR
}

// Broker epochs that are not one. A follower of Fetch before version 15 tells none, and is not checked.
const (
	noBrokerEpoch      int64 = -2
	unknownBrokerEpoch int64 = -1
)

func newRemoteReplica() *remoteReplica {
	return &remoteReplica{endOffset: -1, startOffset: -1, brokerEpoch: noBrokerEpoch, lastEnd: -1}
}

// caughtUp reports whether the follower is in sync: it has everything, or had within the lag that is allowed.
func (r *remoteReplica) caughtUp(end int64, now time.Time, lag time.Duration) bool {
	return r.endOffset == end || now.Sub(r.lastCaughtUp) <= lag
}

// fetched notes a fetch from an offset while the leader's log ended at end. A follower that always is a little behind is
// in sync too: it has caught up with what the leader had when it fetched before.
func (r *remoteReplica) fetched(offset, end int64, now time.Time) {
	switch {
	case offset >= end:
		r.lastCaughtUp = later(r.lastCaughtUp, now)
	case offset >= r.lastEnd:
		r.lastCaughtUp = later(r.lastCaughtUp, r.lastFetch)
	}
	r.endOffset = offset
	r.lastEnd = max(r.lastEnd, end)
	r.lastFetch = now
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// admit says whether a follower may fetch: it is assigned, and no newer process of its broker is known (KIP-903): what
// an older one says it has may have been lost since. ld.mu is held.
func (ld *leader) admit(f *ReplicaRead, epoch int32) (*remoteReplica, error) {
	r := ld.remote[f.ID]
	if r == nil {
		// The follower may know of an assignment that has not reached us; it is to come again (Kafka answers the same).
		if epoch != NoEpoch {
			return nil, fmt.Errorf("%w: %s-%d: broker %d is not one of its replicas", ErrUnknownEpoch, ld.p.topic, ld.p.index, f.ID)
		}
		return nil, fmt.Errorf("%w: %s-%d: broker %d is not one of its replicas", ErrNotLeader, ld.p.topic, ld.p.index, f.ID)
	}
	if f.BrokerEpoch == unknownBrokerEpoch {
		return r, nil
	}
	known := r.brokerEpoch
	if b := ld.p.m.broker(f.ID); b != nil {
		known = max(known, b.Epoch)
	}
	if known > f.BrokerEpoch {
		return nil, fmt.Errorf("%w: %s-%d: broker %d fetches with broker epoch %d, its epoch is %d", ErrNotLeader, ld.p.topic, ld.p.index, f.ID, f.BrokerEpoch, known)
	}
	return r, nil
}

// mayFetch is admit without the mutex.
func (ld *leader) mayFetch(f *ReplicaRead, epoch int32) error {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	_, err := ld.admit(f, epoch)
	return err
}

// fetched takes over where a follower is: it has everything below offset. What follows from that, acknowledgements and
// a larger ISR, is done before it returns.
func (ld *leader) fetched(f *ReplicaRead, epoch int32, offset, end int64) error {
	now := ld.p.m.now()
	ld.mu.Lock()
	if ld.resigned {
		ld.mu.Unlock()
		return ld.p.errorf(ErrNotLeader)
	}
	r, err := ld.admit(f, epoch)
	if err != nil {
		ld.mu.Unlock()
		return err
	}
	r.fetched(offset, end, now)
	r.startOffset = max(r.startOffset, f.LogStartOffset)
	r.brokerEpoch = f.BrokerEpoch
	var todo consequences
	ld.settle(now, &todo)
	ld.expand(now, &todo)
	ld.mu.Unlock()
	ld.do(&todo)
	return nil
}

// eligible reports whether a follower may be in the ISR: its broker is alive, stays, and is the process that fetches.
// ld.mu is held.
func (ld *leader) eligible(id int32, r *remoteReplica) bool {
	b := ld.p.m.broker(id)
	return b != nil && !b.Fenced && !b.ShuttingDown && ld.inOnlineDir(b) && (r.brokerEpoch == unknownBrokerEpoch || r.brokerEpoch == b.Epoch)
}

// assign keeps a remoteReplica for each follower of an assignment. ld.mu is held.
func (ld *leader) assign(mp *metadata.Partition) {
	now := ld.p.m.now()
	for _, id := range mp.Replicas {
		if id == ld.p.nodeID {
			continue
		}
		if ld.remote[id] == nil {
			r := newRemoteReplica()
			if slices.Contains(mp.ISR, id) {
				r.lastCaughtUp = now // it has the time of a lag to show itself
			}
			ld.remote[id] = r
		}
	}
	for id := range ld.remote {
		if !slices.Contains(mp.Replicas, id) {
			delete(ld.remote, id)
		}
	}
}

// inOnlineDir tells whether the log directory that holds a broker's replica works, as far as is known. A replica in one that
// failed fetches no more, and what it had counts for nothing.
func (ld *leader) inOnlineDir(b *metadata.Broker) bool {
	image := ld.p.m.current.Load()
	if image == nil {
		return true
	}
	mp := image.Partition(ld.p.topic, ld.p.index)
	return mp == nil || b.IsOnlineDir(mp.Dir(b.ID))
}
