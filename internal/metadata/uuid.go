package metadata

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// ErrBadUUID is wrapped by ParseUUID.
var ErrBadUUID = errors.New("not a Kafka UUID")

// UUID is Kafka's 128 bit identifier of topics, directories, incarnations and clusters.
type UUID [16]byte

// Reserved identifiers. Kafka never hands out the first hundred values (org.apache.kafka.common.Uuid, KIP-858).
var (
	ZeroUUID = UUID{}
	// OneUUID names the metadata topic `__cluster_metadata` (KIP-595).
	OneUUID = UUID{15: 1}

	// MetadataTopicID is the id of `__cluster_metadata`.
	MetadataTopicID = OneUUID

	// DirUnassigned marks a replica whose log directory is not known yet (KIP-858).
	DirUnassigned = UUID{}
	// DirLost marks a replica that was in a log directory that failed.
	DirLost = UUID{15: 1}
	// DirMigrating marks a replica of a broker that was moving from ZooKeeper.
	DirMigrating = UUID{15: 2}
)

var encoding = base64.RawURLEncoding

// NewUUID returns a random version 4 identifier whose text does not start with '-', so that tools take it as an
// argument and not as a flag.
func NewUUID() UUID {
	for {
		var u UUID
		rand.Read(u[:]) // never fails
		u[6] = u[6]&0x0f | 0x40
		u[8] = u[8]&0x3f | 0x80
		if !u.IsReserved() && u.String()[0] != '-' {
			return u
		}
	}
}

// ParseUUID reads the 22 characters of base64url that String writes; Kafka takes padding too.
func ParseUUID(s string) (UUID, error) {
	if len(s) > 24 {
		return UUID{}, fmt.Errorf("%w: %q is longer than 24 characters", ErrBadUUID, s[:24])
	}
	trimmed := s
	for len(trimmed) > 0 && trimmed[len(trimmed)-1] == '=' {
		trimmed = trimmed[:len(trimmed)-1]
	}
	raw, err := encoding.DecodeString(trimmed)
	if err != nil || len(raw) != 16 {
		return UUID{}, fmt.Errorf("%w: %q (want 22 characters of base64url)", ErrBadUUID, s)
	}
	return UUID(raw), nil
}

// String returns Kafka's form: base64url without padding, 22 characters.
func (u UUID) String() string { return encoding.EncodeToString(u[:]) }

// IsZero reports whether u is the null identifier.
func (u UUID) IsZero() bool { return u == ZeroUUID }

// IsReserved reports whether u is one of the first hundred values, which Kafka keeps for itself.
func (u UUID) IsReserved() bool {
	for _, b := range u[:15] {
		if b != 0 {
			return false
		}
	}
	return u[15] < 100
}
