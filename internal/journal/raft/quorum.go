package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sort"

	"gregor/internal/journal"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// replica is what the leader remembers of another node, soft state that begins anew with every leader.
type replica struct {
	offset         int64 // next one that it wants
	lastFetchMs    int64
	lastCaughtUpMs int64
	end            int64 // our end of the log at its last fetch
}

// observerMs is how long an observer that is silent is still described, as in Kafka.
const observerMs = 5 * 60 * 1000

// heard notes that a voter follows this leader.
func (e *Engine) heard(m *pb.Message) {
	if !e.isMe || m.GetTerm() != uint64(e.quorum.LeaderEpoch) || m.GetType() != pb.MsgAppResp && m.GetType() != pb.MsgHeartbeatResp {
		return
	}
	id, now := nodeID(m.GetFrom()), e.o.Now().UnixMilli()
	r := e.replicas[id]
	if r == nil {
		r = &replica{lastCaughtUpMs: -1}
		e.replicas[id] = r
	}
	if m.GetType() == pb.MsgAppResp && !m.GetReject() {
		r.offset = e.offsetAfter(m.GetIndex())
	}
	if r.offset >= e.log.endOffset() {
		r.lastCaughtUpMs = now
	}
	r.lastFetchMs = now
}

// offsetAfter is the offset behind the batch with a Raft index, as far as it is in the table.
func (e *Engine) offsetAfter(index uint64) int64 {
	switch {
	case index < e.log.first:
		return e.log.snapshot.end
	case index > e.log.lastIndex():
		return e.log.endOffset()
	}
	return e.log.at(index).next()
}

// Describe implements journal.Quorum. It waits for what the goroutine does at the moment, so a Handler must not call it.
func (e *Engine) Describe() journal.QuorumState {
	q := journal.QuorumState{Leader: -1}
	if err := e.do(context.Background(), func() error { q = e.describe(); return nil }); err != nil {
		s := e.Status()
		q = journal.QuorumState{Leader: -1, Epoch: s.Epoch, HighWatermark: s.Committed}
		for _, v := range e.Voters() {
			q.Voters = append(q.Voters, unknown(v))
		}
	}
	return q
}

func (e *Engine) describe() journal.QuorumState {
	s, now := e.status, e.o.Now().UnixMilli()
	q := journal.QuorumState{Leader: s.Leader, Epoch: s.Epoch, HighWatermark: s.Committed, KRaftVersion: e.voters.version}
	match := map[int32]int64{}
	if e.isMe {
		e.node.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) {
			if p.Match > 0 {
				match[nodeID(id)] = e.offsetAfter(p.Match)
			}
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.voters.voters {
		r := unknown(v)
		if v.DirectoryID == (journal.DirectoryID{}) {
			r.DirectoryID = e.directory[v.ID]
		}
		if v.ID == e.o.NodeID {
			r.DirectoryID, r.LogEndOffset = e.o.DirectoryID, s.EndOffset
			if e.isMe {
				r.LastFetchMs, r.LastCaughtUpMs = now, now
			}
		} else if e.isMe {
			if offset, ok := match[v.ID]; ok {
				r.LogEndOffset = offset
			}
			if seen := e.replicas[v.ID]; seen != nil {
				r.LastFetchMs, r.LastCaughtUpMs = seen.lastFetchMs, seen.lastCaughtUpMs
			}
		}
		q.Voters = append(q.Voters, r)
	}
	for key, o := range e.observers {
		v := e.voters.find(key.ID)
		if now-o.lastFetchMs > observerMs || v != nil && (v.DirectoryID == key.DirectoryID || v.DirectoryID == journal.DirectoryID{}) {
			delete(e.observers, key)
		} else if e.isMe {
			q.Observers = append(q.Observers, journal.ReplicaState{ID: key.ID, DirectoryID: key.DirectoryID, LogEndOffset: o.offset, LastFetchMs: o.lastFetchMs, LastCaughtUpMs: o.lastCaughtUpMs})
		}
	}
	slices.SortFunc(q.Observers, func(a, b journal.ReplicaState) int { return int(a.ID) - int(b.ID) })
	return q
}

// Voters implements journal.Quorum.
func (e *Engine) Voters() []journal.Voter {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.known.voters)
}

// ReadLog implements journal.Quorum. Readers behind the newest snapshot are sent to it.
func (e *Engine) ReadLog(from journal.FetchPosition, maxBytes int) (journal.LogRead, error) {
	s := e.Status()
	r := journal.LogRead{HighWatermark: s.Committed, StartOffset: s.StartOffset}
	l := e.log
	l.mu.RLock()
	defer l.mu.RUnlock()
	if from.Offset > l.endOffset() || from.Offset < 0 {
		return r, fmt.Errorf("%w: %d, the end is %d", journal.ErrOffsetOutOfRange, from.Offset, l.endOffset())
	}
	if from.Offset < l.snapshot.end {
		id := l.snapshot.id()
		r.Snapshot = &id
		return r, nil
	}
	if from.LastEpoch >= 0 && from.Offset > 0 {
		if end := l.endOfEpoch(from.LastEpoch); end.Epoch != from.LastEpoch || end.Offset < from.Offset {
			r.Diverging = &end
			return r, nil
		}
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].next() > from.Offset })
	for ; i < len(l.entries); i++ {
		en := &l.entries[i]
		if en.next() > s.Committed || len(r.Records) > 0 && len(r.Records)+int(en.size) > maxBytes {
			break
		}
		if en.data != nil {
			r.Records = append(r.Records, en.data...)
			continue
		}
		b, err := readEntry(en)
		if err != nil {
			return r, err
		}
		r.Records = append(r.Records, b...)
	}
	return r, nil
}

// endOfEpoch is the newest epoch of the log that is not above one, and where it ends.
func (l *metaLog) endOfEpoch(epoch int32) journal.EpochEnd {
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].epoch > epoch })
	if i > 0 {
		return journal.EpochEnd{Epoch: l.entries[i-1].epoch, Offset: l.entries[i-1].next()}
	}
	return journal.EpochEnd{Epoch: l.snapshot.epoch, Offset: l.snapshot.end}
}

// ReadSnapshot implements journal.Quorum.
func (e *Engine) ReadSnapshot(id journal.SnapshotID, position int64, maxBytes int) (data []byte, sizeBytes int64, err error) {
	c := checkpoint{end: id.End, epoch: id.Epoch}
	e.log.mu.RLock()
	newer := c.end > e.log.snapshot.end
	e.log.mu.RUnlock()
	if newer || c.end <= 0 || c.epoch < 0 {
		return nil, 0, fmt.Errorf("%w: %s", journal.ErrSnapshotNotFound, c.name())
	}
	f, err := e.o.FS.Open(filepath.Join(e.dir, c.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", journal.ErrSnapshotNotFound, c.name())
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, 0, err
	}
	if position < 0 || position >= size {
		return nil, size, fmt.Errorf("%w: %d, the file has %d bytes", journal.ErrPositionOutOfRange, position, size)
	}
	data = make([]byte, min(int64(min(max(maxBytes, 1), maxPartBytes)), size-position))
	if _, err := f.ReadAt(data, position); err != nil && err != io.EOF {
		return nil, size, err
	}
	return data, size, nil
}

// maxPartBytes bounds an answer of ReadSnapshot, whatever was asked for.
const maxPartBytes = 8 << 20

// WaitCommitted implements journal.Quorum.
func (e *Engine) WaitCommitted(ctx context.Context, above int64) error {
	leader, epoch := int32(math.MinInt32), int32(0)
	return e.await(ctx, func() bool {
		if leader == math.MinInt32 {
			leader, epoch = e.status.Leader, e.status.Epoch
		}
		return e.status.Committed > above || e.status.Leader != leader || e.status.Epoch != epoch
	})
}

// ObserverFetched implements journal.Quorum.
func (e *Engine) ObserverFetched(id int32, dir journal.DirectoryID, offset, nowMs int64) {
	e.mu.Lock()
	key := journal.VoterKey{ID: id, DirectoryID: dir}
	o := e.observers[key]
	if o == nil {
		if len(e.observers) >= maxObservers {
			e.mu.Unlock()
			return
		}
		o = &replica{lastCaughtUpMs: -1}
		e.observers[key] = o
	}
	// It had everything at its fetch before this one if it now asks for what came after (KIP-595).
	switch {
	case offset >= e.status.Committed:
		o.lastCaughtUpMs = nowMs
	case o.lastFetchMs > 0 && offset >= o.end:
		o.lastCaughtUpMs = max(o.lastCaughtUpMs, o.lastFetchMs)
	}
	o.offset, o.lastFetchMs, o.end = offset, nowMs, e.status.Committed
	e.mu.Unlock()
	e.notify()
}

// maxObservers bounds what is remembered of ids that anybody may claim.
const maxObservers = 10_000
