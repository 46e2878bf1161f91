package metadata

import (
	"cmp"
	"fmt"
	"slices"
)

func (d *Delta) setBroker(id int32, next *Broker) {
	if next == nil {
		d.next.brokers, _, _ = d.next.brokers.Delete(intKey(id))
	} else {
		d.next.brokers, _, _ = d.next.brokers.Insert(intKey(id), next)
	}
	if d.brokers[id] == nil {
		d.brokers[id] = &BrokerDelta{Old: d.base.Broker(id)}
	}
	d.brokers[id].New = next
}

// editBroker changes a registration whose epoch must be the one that the record names.
func (d *Delta) editBroker(id int32, epoch int64, edit func(*Broker)) error {
	old := d.next.Broker(id)
	if old == nil {
		return fmt.Errorf("%w: broker %d is not registered", ErrInconsistent, id)
	}
	if old.Epoch != epoch {
		return fmt.Errorf("%w: broker %d has epoch %d, not %d", ErrInconsistent, id, old.Epoch, epoch)
	}
	next := *old
	edit(&next)
	d.setBroker(id, &next)
	return nil
}

func (d *Delta) removeBroker(r *UnregisterBrokerRecord) error {
	if err := d.editBroker(r.BrokerID, r.BrokerEpoch, func(*Broker) {}); err != nil {
		return err
	}
	d.setBroker(r.BrokerID, nil)
	return nil
}

// The values of the small integers in BrokerRegistrationChangeRecord: 0 changes nothing.
const (
	changeUnfence  int8 = -1
	changeFence    int8 = 1
	changeShutdown int8 = 1
)

func changeBroker(b *Broker, r *BrokerRegistrationChangeRecord) {
	switch r.Fenced {
	case changeFence:
		b.Fenced = true
	case changeUnfence:
		b.Fenced = false
	}
	if r.InControlledShutdown == changeShutdown {
		b.ShuttingDown = true
	}
	if len(r.LogDirs) > 0 {
		b.Dirs = sortedUUIDs(r.LogDirs)
	}
	if r.CordonedLogDirs != nil {
		b.CordonedDirs = sortedUUIDs(r.CordonedLogDirs)
	}
}

func brokerOf(r *RegisterBrokerRecord) *Broker {
	return &Broker{
		ID: r.BrokerID, Epoch: r.BrokerEpoch, Incarnation: r.IncarnationID,
		Endpoints: endpointsOf(r.EndPoints), Features: featuresOf(r.Features), Rack: r.Rack,
		Fenced: r.Fenced, ShuttingDown: r.InControlledShutdown,
		Dirs: sortedUUIDs(r.LogDirs), CordonedDirs: sortedUUIDs(r.CordonedLogDirs),
	}
}

// Record returns the record that makes this registration from nothing.
func (b *Broker) Record() *RegisterBrokerRecord {
	return &RegisterBrokerRecord{
		BrokerID: b.ID, IncarnationID: b.Incarnation, BrokerEpoch: b.Epoch,
		EndPoints: endpointRecords(b.Endpoints), Features: featureRecords(b.Features), Rack: b.Rack,
		Fenced: b.Fenced, InControlledShutdown: b.ShuttingDown, LogDirs: b.Dirs, CordonedLogDirs: b.CordonedDirs,
	}
}

// Record returns the record that makes this registration from nothing.
func (c *Controller) Record() *RegisterControllerRecord {
	return &RegisterControllerRecord{
		ControllerID: c.ID, IncarnationID: c.Incarnation,
		EndPoints: endpointRecords(c.Endpoints), Features: featureRecords(c.Features),
	}
}

func endpointsOf(records []RecordEndpoint) []Endpoint {
	endpoints := make([]Endpoint, len(records))
	for i, r := range records {
		endpoints[i] = Endpoint{r.Name, r.Host, r.Port, SecurityProtocol(r.SecurityProtocol)}
	}
	return endpoints
}

func endpointRecords(endpoints []Endpoint) []RecordEndpoint {
	records := make([]RecordEndpoint, len(endpoints))
	for i, e := range endpoints {
		records[i] = RecordEndpoint{e.Name, e.Host, e.Port, int16(e.SecurityProtocol)}
	}
	return records
}

func featuresOf(records []RecordFeature) map[string]VersionRange {
	features := make(map[string]VersionRange, len(records))
	for _, r := range records {
		features[r.Name] = VersionRange{r.MinSupportedVersion, r.MaxSupportedVersion}
	}
	return features
}

func featureRecords(features map[string]VersionRange) []RecordFeature {
	records := make([]RecordFeature, 0, len(features))
	for name, r := range features {
		records = append(records, RecordFeature{name, r.Min, r.Max})
	}
	slices.SortFunc(records, func(a, b RecordFeature) int { return cmp.Compare(a.Name, b.Name) })
	return records
}

func sortedUUIDs(ids []UUID) []UUID {
	if ids == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(ids), func(a, b UUID) int { return slices.Compare(a[:], b[:]) })
}
