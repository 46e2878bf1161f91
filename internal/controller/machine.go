package controller

import (
	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of what one request may change. Kafka's are the same.
const (
	maxRecordsPerRequest = 10000
	maxRecordsPerBatch   = 10000
)

// env is what comes in with an event from outside of the machine.
type env struct {
	nowMs  int64
	config *config.Values // of this broker, with what was altered at run time
	// kraftVersion is the quorum's own feature level, which lives in its log beside the records (KIP-853).
	kraftVersion int16
	newUUID      func() metadata.UUID
	random       func(n int) int // in [0, n)
}

// decision is what an event means.
type decision struct {
	records []metadata.Record
	// apart says that the records may be committed in several batches: each is right without those behind it.
	apart bool
	// upgradeQuorum asks the journal for kraft.version 1; the reply waits for that.
	upgradeQuorum bool
	reply         kmsg.Response // nil for what nobody asked
}

// machine decides. It is made anew whenever this node begins to lead, and dropped when it ceases to.
type machine struct {
	clusterID string
	hard      *hardState
	soft      *softState
}

func newMachine(clusterID string, image *metadata.Image, nowMs int64) (*machine, error) {
	hard, err := newHardState(image)
	if err != nil {
		return nil, err
	}
	return &machine{clusterID, hard, newSoftState(image, nowMs)}, nil
}

// nextOffset is where the records of the next decision begin.
func (m *machine) nextOffset() int64 { return m.hard.image.Offset() + 1 }

// apply takes the records of a decision into the state.
func (m *machine) apply(records []metadata.Record, lastOffset int64, epoch int32) error {
	return m.hard.apply(records, lastOffset, epoch)
}

// request decides about a request.
func (m *machine) request(e env, from Caller, req kmsg.Request) decision {
	switch r := req.(type) {
	case *kmsg.CreateTopicsRequest:
		return m.createTopics(e, r)
	case *kmsg.DeleteTopicsRequest:
		return m.deleteTopics(e, r)
	case *kmsg.CreatePartitionsRequest:
		return m.createPartitions(e, r)
	case *kmsg.AlterConfigsRequest:
		return m.alterConfigs(e, r)
	case *kmsg.IncrementalAlterConfigsRequest:
		return m.incrementalAlterConfigs(e, r)
	case *kmsg.AllocateProducerIDsRequest:
		return m.allocateProducerIDs(r)
	case *kmsg.BrokerRegistrationRequest:
		return m.registerBroker(e, r)
	case *kmsg.BrokerHeartbeatRequest:
		return m.brokerHeartbeat(e, r)
	case *kmsg.ControllerRegistrationRequest:
		return m.registerController(r)
	case *kmsg.UnregisterBrokerRequest:
		return m.unregisterBroker(e, r)
	case *kmsg.AlterPartitionRequest:
		return m.alterPartition(e, r)
	case *kmsg.ElectLeadersRequest:
		return m.electLeaders(e, r)
	case *kmsg.AlterPartitionAssignmentsRequest:
		return m.alterReassignments(e, r)
	case *kmsg.ListPartitionReassignmentsRequest:
		return m.listReassignments(r)
	case *kmsg.AssignReplicasToDirsRequest:
		return m.assignReplicasToDirs(e, r)
	case *kmsg.UpdateFeaturesRequest:
		return m.updateFeatures(e, r)
	case *kmsg.AlterClientQuotasRequest:
		return m.alterClientQuotas(r)
	}
	return decision{reply: failAll(req, plain(kerr.UnsupportedVersion))}
}

// tick decides what the passing of time means, and returns in how many milliseconds it wants the next tick.
func (m *machine) tick(e env) (d decision, nextMs int64) {
	sessionMs := e.config.Int64("broker.session.timeout.ms")
	period := max(sessionMs/4, 1)
	// When this process itself stood still, the heartbeats of the others are still on their way: it was not them.
	if gap := e.nowMs - m.soft.lastTickMs; gap > 2*period {
		for _, it := range m.soft.sessions {
			it.heardMs += gap
		}
	}
	m.soft.lastTickMs = e.nowMs
	if broker, ok := m.soft.stale(e.nowMs, sessionMs); ok {
		delete(m.soft.sessions, broker)
		if b := m.hard.image.Broker(broker); b != nil && !b.Fenced {
			// One at a time: the next is decided on the state that this one leaves.
			return decision{records: m.fence(e, b), apart: true}, 0
		}
		return decision{}, 0
	}
	return m.balance(e), m.beforeBalance(e, period)
}

// checkEpoch makes sure that a broker speaks for its newest registration.
func (m *machine) checkEpoch(broker int32, epoch int64) (*metadata.Broker, *apiError) {
	b := m.hard.image.Broker(broker)
	if b == nil {
		return nil, refuse(kerr.StaleBrokerEpoch, "No broker registration found for broker id %d", broker)
	}
	if b.Epoch != epoch {
		return nil, refuse(kerr.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", b.Epoch, epoch)
	}
	return b, nil
}
