package controller

import (
	"math"
	"net"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Entity types of client quotas (KIP-546).
const (
	quotaUser     = "user"
	quotaClientID = "client-id"
	quotaIP       = "ip"
)

// quotaKeys are the quotas there are, and whether their values are whole numbers up to a bound.
var (
	clientQuotaKeys = map[string]float64{"producer_byte_rate": math.MaxInt64, "consumer_byte_rate": math.MaxInt64, "request_percentage": 0, "controller_mutation_rate": 0}
	ipQuotaKeys     = map[string]float64{"connection_creation_rate": math.MaxInt32}
)

// alterClientQuotas decides AlterClientQuotas (KIP-546).
func (m *machine) alterClientQuotas(req *kmsg.AlterClientQuotasRequest) decision {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	var records []metadata.Record
	for _, entry := range req.Entries {
		made, err := m.alterQuota(entry)
		records = append(records, made...)
		result := kmsg.NewAlterClientQuotasResponseEntry()
		for _, part := range entry.Entity {
			result.Entity = append(result.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
		}
		err.put(&result.ErrorCode, &result.ErrorMessage)
		resp.Entries = append(resp.Entries, result)
	}
	if req.ValidateOnly {
		records = nil
	}
	return decision{records: records, reply: resp}
}

func (m *machine) alterQuota(entry kmsg.AlterClientQuotasRequestEntry) ([]metadata.Record, *apiError) {
	entity, keys, err := quotaEntity(entry.Entity)
	if err != nil {
		return nil, err
	}
	old := map[string]float64{}
	if q := m.hard.image.Quota(entity); q != nil {
		old = q.Values
	}
	seen := map[string]bool{}
	var records []metadata.Record
	for _, op := range entry.Ops {
		if seen[op.Key] {
			return nil, refuse(kerr.InvalidRequest, "Duplicate quota key %s not updating quota for this entity", op.Key)
		}
		seen[op.Key] = true
		value, had := old[op.Key]
		if op.Remove {
			if had {
				records = append(records, &metadata.ClientQuotaRecord{Entity: entity, Key: op.Key, Remove: true})
			}
			continue
		}
		if err := checkQuota(keys, op.Key, op.Value); err != nil {
			return nil, err
		}
		if !had || value != op.Value {
			records = append(records, &metadata.ClientQuotaRecord{Entity: entity, Key: op.Key, Value: op.Value})
		}
	}
	return records, nil
}

// quotaEntity checks an entity and returns the quotas that it can have.
func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) ([]metadata.QuotaEntity, map[string]float64, *apiError) {
	if len(parts) == 0 {
		return nil, nil, refuse(kerr.InvalidRequest, "Invalid empty client quota entity")
	}
	var entity []metadata.QuotaEntity
	has := map[string]bool{}
	for _, p := range parts {
		if has[p.Type] {
			return nil, nil, refuse(kerr.InvalidRequest, "Invalid client quota entity, duplicate entity entry %s", p.Type)
		}
		has[p.Type] = true
		switch p.Type {
		case quotaUser, quotaClientID, quotaIP:
		default:
			return nil, nil, refuse(kerr.InvalidRequest, "Unhandled client quota entity type: %s", p.Type)
		}
		if p.Name != nil && *p.Name == "" {
			return nil, nil, refuse(kerr.InvalidRequest, "Empty %s not supported", p.Type)
		}
		if p.Type == quotaIP && p.Name != nil && net.ParseIP(*p.Name) == nil {
			return nil, nil, refuse(kerr.InvalidRequest, "%s is not a valid IP or resolvable host.", *p.Name)
		}
		entity = append(entity, metadata.QuotaEntity{EntityType: p.Type, EntityName: p.Name})
	}
	switch {
	case has[quotaIP] && len(parts) > 1:
		// Kafka's text, as it is.
		return nil, nil, refuse(kerr.InvalidRequest, "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")
	case has[quotaIP]:
		return entity, ipQuotaKeys, nil
	}
	return entity, clientQuotaKeys, nil
}

func checkQuota(keys map[string]float64, key string, value float64) *apiError {
	whole, ok := keys[key]
	switch {
	case !ok:
		return refuse(kerr.InvalidRequest, "Invalid configuration key %s", key)
	case !(value > 0) || math.IsInf(value, 1):
		return refuse(kerr.InvalidRequest, "Quota %s must be greater than 0", key)
	case whole == math.MaxInt32 && value > whole:
		return refuse(kerr.InvalidRequest, "Proposed value for %s is too large for an INT.", key)
	case whole == math.MaxInt64 && value > whole:
		return refuse(kerr.InvalidRequest, "Proposed value for %s is too large for a LONG.", key)
	case whole > 0 && math.Abs(math.Mod(value, 1)) > 1e-6:
		return refuse(kerr.InvalidRequest, "%s cannot be a fractional value.", key)
	}
	return nil
}
