package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"gregor/internal/journal"
	"gregor/internal/record"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// run is the goroutine that owns the Raft machine and the files.
func (e *Engine) run() {
	for ok := e.begin(); ok; ok = e.turn() {
		<-e.wake
	}
}

// Step does what waits, if anything does, and reports whether it did. It is for an engine that is Stepped.
func (e *Engine) Step() bool {
	select {
	case <-e.wake:
		if !e.ended {
			e.turn()
		}
		return true
	default:
		return false
	}
}

// begin comes before the first turn. Like turn it reports whether there is a next one.
func (e *Engine) begin() bool {
	if err := e.load(); err != nil {
		return e.end(err)
	}
	return true
}

// turn does everything that was asked for, and what Raft makes of it.
func (e *Engine) turn() bool {
	e.mu.Lock()
	queue, closed := e.queue, e.closed
	e.queue = nil
	e.mu.Unlock()
	if closed {
		return e.end(nil)
	}
	for _, f := range queue {
		if err := f(); err != nil {
			return e.end(err)
		}
	}
	for e.node.HasReady() {
		if err := e.step(); err != nil {
			return e.end(err)
		}
	}
	return true
}

func (e *Engine) end(err error) bool {
	if err != nil {
		e.mu.Lock()
		e.failed, e.leads = fmt.Errorf("%w: %w", journal.ErrClosed, err), false
		e.mu.Unlock()
		e.handler.Fail(err)
	}
	e.ended = true
	e.log.close()
	close(e.done)
	return false
}

// load hands the newest snapshot over.
func (e *Engine) load() error {
	c := e.log.snapshot
	if c.end == 0 {
		return nil
	}
	header, err := readCheckpointHeader(e.o.FS, e.dir, c)
	if err != nil {
		return err
	}
	return e.handler.Load(journal.Snapshot{
		LastOffset: c.end - 1, Epoch: c.epoch, TimestampMs: header.lastContainedMs,
		Values: readCheckpoint(e.o.FS, filepath.Join(e.dir, c.name())),
	})
}

// step does what Raft asks for: first make durable, then hand over. There is nobody to send messages to.
func (e *Engine) step() (err error) {
	defer func() {
		// The library panics when it cannot read the log. A disk error is no broken invariant.
		if r := recover(); r != nil && e.storage.failed == nil {
			panic(r)
		} else if r != nil {
			err = e.storage.failed
		}
	}()
	rd := e.node.Ready()
	led := e.leader
	if rd.SoftState != nil {
		e.leader, e.isMe = nodeID(rd.Lead), rd.RaftState == etcd.StateLeader
	}
	if err := e.saveHardState(rd); err != nil {
		return err
	}
	if err := e.store(rd.Entries); err != nil {
		return err
	}
	if !e.isMe && (e.told || e.leader != led) {
		e.resign()
	}
	if err := e.handOver(rd.CommittedEntries); err != nil {
		return err
	}
	e.node.Advance(rd)
	e.setStatus()
	e.takeLead()
	return nil
}

// saveHardState writes quorum-state when term or vote changed. The commit index is not kept: after a restart the leader
// of a new term tells it. In a quorum of one, who is voted for leads.
func (e *Engine) saveHardState(rd etcd.Ready) error {
	if etcd.IsEmptyHardState(rd.HardState) {
		return nil
	}
	next := e.quorum
	next.LeaderEpoch, next.VotedID = int32(rd.HardState.GetTerm()), nodeID(rd.HardState.GetVote())
	next.LeaderID = next.VotedID
	if next.LeaderEpoch == e.quorum.LeaderEpoch && next.VotedID == e.quorum.VotedID {
		return nil
	}
	e.quorum = next
	return next.write(e.o.FS, e.dir)
}

// store writes entries to the log, all with one write and one sync.
func (e *Engine) store(entries []*pb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	batches := make([]record.Batch, len(entries))
	offset := e.endBefore(entries[0].GetIndex())
	for i, entry := range entries {
		switch {
		case entry.GetType() != pb.EntryNormal:
			return fmt.Errorf("raft entry %d has type %s, which a quorum of one does not write", entry.GetIndex(), entry.GetType())
		case len(entry.Data) == 0:
			batches[i] = leaderChangeBatch(offset, int32(entry.GetTerm()), e.o.Now().UnixMilli(), e.leader, []int32{e.o.NodeID})
		default:
			batches[i] = entry.Data
		}
		if batches[i].BaseOffset() != offset {
			return fmt.Errorf("raft entry %d has offset %d, the log ends at %d", entry.GetIndex(), batches[i].BaseOffset(), offset)
		}
		offset = batches[i].NextOffset()
	}
	return e.log.append(batches)
}

// endBefore is the offset at which the batch with a Raft index begins.
func (e *Engine) endBefore(index uint64) int64 {
	if index > e.log.lastIndex() {
		return e.log.endOffset()
	}
	return e.log.at(index).offset
}

func (e *Engine) handOver(entries []*pb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	batches := make([]journal.Batch, len(entries))
	for i, entry := range entries {
		at := e.log.at(entry.GetIndex())
		b := journal.Batch{Offset: at.offset, LastOffset: at.next() - 1, Epoch: at.epoch, SizeBytes: int(at.size)}
		stored := record.Batch(entry.Data)
		if at.leader {
			var err error
			if stored, err = e.log.read(at); err != nil {
				return err
			}
		}
		b.TimestampMs = stored.MaxTimestamp()
		if !stored.IsControl() {
			for r, err := range stored.Records() {
				if err != nil {
					return fmt.Errorf("%w: %s at position %d: %v", journal.ErrCorrupt, at.seg.log.Name(), at.pos, err)
				}
				b.Values = append(b.Values, r.Value)
			}
		}
		batches[i] = b
	}
	e.applied = entries[len(entries)-1].GetIndex()
	e.log.release(e.applied)
	return e.handler.Commit(batches)
}

// takeLead tells the handler that it leads, once the first batch of its own epoch is committed: then everything before
// it is, too.
func (e *Engine) takeLead() {
	if !e.isMe || e.told || e.applied != e.log.lastIndex() || e.log.lastEpoch() != e.quorum.LeaderEpoch {
		return
	}
	e.told = true
	e.mu.Lock()
	e.leads, e.next = true, e.log.endOffset()
	epoch, next := e.status.Epoch, e.next
	e.mu.Unlock()
	e.handler.Lead(epoch, next)
}

func (e *Engine) resign() {
	e.told = false
	e.mu.Lock()
	e.leads = false
	e.mu.Unlock()
	e.setStatus()
	e.handler.Follow(e.quorum.LeaderEpoch, e.leader)
}

func (e *Engine) setStatus() {
	committed := e.log.snapshot.end
	if e.applied >= e.log.first {
		committed = e.log.at(e.applied).next()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = journal.Status{
		Leader: e.leader, Epoch: e.quorum.LeaderEpoch, Voters: []int32{e.o.NodeID},
		StartOffset: e.log.startOffset(), EndOffset: e.log.endOffset(), Committed: committed, Snapshot: e.log.snapshot.end,
	}
}

// raftLogger passes the library's messages on. What it says to operators at Info is detail to ours.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)                   { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Debugf(format string, v ...any)   { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l raftLogger) Info(v ...any)                    { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)    { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l raftLogger) Warning(v ...any)                 { l.log.Warn(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(format string, v ...any) { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l raftLogger) Error(v ...any)                   { l.log.Error(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(format string, v ...any)   { l.log.Error(fmt.Sprintf(format, v...)) }

// Fatal and Panic are the library's broken invariants.
func (l raftLogger) Fatal(v ...any)                 { l.Panic(v...) }
func (l raftLogger) Fatalf(format string, v ...any) { l.Panicf(format, v...) }
func (l raftLogger) Panic(v ...any)                 { panic(errors.New("raft: " + fmt.Sprint(v...))) }
func (l raftLogger) Panicf(format string, v ...any) { panic(fmt.Errorf("raft: "+format, v...)) }
