package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeClientQuotas: versions 0-1 (KIP-546, KIP-599), from what this broker knows.
func (b *Broker) describeClientQuotas(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	if code, why := checkQuotaFilter(req); code != nil {
		why = controller.ClipText(why)
		resp.ErrorCode, resp.ErrorMessage = code.Code, &why
		r.Reply(resp)
		return
	}
	resp.Entries, resp.ErrorMessage = []kmsg.DescribeClientQuotasResponseEntry{}, new("") // as Kafka has it
	for q := range b.image().Quotas() {
		if !quotaMatches(req, q) {
			continue
		}
		entry := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, part := range q.Entity {
			entry.Entity = append(entry.Entity, kmsg.DescribeClientQuotasResponseEntryEntity{Type: part.EntityType, Name: part.EntityName})
		}
		for _, key := range slices.Sorted(maps.Keys(q.Values)) {
			entry.Values = append(entry.Values, kmsg.DescribeClientQuotasResponseEntryValue{Key: key, Value: q.Values[key]})
		}
		resp.Entries = append(resp.Entries, entry)
	}
	r.Reply(resp)
}

func checkQuotaFilter(req *kmsg.DescribeClientQuotasRequest) (code *kerr.Error, why string) {
	has := map[string]bool{}
	for _, c := range req.Components {
		switch {
		case c.EntityType == "":
			return kerr.InvalidRequest, "Invalid empty entity type."
		case c.EntityType != "user" && c.EntityType != "client-id" && c.EntityType != "ip":
			return kerr.UnsupportedVersion, fmt.Sprintf("Unsupported entity type %s", c.EntityType)
		case has[c.EntityType]:
			return kerr.InvalidRequest, fmt.Sprintf("Entity type %s cannot appear more than once in the filter.", c.EntityType)
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny:
			return kerr.InvalidRequest, fmt.Sprintf("Unexpected match type: %d", c.MatchType)
		case (c.MatchType == kmsg.QuotasMatchTypeExact) != (c.Match != nil):
			return kerr.InvalidRequest, "Request specified a match that does not fit its match type"
		}
		has[c.EntityType] = true
	}
	if has["ip"] && len(has) > 1 {
		return kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component."
	}
	return nil, ""
}

// quotaMatches reports whether every component fits the entity; strict ones allow the entity no other parts.
func quotaMatches(req *kmsg.DescribeClientQuotasRequest, q *metadata.Quota) bool {
	for _, c := range req.Components {
		i := slices.IndexFunc(q.Entity, func(part metadata.QuotaEntity) bool { return part.EntityType == c.EntityType })
		if i < 0 {
			return false
		}
		name := q.Entity[i].EntityName
		switch c.MatchType {
		case kmsg.QuotasMatchTypeExact:
			if name == nil || *name != *c.Match {
				return false
			}
		case kmsg.QuotasMatchTypeDefault:
			if name != nil {
				return false
			}
		}
	}
	return !req.Strict || len(q.Entity) == len(req.Components)
}
