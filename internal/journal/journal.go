// Package journal is where the metadata log is kept: the seam between the controller, which decides what is written,
// and the engine that makes it durable and its writer unique. Engine raft is the default; nobody but the node asks
// which one runs.
//
// A journal holds a sequence of batches. Each record has an offset, each batch the epoch of the leader that wrote it;
// epochs never go back. A batch is atomic: it is committed as a whole or not at all.
package journal

import (
	"context"
	"errors"
	"iter"
)

var (
	// ErrNotLeader refuses an append at an epoch in which this node does not lead (any more).
	ErrNotLeader = errors.New("not the leader of the metadata log")
	// ErrUnexpectedOffset refuses an append at another offset than the end of the log. The writer has lost count and
	// must start again from what is committed.
	ErrUnexpectedOffset = errors.New("not the end of the metadata log")
	// ErrTooLarge refuses a batch over MaxBatchBytes.
	ErrTooLarge = errors.New("metadata batch is too large")
	// ErrCorrupt is wrapped when what is on disk is damaged where it was durable once. The text names file and offset.
	ErrCorrupt = errors.New("metadata log is corrupt")
	// ErrClosed refuses everything after Close.
	ErrClosed = errors.New("metadata log is closed")
)

// MaxBatchBytes bounds one batch; Kafka's quorum has the same limit.
const MaxBatchBytes = 8 << 20

// Batch is one committed batch.
type Batch struct {
	Offset      int64 // of the first record
	LastOffset  int64
	Epoch       int32
	TimestampMs int64    // when its leader wrote it
	SizeBytes   int      // in the log
	Values      [][]byte // record values; empty in a control batch, which takes up offsets all the same
}

// Snapshot is the whole state as of one offset.
type Snapshot struct {
	LastOffset  int64 // last offset that the snapshot holds
	Epoch       int32 // of the record there
	TimestampMs int64 // of the record there
	Values      iter.Seq2[[]byte, error]
}

// Handler is told what happens to the log, by one goroutine of the journal and in order. It must not block for long
// and must not call Close.
type Handler interface {
	// Load replaces all state by a snapshot: at the start, and later on a node that fell so far behind that the log
	// between is gone. Values must be read before it returns; an error ends the journal.
	Load(s Snapshot) error
	// Commit hands over the next committed batches.
	Commit(batches []Batch) error
	// Lead tells that this node may append at an epoch, from an offset on. Everything before it was committed and
	// handed over.
	Lead(epoch int32, nextOffset int64)
	// Follow tells that this node may not append (any more). leader is -1 while there is none. Batches that were
	// appended and not handed over by Commit may still be committed, or lost.
	Follow(epoch int32, leader int32)
	// Fail tells that the journal has ended because of an error, such as one of the disk. Nothing comes after it.
	Fail(err error)
}

// Journal is one node's end of the metadata log.
type Journal interface {
	// Start delivers to h from now on: first the newest snapshot, if there is one, then what is committed after it.
	Start(h Handler) error
	// Append proposes a batch at the end of the log. It returns before the batch is durable; Commit tells when it is.
	// offset must be that of Lead, or the end of the last append. It keeps values.
	Append(epoch int32, offset, timestampMs int64, values [][]byte) error
	// Campaign asks to become the leader now; the answer is a call of Lead or Follow.
	Campaign()
	// Save makes a snapshot of what was committed up to s.LastOffset durable and forgets the log before it, as far as
	// the retention configuration allows. A journal whose members share what they keep has its leader do that, and returns
	// ErrNotLeader elsewhere.
	Save(ctx context.Context, s Snapshot) error
	// Status tells where the log stands.
	Status() Status
	// Resign hands leadership to the voter that has most of the log, and returns when somebody else leads. Without
	// leadership or other voters it does nothing.
	Resign(ctx context.Context) error
	// Close ends delivery and closes the files. Batches that are not committed may be lost.
	Close() error
}

// Status is where a journal stands.
type Status struct {
	Leader      int32 // -1 when unknown
	Epoch       int32
	Voters      []int32
	StartOffset int64 // first offset in the log
	EndOffset   int64 // next offset to be written
	Committed   int64 // high watermark: first offset that is not committed
	Snapshot    int64 // end offset of the newest snapshot, 0 when there is none

	KRaftVersion int16 // 1: the voters live in the log (KIP-853)
}
