package raft

import (
	"slices"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// promises reports whether a message says that something of ours is durable: a vote, or entries that we have.
func promises(t pb.MessageType) bool {
	return t == pb.MsgAppResp || t == pb.MsgVoteResp || t == pb.MsgPreVoteResp
}

// send hands the messages of one kind to the links: those that promise something, or the others.
func (e *Engine) send(messages []*pb.Message, promising bool) error {
	for _, m := range messages {
		if promises(m.GetType()) != promising {
			continue
		}
		if err := e.sendOne(m); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) sendOne(m *pb.Message) error {
	if m.GetType() == pb.MsgApp {
		if meant, err := e.fillEmpty(m); err != nil || !meant {
			return err
		}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	r := &MessageRequest{
		ClusterID: e.o.ClusterID, From: e.o.NodeID, To: nodeID(m.GetTo()), FromDirectory: e.o.DirectoryID, Messages: [][]byte{data},
	}
	if etcd.IsResponseMsg(m.GetType()) {
		// It is for who asked, and our log may know an older voter by that id.
		e.mu.Lock()
		r.ToDirectory = e.directory[r.To]
		e.mu.Unlock()
	} else if v := e.voters.find(r.To); v != nil {
		r.ToDirectory = v.DirectoryID
	}
	if v := e.voters.find(r.From); v != nil && len(v.Endpoints) > 0 {
		r.FromHost, r.FromPort = v.Endpoints[0].Host, v.Endpoints[0].Port
	}
	if e.o.Stepped {
		e.mu.Lock()
		e.out = append(e.out, r)
		e.mu.Unlock()
	} else if !e.links.send(r) {
		e.unreachable(r.To)
	}
	return nil
}

// unreachable tells Raft that messages to a node were lost.
func (e *Engine) unreachable(id int32) {
	e.enqueue(func() error { e.node.ReportUnreachable(raftID(id)); return nil })
}

// fillEmpty gives the empty entry of a new leader the bytes of its LeaderChange: what is on the wire is what is on disk.
// The message is not meant any more if this node was deposed in the same turn in which it was elected: its entry then
// never came into the log.
func (e *Engine) fillEmpty(m *pb.Message) (meant bool, err error) {
	cloned := false
	for i, entry := range m.GetEntries() {
		if len(entry.GetData()) > 0 {
			continue
		}
		b := e.term
		if b == nil || b.LeaderEpoch() != int32(entry.GetTerm()) {
			i := entry.GetIndex()
			if i < e.log.first || i > e.log.lastIndex() || uint64(e.log.at(i).epoch) != entry.GetTerm() {
				return false, nil
			}
			if b, err = e.log.read(e.log.at(i)); err != nil {
				return false, err
			}
		}
		filled, err := raftEntry(entry.GetIndex(), b, false)
		if err != nil {
			return false, err
		}
		if !cloned {
			m.Entries, cloned = slices.Clone(m.Entries), true // Raft's own
		}
		m.Entries[i] = filled
	}
	return true, nil
}

// Outgoing takes what is to be sent to other voters. It is for an engine that is Stepped.
func (e *Engine) Outgoing() []*MessageRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.out
	e.out = nil
	return out
}
