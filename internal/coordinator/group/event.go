package group

import "github.com/twmb/franz-go/pkg/kmsg"

// Event is one thing that happens to the machine of a partition.
type Event struct {
	Caller  Caller
	Request kmsg.Request
	// NewMemberID is the id a JoinGroup request is given if it brings none: ids are random, so they come from outside.
	NewMemberID string
	// Guard goes with a TxnOffsetCommit: see coordinator.Log.
	Guard uint64
	// DeletedTopics, with a nil Request, are topics whose offsets go.
	DeletedTopics []string
}
