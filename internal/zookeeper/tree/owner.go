package tree

import "math"

// kind is what a node's ephemeralOwner says it is (EphemeralType).
type kind uint8

const (
	persistent kind = iota
	ephemeral       // of the session that the owner is
	container
	ttl
)

const (
	containerOwner int64  = math.MinInt64
	ttlMask        uint64 = 0xff00_0000_0000_0000
	ttlReserved    uint64 = 0x00ff_ff00_0000_0000 // 0 means a TTL; nothing else is known
	maxTTLMs       int64  = 0x0000_00ff_ffff_ffff // 34 years
)

// ownerKind reads an owner. Sessions whose id begins with 0xff could not be told from TTL nodes: ids must not.
func ownerKind(owner int64) kind {
	switch {
	case owner == 0:
		return persistent
	case owner == containerOwner:
		return container
	case uint64(owner)&(ttlMask|ttlReserved) == ttlMask:
		return ttl
	}
	return ephemeral
}

func ttlOwner(ttlMs int64) int64 { return int64(ttlMask | uint64(ttlMs)) }

func ownerTTLMs(owner int64) int64 { return owner & maxTTLMs }
