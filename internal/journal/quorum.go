package journal

import (
	"context"
	"errors"
)

var (
	// ErrPositionOutOfRange refuses a read behind the end of a snapshot.
	ErrPositionOutOfRange = errors.New("position is not in the snapshot")
	// ErrSnapshotNotFound refuses a read of a snapshot that is not here (any more).
	ErrSnapshotNotFound = errors.New("no such snapshot")
	// ErrOffsetOutOfRange refuses a read behind the end of the log.
	ErrOffsetOutOfRange = errors.New("offset is not in the metadata log")

	// ErrChangePending refuses a change of the voters before the one before it is committed.
	ErrChangePending = errors.New("another change of the voters is not committed yet")
	// ErrDuplicateVoter refuses to add a node that votes already.
	ErrDuplicateVoter = errors.New("the node is a voter already")
	// ErrVoterNotFound refuses to remove or update who is not a voter.
	ErrVoterNotFound = errors.New("the node is not a voter")
	// ErrLastVoter refuses to remove the only voter.
	ErrLastVoter = errors.New("the quorum would have no voter left")
	// ErrNotCaughtUp refuses to add a voter that does not follow the log closely enough to count.
	ErrNotCaughtUp = errors.New("the node has not caught up with the metadata log")
	// ErrInvalidVoter refuses a voter without directory id or endpoint.
	ErrInvalidVoter = errors.New("not a valid voter")
)

// DirectoryID names the directory of a voter's log; zero is unknown. A voter is the same only with the same one, so a
// node whose disk was replaced is another voter (KIP-853).
type DirectoryID = [16]byte

// Endpoint is where a voter's controller listener is.
type Endpoint struct {
	Name, Host string
	Port       uint16
}

// Voter is a node whose copy of the log counts.
type Voter struct {
	ID          int32
	DirectoryID DirectoryID // zero while kraft.version is 0, when voters are known by id alone
	Endpoints   []Endpoint
}

// VoterChange is one change of the voters. Exactly one field is set.
type VoterChange struct {
	Add    *Voter
	Remove *VoterKey
	Update *Voter // new endpoints of a voter, found by id and directory id
	// Upgrade lets the voters live in the log from now on (kraft.version 1), those of the configuration. Add and Remove
	// do it by themselves.
	Upgrade bool
}

// VoterKey names one voter.
type VoterKey struct {
	ID          int32
	DirectoryID DirectoryID
}

// ReplicaState is where one node's copy of the log stands, as the leader sees it (KIP-595, KIP-836).
type ReplicaState struct {
	ID             int32
	DirectoryID    DirectoryID
	LogEndOffset   int64 // -1 when unknown
	LastFetchMs    int64 // when it was last heard of; -1 when never
	LastCaughtUpMs int64 // when it last had everything; -1 when never
}

// QuorumState describes the quorum. Only the leader knows where others stand.
type QuorumState struct {
	Leader        int32 // -1 when unknown
	Epoch         int32
	HighWatermark int64
	KRaftVersion  int16 // 1: the voters live in the log
	Voters        []ReplicaState
	Observers     []ReplicaState
}

// FetchPosition is where a reader of the log stands.
type FetchPosition struct {
	Offset    int64 // next offset that it wants
	LastEpoch int32 // epoch of the record before it; 0 at offset 0, -1 to skip the check
}

// LogRead is an answer to a reader of the log: batches, or why there are none.
type LogRead struct {
	Records       []byte // whole committed batches as they are on disk; the first may be larger than what was asked for
	HighWatermark int64
	StartOffset   int64
	Diverging     *EpochEnd   // the reader's log is another one from there on; it must cut it off
	Snapshot      *SnapshotID // the log begins later; the reader must take this first
}

// EpochEnd is where an epoch ends in the log.
type EpochEnd struct {
	Epoch  int32
	Offset int64 // of the record behind its last one
}

// SnapshotID names a snapshot: the state before an offset, whose last record is of an epoch.
type SnapshotID struct {
	End   int64
	Epoch int32
}

// Quorum is what a node that holds the log for others shows of it. All but ChangeVoters is cheap, and may be called on
// any goroutine.
type Quorum interface {
	// Describe tells who votes, who leads and how far everybody is.
	Describe() QuorumState
	// Voters are the voters of the newest change in the log, committed or not.
	Voters() []Voter
	// ReadLog reads committed batches for an observer. Everybody may ask; whether this node leads is the caller's to check.
	ReadLog(from FetchPosition, maxBytes int) (LogRead, error)
	// ReadSnapshot reads a part of a snapshot file, and tells its size.
	ReadSnapshot(id SnapshotID, position int64, maxBytes int) (data []byte, sizeBytes int64, err error)
	// WaitCommitted returns when the high watermark is above an offset, or the leader or epoch changed, or ctx ended.
	WaitCommitted(ctx context.Context, above int64) error
	// ObserverFetched notes that an observer asked for an offset, and so has everything before it.
	ObserverFetched(id int32, dir DirectoryID, offset, nowMs int64)
	// ChangeVoters changes the voters and returns when the change is committed. ErrNotLeader when this node does not lead,
	// or was asked to remove itself: then it hands leadership over first.
	ChangeVoters(ctx context.Context, change VoterChange) error
}
