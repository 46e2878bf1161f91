package raft

import (
	"errors"
	"fmt"

	"gregor/internal/journal"
	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Receive takes messages of another voter. An error says why they are not meant for this node; it wraps the code for the
// sender. What is only out of date is dropped without one. Receive does not wait, and may be called on any goroutine.
func (e *Engine) Receive(r *MessageRequest) error {
	if err := e.check(r); err != nil {
		return err
	}
	stranger := e.stranger(r)
	var messages []*pb.Message
	size := 0
	for i, data := range r.Messages {
		m, err := e.decode(r.From, data)
		if err != nil {
			return fmt.Errorf("%w: message %d of node %d: %w", kerr.InvalidRequest, i, r.From, err)
		}
		if stranger && etcd.IsResponseMsg(m.GetType()) {
			continue // what the voter promised, nobody else did
		}
		messages = append(messages, m)
		size += len(data)
	}
	e.mu.Lock()
	full := e.inboxBytes > 0 && e.inboxBytes+size > maxInboxBytes
	if !full {
		e.inboxBytes += size
		e.directory[r.From] = r.FromDirectory
	}
	e.mu.Unlock()
	if full {
		return nil
	}
	from := journal.Voter{ID: r.From, Endpoints: []journal.Endpoint{{Host: r.FromHost, Port: r.FromPort}}}
	e.enqueue(func() error {
		e.welcome(from)
		for _, m := range messages {
			if err := e.handle(m); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// Handle is Receive with the answer as a response.
func (e *Engine) Handle(r *MessageRequest) *MessageResponse {
	resp := &MessageResponse{Version: r.Version, VotersOffset: e.leftOut(r.From, r.FromDirectory)}
	if err := e.Receive(r); err != nil {
		resp.fail(err)
	}
	return resp
}

func (r *MessageResponse) fail(err error) {
	r.ErrorCode, r.Text = kerr.UnknownServerError.Code, err.Error()
	if code := (*kerr.Error)(nil); errors.As(err, &code) {
		r.ErrorCode = code.Code
	}
}

// check refuses what another cluster, another node or another disk sent, or what is for another.
func (e *Engine) check(r *MessageRequest) error {
	if err := checkAddressee(&e.o, r); err != nil {
		return err
	}
	e.mu.Lock()
	me := e.known.find(r.To)
	e.mu.Unlock()
	if me == nil && r.ToDirectory == (journal.DirectoryID{}) {
		// The sender knows a voter of this id by its configuration. That one's disk is gone: this log does not tell of it.
		return fmt.Errorf("%w: the log of node %d does not say that it votes, and node %d does not know it by its directory id",
			kerr.InconsistentVoterSet, r.To, r.From)
	}
	return nil
}

// checkAddressee refuses what is not for this node.
func checkAddressee(o *Options, r *MessageRequest) error {
	switch {
	case r.ClusterID != o.ClusterID:
		return fmt.Errorf("%w: node %d says that its cluster is %q, that of node %d is %q: one of controller.quorum.voters leads to the wrong process, or one directory was formatted for another cluster",
			kerr.InconsistentClusterID, r.From, r.ClusterID, o.NodeID, o.ClusterID)
	case r.To != o.NodeID:
		return fmt.Errorf("%w: a message for node %d came to node %d: controller.quorum.voters of node %d has the wrong address",
			kerr.InconsistentVoterSet, r.To, o.NodeID, r.From)
	case r.ToDirectory != (journal.DirectoryID{}) && r.ToDirectory != o.DirectoryID:
		return fmt.Errorf("%w: node %d looks for the voter %d with directory id %s, this one has %s: its disk was replaced, so remove the old voter and add this one (kafka-metadata-quorum remove-controller, add-controller)",
			kerr.InconsistentVoterSet, r.From, r.To, directoryText(r.ToDirectory), directoryText(o.DirectoryID))
	case r.From == o.NodeID || r.From < 0:
		return fmt.Errorf("%w: a message for node %d says that it comes from node %d", kerr.InconsistentVoterSet, r.To, r.From)
	}
	return nil
}

// stranger reports that our log knows another disk by the sender's id: the sender, or the voter in our log, is not one (any
// more). Its requests are judged by what they ask for: our log may be the old one.
func (e *Engine) stranger(r *MessageRequest) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.known.find(r.From)
	return v != nil && v.DirectoryID != (journal.DirectoryID{}) && r.FromDirectory != v.DirectoryID
}

// leftOut is where the change of the voters lies that a node, with its disk, is not part of, if it is committed; else -1.
func (e *Engine) leftOut(id int32, dir journal.DirectoryID) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.known.find(id)
	if e.known.version == 0 || e.known.offset >= e.status.Committed || v != nil && v.DirectoryID == dir {
		return -1
	}
	return e.known.offset
}

var errBadMessage = errors.New("not a message of a voter")

// decode reads a message and checks what the Raft library takes for granted.
func (e *Engine) decode(from int32, data []byte) (*pb.Message, error) {
	m := &pb.Message{}
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%w: %v", errBadMessage, err)
	}
	if m.GetFrom() != raftID(from) || m.GetTo() != raftID(e.o.NodeID) {
		return nil, fmt.Errorf("%w: from %d to %d", errBadMessage, nodeID(m.GetFrom()), nodeID(m.GetTo()))
	}
	if m.GetTerm() == 0 || m.GetTerm() > maxEpoch {
		return nil, fmt.Errorf("%w: epoch %d", errBadMessage, m.GetTerm())
	}
	if m.GetIndex() > 1<<62 || m.GetCommit() > 1<<62 || m.GetRejectHint() > 1<<62 || m.GetLogTerm() > maxEpoch {
		return nil, fmt.Errorf("%w: index %d, commit %d, hint %d of epoch %d", errBadMessage, m.GetIndex(), m.GetCommit(), m.GetRejectHint(), m.GetLogTerm())
	}
	switch m.GetType() {
	case pb.MsgApp:
		return m, checkEntries(m)
	case pb.MsgSnap:
		if c, ok := snapshotOf(m.GetSnapshot()); !ok {
			return nil, fmt.Errorf("%w: snapshot %s, index %d", errBadMessage, c.name(), c.index)
		}
	case pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow, pb.MsgPreVote, pb.MsgPreVoteResp:
	default:
		return nil, fmt.Errorf("%w: type %s", errBadMessage, m.GetType())
	}
	if len(m.GetEntries()) > 0 || len(m.GetResponses()) > 0 {
		return nil, fmt.Errorf("%w: %s with entries", errBadMessage, m.GetType())
	}
	return m, nil
}

// checkEntries refuses entries that are not batches, one behind the other.
func checkEntries(m *pb.Message) error {
	index, term, offset := m.GetIndex(), m.GetLogTerm(), int64(-1)
	for _, entry := range m.GetEntries() {
		index++
		if entry.GetIndex() != index || entry.GetTerm() < term || entry.GetTerm() > m.GetTerm() {
			return fmt.Errorf("%w: entry %d of epoch %d behind entry %d of epoch %d", errBadMessage, entry.GetIndex(), entry.GetTerm(), index-1, term)
		}
		term = entry.GetTerm()
		b, err := batchOf(entry)
		if err == nil {
			err = checkBatch(b, term, offset)
		}
		var voters bool
		if err == nil {
			_, voters, err = votersOf(b, voterSet{})
		}
		if err == nil && voters != (entry.GetType() == pb.EntryConfChangeV2) {
			err = fmt.Errorf("its type is %s", entry.GetType())
		}
		if err != nil {
			return fmt.Errorf("%w: entry %d: %w", errBadMessage, index, err)
		}
		offset = b.NextOffset()
	}
	return nil
}

// checkBatch checks a batch that is to be written as it is. offset is where it must begin, unless it is negative.
func checkBatch(b record.Batch, term uint64, offset int64) error {
	first, rest, err := record.Next(b)
	switch {
	case err != nil:
		return err
	case len(rest) > 0 || len(first) > journal.MaxBatchBytes+record.HeaderSize:
		return fmt.Errorf("%d bytes, the batch has %d", len(b), len(first))
	case b.LeaderEpoch() != int32(term) || b.BaseOffset() < 0 || b.LastOffsetDelta() < 0 || b.NextOffset() < b.BaseOffset():
		return fmt.Errorf("batch at offset %d, %d records, epoch %d", b.BaseOffset(), b.NumRecords(), b.LeaderEpoch())
	case offset >= 0 && b.BaseOffset() != offset:
		return fmt.Errorf("batch at offset %d, the one before ends at %d", b.BaseOffset(), offset)
	}
	return b.CheckCRC()
}

// handle gives a message to Raft, or keeps it away while this node must not act on it.
func (e *Engine) handle(m *pb.Message) error {
	now := e.node.BasicStatus()
	if e.join != nil {
		if ok, err := e.mayHandle(m); !ok || err != nil {
			return err
		}
	}
	switch m.GetType() {
	case pb.MsgHeartbeat:
		if m.GetTerm() >= now.GetTerm() && m.GetCommit() > e.log.lastIndex() {
			// The leader knows from us that we had this. The library would panic.
			return e.forgot(m.GetCommit())
		}
	case pb.MsgAppResp:
		if !m.GetReject() && m.GetTerm() == now.GetTerm() && m.GetIndex() > e.log.lastIndex() {
			return nil // nobody has more than we sent
		}
	case pb.MsgSnap:
		return e.offer(m)
	case pb.MsgTimeoutNow:
		if e.voters.find(e.o.NodeID) == nil {
			return nil
		}
	}
	if t := m.GetType(); t == pb.MsgApp || t == pb.MsgHeartbeat {
		e.silent = 0
	}
	e.heard(m)
	e.yield(m)
	if err := e.node.Step(m); err != nil {
		e.o.Logger.Debug("a message of another voter was dropped", "type", m.GetType(), "from", nodeID(m.GetFrom()), "error", err)
		return nil
	}
	if now.RaftState == etcd.StateLeader && m.GetType() == pb.MsgAppResp && m.GetTerm() > now.GetTerm() {
		e.leadAgain()
	}
	return nil
}

func directoryText(id journal.DirectoryID) string { return metadata.UUID(id).String() }
