package raft

import (
	"context"
	"fmt"

	"gregor/internal/journal"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Receive takes messages of another voter. An error says why they are not meant for this node; messages that are only out
// of date are dropped without one. It does not wait, and may be called on any goroutine.
func (e *Engine) Receive(r *MessageRequest) error {
	if r.ClusterID != e.o.ClusterID {
		return fmt.Errorf("%w: node %d is in cluster %q, this node (%d) in %q", kerr.InconsistentClusterID, r.From, r.ClusterID, e.o.NodeID, e.o.ClusterID)
	}
	return nil
}

// Handle is Receive with the answer as a response.
func (e *Engine) Handle(r *MessageRequest) *MessageResponse {
	resp := &MessageResponse{Version: r.Version}
	if err := e.Receive(r); err != nil {
		resp.ErrorCode, resp.Text = kerr.UnknownServerError.Code, err.Error()
	}
	return resp
}

// PeerGone tells that a voter's process has ended. If it led, the others elect another at once instead of after the
// election timeout.
func (e *Engine) PeerGone(id int32) {}

// Outgoing takes what is to be sent to other voters. It is for an engine that is Stepped.
func (e *Engine) Outgoing() []*MessageRequest { return nil }

// Tick tells that a tenth of the election timeout has passed. It is for an engine that is Stepped.
func (e *Engine) Tick() {}

// Resign implements journal.Journal.
func (e *Engine) Resign(ctx context.Context) error { return nil }

// Describe implements journal.Quorum.
func (e *Engine) Describe() journal.QuorumState { return journal.QuorumState{Leader: -1} }

// Voters implements journal.Quorum.
func (e *Engine) Voters() []journal.Voter { return []journal.Voter{{ID: e.o.NodeID}} }

// ReadLog implements journal.Quorum.
func (e *Engine) ReadLog(from journal.FetchPosition, maxBytes int) (journal.LogRead, error) {
	return journal.LogRead{}, journal.ErrClosed
}

// ReadSnapshot implements journal.Quorum.
func (e *Engine) ReadSnapshot(id journal.SnapshotID, position int64, maxBytes int) (data []byte, sizeBytes int64, err error) {
	return nil, 0, journal.ErrSnapshotNotFound
}

// WaitCommitted implements journal.Quorum.
func (e *Engine) WaitCommitted(ctx context.Context, above int64) error {
	<-ctx.Done()
	return ctx.Err()
}

// ObserverFetched implements journal.Quorum.
func (e *Engine) ObserverFetched(id int32, dir journal.DirectoryID, offset, nowMs int64) {}

// ChangeVoters implements journal.Quorum.
func (e *Engine) ChangeVoters(ctx context.Context, change journal.VoterChange) error {
	return journal.ErrNotLeader
}
