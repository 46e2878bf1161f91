package metadata

import (
	"cmp"
	"slices"
)

// Quota is what one client entity may use. It is immutable.
type Quota struct {
	Entity []QuotaEntity // sorted by type
	Values map[string]float64
}

// quotaKey is the bytes under which an entity is kept, whatever the order of its parts.
func quotaKey(entity []QuotaEntity) []byte {
	var e encoder
	for _, part := range sortedEntity(entity) {
		e.string(part.EntityType)
		e.nullString(part.EntityName)
	}
	return e.b
}

func sortedEntity(entity []QuotaEntity) []QuotaEntity {
	return slices.SortedFunc(slices.Values(entity), func(a, b QuotaEntity) int {
		return cmp.Compare(a.EntityType, b.EntityType)
	})
}
