package controller

import (
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// registerBroker decides BrokerRegistration (KIP-631, KIP-858). A broker's epoch is the offset of its registration. A
// registration begins fenced; the same incarnation may register again, to amend what it said.
func (m *machine) registerBroker(e env, req *kmsg.BrokerRegistrationRequest) decision {
	resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
	resp.BrokerEpoch = -1
	record, err := m.registration(e, req)
	if err != nil {
		resp.ErrorCode = err.number()
		return decision{reply: resp}
	}
	var records []metadata.Record
	old := m.hard.image.Broker(req.BrokerID)
	if old != nil && old.Incarnation == record.IncarnationID {
		if !record.Fenced {
			m.soft.hear(req.BrokerID, e.nowMs, -1)
		}
	} else {
		// The one before leaves the ISRs. If it ended without saying so, what it had not yet written to disk may be
		// gone, so it does not lead where others may have more (KIP-966).
		if old != nil && old.Epoch == req.PreviousBrokerEpoch {
			records = m.withoutBroker(e, req.BrokerID)
		} else {
			records = m.withoutUnclean(e, req.BrokerID)
		}
		delete(m.soft.sessions, req.BrokerID)
		record.BrokerEpoch = m.nextOffset() + int64(len(records))
	}
	resp.BrokerEpoch = record.BrokerEpoch
	return decision{records: append(records, record), apart: true, reply: resp}
}

func (m *machine) registration(e env, req *kmsg.BrokerRegistrationRequest) (*metadata.RegisterBrokerRecord, *apiError) {
	if req.ClusterID != m.clusterID {
		return nil, refuse(kerr.InconsistentClusterID, "Expected cluster ID %s, but got cluster ID %s", m.clusterID, req.ClusterID)
	}
	old := m.hard.image.Broker(req.BrokerID)
	if old != nil && old.Incarnation != metadata.UUID(req.IncarnationID) && m.hasSession(e, req.BrokerID) && !holdsDirs(old, req) {
		return nil, refuse(kerr.DuplicateBrokerRegistration, "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.")
	}
	if req.IsMigratingZkBroker {
		return nil, refuse(kerr.BrokerIDNotRegistered, "Controller does not support registering ZK brokers.")
	}
	if err := m.checkRegistrationDirs(req); err != nil {
		return nil, err
	}
	features, err := m.registrationFeatures(req)
	if err != nil {
		return nil, err
	}
	r := metadata.NewRegisterBrokerRecord()
	r.BrokerID, r.IncarnationID, r.Rack, r.Features = req.BrokerID, req.IncarnationID, req.Rack, features
	for _, l := range req.Listeners {
		r.EndPoints = append(r.EndPoints, metadata.RecordEndpoint{Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
	}
	if m.hard.image.HasDirectories() {
		for _, dir := range req.LogDirs {
			r.LogDirs = append(r.LogDirs, dir)
		}
	}
	if old != nil && old.Incarnation == r.IncarnationID {
		r.Fenced, r.InControlledShutdown, r.BrokerEpoch = old.Fenced, old.ShuttingDown, old.Epoch
	}
	return r, nil
}

// holdsDirs reports whether a registration comes from a process that has all log directories of the one before. A
// process holds a lock on its directories, so the one before has ended, however short ago it was heard of. Apache Kafka
// makes a broker that was killed wait here for the end of its session.
func holdsDirs(old *metadata.Broker, req *kmsg.BrokerRegistrationRequest) bool {
	for _, dir := range old.Dirs {
		if !slices.Contains(req.LogDirs, [16]byte(dir)) {
			return false
		}
	}
	return len(old.Dirs) > 0
}

// hasSession reports whether a broker was heard of within its session.
func (m *machine) hasSession(e env, id int32) bool {
	it := m.soft.sessions[id]
	return it != nil && e.nowMs-it.heardMs < e.config.Int64("broker.session.timeout.ms")
}

func (m *machine) checkRegistrationDirs(req *kmsg.BrokerRegistrationRequest) *apiError {
	if !m.hard.image.HasDirectories() {
		return nil
	}
	if len(req.LogDirs) == 0 {
		return refuse(kerr.InvalidRegistration, "No directories specified in request")
	}
	seen := map[metadata.UUID]bool{}
	for _, raw := range req.LogDirs {
		dir := metadata.UUID(raw)
		if dir.IsReserved() {
			return refuse(kerr.InvalidRegistration, "Reserved directory ID in request")
		}
		if seen[dir] {
			return refuse(kerr.InvalidRegistration, "Duplicate directory ID in request")
		}
		seen[dir] = true
		if owner, ok := m.hard.dirOwner[dir]; ok && owner != req.BrokerID {
			return refuse(kerr.InvalidRegistration, "Broker %d is already registered with directory %s", owner, dir)
		}
	}
	return nil
}

// registrationFeatures checks that the broker can work at every finalized level.
func (m *machine) registrationFeatures(req *kmsg.BrokerRegistrationRequest) ([]metadata.RecordFeature, *apiError) {
	supported := map[string]metadata.VersionRange{metadata.MetadataVersionFeature: {Min: 1, Max: 1}}
	var features []metadata.RecordFeature
	for _, f := range req.Features {
		supported[f.Name] = metadata.VersionRange{Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion}
		features = append(features, metadata.RecordFeature{Name: f.Name, MinSupportedVersion: f.MinSupportedVersion, MaxSupportedVersion: f.MaxSupportedVersion})
	}
	for name, level := range m.hard.image.Features() {
		if r := supported[name]; level < r.Min || level > r.Max {
			return nil, refuse(kerr.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. The broker wants a version between %d and %d, inclusive.", level, name, r.Min, r.Max)
		}
	}
	return features, nil
}

// unregisterBroker decides UnregisterBroker (KIP-631): the broker is forgotten; its replicas stay assigned.
func (m *machine) unregisterBroker(e env, req *kmsg.UnregisterBrokerRequest) decision {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	b := m.hard.image.Broker(req.BrokerID)
	if b == nil {
		refuse(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", req.BrokerID).put(&resp.ErrorCode, &resp.ErrorMessage)
		return decision{reply: resp}
	}
	delete(m.soft.sessions, b.ID)
	records := m.withoutBroker(e, b.ID)
	records = append(records, &metadata.UnregisterBrokerRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch})
	return decision{records: records, apart: true, reply: resp}
}

// producerIDBlock is how many ids a broker gets at once.
const producerIDBlock = 1000

// allocateProducerIDs decides AllocateProducerIds (KIP-730).
func (m *machine) allocateProducerIDs(req *kmsg.AllocateProducerIDsRequest) decision {
	resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	if _, err := m.checkEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		resp.ErrorCode = err.number()
		return decision{reply: resp}
	}
	first := m.hard.image.NextProducerID()
	if first > 1<<63-1-producerIDBlock {
		resp.ErrorCode = kerr.UnknownServerError.Code // 2^63 ids were given away
		return decision{reply: resp}
	}
	resp.ProducerIDStart, resp.ProducerIDLen = first, producerIDBlock
	return decision{reply: resp, records: []metadata.Record{
		&metadata.ProducerIdsRecord{BrokerID: req.BrokerID, BrokerEpoch: req.BrokerEpoch, NextProducerID: first + producerIDBlock},
	}}
}
