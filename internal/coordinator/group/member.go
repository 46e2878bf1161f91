package group

import (
	"bytes"
	"slices"

	"gregor/internal/coordinator"
)

// protocol is one of the assignment protocols a member offers, in the order of its preference.
type protocol struct {
	name     string
	metadata []byte
}

// member is one member of a generation.
type member struct {
	id                 string
	instanceID         *string // static members (KIP-345)
	clientID           string
	clientHost         string
	rebalanceTimeoutMs int32
	sessionTimeoutMs   int32
	protocols          []protocol
	assignment         []byte

	// What follows is lost on failover; the member's request then fails with NOT_COORDINATOR and is sent again.

	join      coordinator.Token // the JoinGroup request that waits, or 0
	sync      coordinator.Token // the SyncGroup request that waits, or 0
	isNew     bool              // has not seen a generation yet: its client does not know the member id, so cannot send heartbeats
	heartbeat timer
}

func (m *member) awaitsJoin() bool { return m.join != 0 }
func (m *member) awaitsSync() bool { return m.sync != 0 }

// excused tells whether the member need not send heartbeats just now: it waits for us. A new member is not excused even
// then, because a client that has gone while its JoinGroup waits could not be noticed otherwise.
func (m *member) excused() bool { return !m.isNew && (m.awaitsJoin() || m.awaitsSync()) }

// metadata is what the member said with the named protocol.
func (m *member) metadata(name string) []byte {
	for i := range m.protocols {
		if m.protocols[i].name == name {
			return m.protocols[i].metadata
		}
	}
	return nil
}

// offers tells whether the member's protocols are the same as ps, in the same order.
func (m *member) offers(ps []protocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b protocol) bool {
		return a.name == b.name && bytes.Equal(a.metadata, b.metadata)
	})
}
