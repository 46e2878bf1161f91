package replica

import (
	"slices"
	"time"

	"gregor/internal/metadata"
)

// proposal is an ISR that a leader asks the controller for (KIP-497). Until the controller has answered, both the old and
// the new one may be in force.
type proposal struct {
	ld             *leader
	isr            []int32
	epochs         []int64 // the broker epoch of each, -1 if not known (KIP-903)
	partitionEpoch int32   // which the change builds on
	grows          bool
}

// expand proposes an ISR with the followers that have caught up: they have all that is committed and all from before
// this epoch, whose fate a follower might otherwise not know. ld.mu is held.
func (ld *leader) expand(now time.Time, todo *consequences) {
	if ld.proposed != nil || ld.resigned || len(ld.isr) >= len(ld.replicas) {
		return
	}
	hw := ld.log.HighWatermark()
	var join []int32
	for _, id := range ld.replicas {
		r := ld.remote[id]
		if r == nil || slices.Contains(ld.isr, id) || r.endOffset < hw || r.endOffset < ld.start || r.endOffset < 0 || now.Before(r.refusedUntil) {
			continue
		}
		if ld.eligible(id, r) {
			join = append(join, id)
		}
	}
	if len(join) > 0 {
		todo.proposal = ld.propose(append(slices.Clone(ld.isr), join...), true)
	}
}

// shrink proposes an ISR without the followers that lag. ld.mu is held.
func (ld *leader) shrink(now time.Time, todo *consequences) {
	if ld.proposed != nil || ld.resigned || len(ld.isr) == 1 {
		return
	}
	end, lag := ld.log.EndOffset(), ld.p.m.lag()
	isr := slices.DeleteFunc(slices.Clone(ld.isr), func(id int32) bool {
		r := ld.remote[id]
		return r != nil && !r.caughtUp(end, now, lag)
	})
	if len(isr) < len(ld.isr) {
		ld.p.m.o.Logger.Info("followers lag and are to leave the ISR", "topic", ld.p.topic, "partition", ld.p.index, "isr", ld.isr, "proposed", isr,
			"high_watermark", ld.log.HighWatermark(), "log_end", end)
		todo.proposal = ld.propose(isr, false)
	}
}

// propose notes a change of the ISR that is about to be asked for. ld.mu is held.
func (ld *leader) propose(isr []int32, grows bool) *proposal {
	if ld.p.m.o.Alter == nil {
		return nil
	}
	pr := &proposal{ld: ld, isr: isr, partitionEpoch: ld.partitionEpoch, grows: grows}
	for _, id := range isr {
		epoch := unknownBrokerEpoch
		if id == ld.p.nodeID {
			epoch = ld.p.m.brokerEpoch()
		} else if r := ld.remote[id]; r != nil && r.brokerEpoch >= 0 {
			epoch = r.brokerEpoch
		}
		pr.epochs = append(pr.epochs, epoch)
	}
	ld.proposed = pr
	return pr
}

// accepted takes over what the controller made of a proposal.
func (ld *leader) accepted(pr *proposal, isr []int32, leaderEpoch, partitionEpoch int32) {
	var todo consequences
	ld.mu.Lock()
	if ld.proposed == pr && !ld.resigned && leaderEpoch == ld.epoch && partitionEpoch >= ld.partitionEpoch {
		ld.proposed = nil
		ld.partitionEpoch = partitionEpoch
		ld.setISR(isr)
		now := ld.now()
		ld.settle(now, &todo)
		ld.expand(now, &todo)
	}
	ld.mu.Unlock()
	ld.do(&todo)
}

// refusedPause keeps a follower that the controller does not take into the ISR from being proposed with every fetch.
const refusedPause = 500 * time.Millisecond

// refused takes a proposal back. It may be called only when the controller has said that it did not apply it and that
// the partition epoch is right: else the proposed ISR may be in force, and goes on counting until the metadata comes.
func (ld *leader) refused(pr *proposal) {
	var todo consequences
	ld.mu.Lock()
	if ld.proposed == pr {
		ld.proposed = nil
		now := ld.p.m.now()
		for _, id := range pr.isr {
			if r := ld.remote[id]; r != nil && !slices.Contains(ld.isr, id) {
				r.refusedUntil = now.Add(refusedPause)
			}
		}
		ld.settle(now, &todo)
	}
	ld.mu.Unlock()
	ld.do(&todo)
}

// stands reports whether a proposal is still what the leader wants.
func (pr *proposal) stands() bool {
	pr.ld.mu.Lock()
	defer pr.ld.mu.Unlock()
	return pr.ld.proposed == pr && !pr.ld.resigned
}

// review looks whether followers have to leave the ISR or can come back. It reports whether some are missing.
func (ld *leader) review(now time.Time, shrink bool) (missing bool) {
	var todo consequences
	ld.mu.Lock()
	ld.settle(now, &todo)
	if shrink {
		ld.shrink(now, &todo)
	}
	ld.expand(now, &todo)
	missing = !ld.resigned && len(ld.isr) < len(ld.replicas)
	ld.mu.Unlock()
	ld.do(&todo)
	return missing
}

// broker finds a registered broker in the newest metadata.
func (m *Manager) broker(id int32) *metadata.Broker {
	if image := m.current.Load(); image != nil {
		return image.Broker(id)
	}
	return nil
}

func (m *Manager) now() time.Time { return m.o.Clock() }

func (m *Manager) lag() time.Duration {
	if m.o.LagTime == nil {
		return 30 * time.Second
	}
	return m.o.LagTime()
}

func (m *Manager) brokerEpoch() int64 {
	if m.o.BrokerEpoch == nil {
		return unknownBrokerEpoch
	}
	return m.o.BrokerEpoch()
}
