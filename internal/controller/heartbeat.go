package controller

import (
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerState is how the controller sees a broker (KIP-631).
type brokerState int8

const (
	stateFenced brokerState = iota
	stateActive
	stateShuttingDown // controlled shutdown: its leaderships are being moved
	stateGone         // it may end now
)

func stateOf(b *metadata.Broker) brokerState {
	switch {
	case b.Fenced:
		return stateFenced
	case b.ShuttingDown:
		return stateShuttingDown
	}
	return stateActive
}

// brokerHeartbeat decides BrokerHeartbeat: a sign of life, with which the broker asks for another state.
func (m *machine) brokerHeartbeat(e env, req *kmsg.BrokerHeartbeatRequest) decision {
	resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
	b, err := m.checkEpoch(req.BrokerID, req.BrokerEpoch)
	if err != nil {
		resp.ErrorCode = err.number()
		return decision{reply: resp}
	}
	now := stateOf(b)
	next := m.nextState(b, now, req)
	var records []metadata.Record
	if next != now {
		switch next {
		case stateFenced:
			records = m.fence(e, b)
		case stateGone:
			if now != stateFenced {
				records = m.fence(e, b)
			}
		case stateActive:
			records = m.unfence(e, b)
		case stateShuttingDown:
			records = m.shutDown(e, b)
		}
	}
	if next == stateFenced || next == stateGone {
		delete(m.soft.sessions, b.ID)
	} else {
		it := m.soft.hear(b.ID, e.nowMs, req.CurrentMetadataOffset)
		if next == stateShuttingDown && (next != now || m.leads(b.ID)) {
			it.shutdownOffset = m.nextOffset() + int64(len(records)) - 1
		}
	}
	records = append(records, m.dirsOffline(e, b, req.OfflineLogDirs)...)
	if next != stateGone {
		records = append(records, m.cordon(b, req.CordonedLogDirs)...)
	}
	resp.IsCaughtUp = req.CurrentMetadataOffset >= b.Epoch
	resp.IsFenced = next == stateFenced || next == stateGone
	resp.ShouldShutdown = next == stateGone
	return decision{records: records, apart: true, reply: resp}
}

// lost decides that the process of a broker has ended, if it is still the one that is registered.
func (m *machine) lost(e env, id int32, epoch int64) decision {
	b := m.hard.image.Broker(id)
	if b == nil || b.Epoch != epoch || b.Fenced {
		return decision{}
	}
	delete(m.soft.sessions, id)
	return decision{records: m.fence(e, b), apart: true}
}

// nextState decides what a broker becomes.
func (m *machine) nextState(b *metadata.Broker, now brokerState, req *kmsg.BrokerHeartbeatRequest) brokerState {
	switch now {
	case stateFenced:
		if req.WantShutdown {
			return stateGone
		}
		// It knows of its own registration, so of all that came before. Who was about to go does not come back but by
		// another registration: it could not lead.
		if !req.WantFence && !b.ShuttingDown && req.CurrentMetadataOffset >= b.Epoch {
			return stateActive
		}
	case stateActive:
		switch {
		case req.WantShutdown && (req.WantFence || !m.leads(b.ID)):
			return stateGone
		case req.WantShutdown:
			return stateShuttingDown
		case req.WantFence:
			return stateFenced
		}
	case stateShuttingDown:
		if m.leads(b.ID) {
			return now
		}
		// The others must know who leads now, or they would go on fetching from it.
		if it := m.soft.sessions[b.ID]; it == nil || it.shutdownOffset <= m.soft.lowestOffset(m.hard) {
			return stateGone
		}
	}
	return now
}

// leads reports whether a broker leads any partition.
func (m *machine) leads(id int32) bool { return m.hard.leading[id] > 0 }

// fence takes a broker out of every ISR and leadership.
func (m *machine) fence(e env, b *metadata.Broker) []metadata.Record {
	records := m.withoutBroker(e, b.ID)
	return append(records, &metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: 1})
}

// unfence lets a broker lead again, and gives it what has no leader and waits for it.
func (m *machine) unfence(e env, b *metadata.Broker) []metadata.Record {
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: -1}}
	canLead := func(id int32) bool { return id == b.ID || m.hard.isActive(id) }
	for at := range m.partitions(e, m.hard.leaderless) {
		if at.p.IsReplica(b.ID) {
			c := m.changeOf(e, at)
			c.canLead = m.withDir(at.p, canLead)
			records = c.appendTo(records)
		}
	}
	return records
}

func (m *machine) shutDown(e env, b *metadata.Broker) []metadata.Record {
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, InControlledShutdown: 1}}
	return append(records, m.withoutBroker(e, b.ID)...)
}

// withoutBroker takes a broker out of every ISR that it is in, and elects others where it led.
func (m *machine) withoutBroker(e env, broker int32) []metadata.Record {
	var records []metadata.Record
	for at := range m.partitions(e, m.hard.replicasOn[broker]) {
		if at.p.InISR(broker) {
			records = m.withoutReplica(e, at, broker).appendTo(records)
		}
	}
	return records
}

// withoutUnclean does the same for a broker whose process ended without saying so: what it had not yet written to disk
// may be gone, so it is not an eligible leader any more either (KIP-966).
func (m *machine) withoutUnclean(e env, broker int32) []metadata.Record {
	var records []metadata.Record
	for at := range m.partitions(e, m.hard.replicasOn[broker]) {
		if at.p.InISR(broker) || slices.Contains(at.p.ELR, broker) {
			c := m.withoutReplica(e, at, broker)
			c.unclean = broker
			records = c.appendTo(records)
		}
	}
	return records
}

// withoutReplica is the change that takes a broker out of the ISR of one partition.
func (m *machine) withoutReplica(e env, at partitionAt, broker int32) *partitionChange {
	c := m.changeOf(e, at)
	c.isr, c.canLead = without(at.p.ISR, broker), m.withDir(at.p, m.otherThan(broker))
	return c
}

func (m *machine) otherThan(broker int32) func(int32) bool {
	return func(id int32) bool { return id != broker && m.hard.isActive(id) }
}
