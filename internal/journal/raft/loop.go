package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"gregor/internal/journal"
	"gregor/internal/record"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// run is the goroutine that owns the Raft machine and the files.
func (e *Engine) run() {
	var ticker *time.Ticker // nil while this node is the only voter
	var ticks <-chan time.Time
	for ok := e.begin(); ok; ok = e.turn() {
		if alone := e.alone(); !alone && ticker == nil {
			ticker = time.NewTicker(e.o.ElectionTimeout / electionTicks)
			defer ticker.Stop()
			ticks = ticker.C
		}
		select {
		case <-e.wake:
		case <-ticks:
			e.Tick()
		}
	}
}

// alone reports that this node is the only voter: there is nothing to wait for.
func (e *Engine) alone() bool {
	return len(e.voters.voters) == 1 && e.voters.find(e.o.NodeID) != nil && e.join == nil
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
	e.connect()
	if err := e.askEpochs(); err != nil {
		return e.end(err)
	}
	return true
}

// turn does everything that was asked for, and what Raft makes of it.
func (e *Engine) turn() (ok bool) {
	e.mu.Lock()
	queue, closed := e.queue, e.closed
	e.queue, e.inboxBytes = nil, 0
	e.mu.Unlock()
	if closed {
		return e.end(nil)
	}
	if err := e.work(queue); err != nil {
		return e.end(err)
	}
	return true
}

func (e *Engine) work(queue []func() error) (err error) {
	defer func() {
		// The library panics when it cannot read the log, and when its rules are broken, which a peer's messages may do. It
		// ends the journal, not the process.
		switch r := recover().(type) {
		case nil:
		case broken:
			if err = r.error; e.storage.failed != nil {
				err = e.storage.failed
			}
		default:
			if e.storage.failed == nil {
				panic(r)
			}
			err = e.storage.failed
		}
	}()
	for _, f := range queue {
		if err := f(); err != nil {
			return err
		}
	}
	return e.drain()
}

// drain does what Raft has to do, to its end.
func (e *Engine) drain() error {
	for e.node.HasReady() {
		if err := e.step(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) end(err error) bool {
	if err != nil {
		e.mu.Lock()
		e.failed, e.leads = fmt.Errorf("%w: %w", journal.ErrClosed, err), false
		e.mu.Unlock()
		e.handler.Fail(err)
	}
	e.ended = true
	e.dropFetch()
	if e.links != nil {
		e.links.cancel()
	}
	e.log.close()
	close(e.done)
	e.notify()
	return false
}

// load hands the newest snapshot over.
func (e *Engine) load() error {
	c := e.log.snapshot
	if c.end == 0 {
		return nil
	}
	header, err := readCheckpointHeader(e.o.FS, filepath.Join(e.dir, c.name()))
	if err != nil {
		return err
	}
	return e.handler.Load(journal.Snapshot{
		LastOffset: c.end - 1, Epoch: c.epoch, TimestampMs: header.lastContainedMs,
		Values: readCheckpoint(e.o.FS, filepath.Join(e.dir, c.name())),
	})
}

// step does what Raft asks for: first make durable, then promise it to others, then hand over.
func (e *Engine) step() error {
	rd := e.node.Ready()
	led := e.leader
	if rd.SoftState != nil {
		e.leader, e.isMe = nodeID(rd.Lead), rd.RaftState == etcd.StateLeader
	}
	batches, err := e.batches(rd)
	if err != nil {
		return err
	}
	// What promises nothing goes out while our disk writes: followers write at the same time as the leader.
	if err := e.send(rd.Messages, false); err != nil {
		return err
	}
	if err := e.saveHardState(rd); err != nil {
		return err
	}
	if err := e.install(rd.Snapshot); err != nil {
		return err
	}
	if err := e.store(batches); err != nil {
		return err
	}
	if err := e.send(rd.Messages, true); err != nil {
		return err
	}
	if e.told && (!e.isMe || e.quorum.LeaderEpoch != e.status.Epoch) || !e.isMe && e.leader != led {
		e.resign()
	}
	if err := e.handOver(rd.CommittedEntries); err != nil {
		return err
	}
	e.node.Advance(rd)
	e.setStatus()
	e.takeLead()
	if led == e.o.NodeID && !e.isMe && e.alone() {
		e.enqueue(e.campaignAlone)
	}
	return e.afterJoining()
}

// saveHardState writes quorum-state when term or vote changed. The commit index is not kept: after a restart the leader
// of a new term tells it. Of a quorum of one, who is voted for leads.
func (e *Engine) saveHardState(rd etcd.Ready) error {
	if etcd.IsEmptyHardState(rd.HardState) {
		return nil
	}
	if rd.HardState.GetTerm() > maxEpoch {
		return fmt.Errorf("%w: epoch %d is over %d", journal.ErrCorrupt, rd.HardState.GetTerm(), maxEpoch)
	}
	next := e.quorum
	next.LeaderEpoch, next.VotedID = int32(rd.HardState.GetTerm()), nodeID(rd.HardState.GetVote())
	next.LeaderID = e.leader
	if len(e.voters.voters) == 1 {
		next.LeaderID = next.VotedID
	}
	if next.LeaderEpoch == e.quorum.LeaderEpoch && next.VotedID == e.quorum.VotedID {
		return nil
	}
	return e.saveQuorum(next)
}

func (e *Engine) saveQuorum(next quorumState) error {
	next.CurrentVoters = nil
	for _, id := range e.voters.ids() {
		next.CurrentVoters = append(next.CurrentVoters, voter{id})
	}
	e.quorum = next
	return next.write(e.o.FS, e.dir)
}

// batches are the batches of new entries. The empty one with which we begin our term gets its bytes here.
func (e *Engine) batches(rd etcd.Ready) ([]record.Batch, error) {
	entries := rd.Entries
	if len(entries) == 0 {
		return nil, nil
	}
	var offset int64
	if c, ok := snapshotOf(rd.Snapshot); ok {
		offset = c.end // it comes before them
	} else {
		offset = e.endBefore(entries[0].GetIndex())
	}
	batches := make([]record.Batch, len(entries))
	for i, entry := range entries {
		b, err := batchOf(entry)
		if err == nil && len(b) == 0 {
			if e.term == nil || e.term.LeaderEpoch() != int32(entry.GetTerm()) {
				e.term = leaderChangeBatch(offset, int32(entry.GetTerm()), e.o.Now().UnixMilli(), e.o.NodeID, e.voters.ids())
			}
			b = e.term
		}
		if err == nil && b.BaseOffset() != offset {
			err = fmt.Errorf("offset %d, the log ends at %d: the voters' logs have not the same beginning", b.BaseOffset(), offset)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: Raft entry %d: %w", journal.ErrCorrupt, entry.GetIndex(), err)
		}
		batches[i] = b
		offset = b.NextOffset()
	}
	return batches, nil
}

// store writes new batches to the log, all with one write and one sync, and follows what they say of the voters.
func (e *Engine) store(batches []record.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	if err := e.log.append(batches); err != nil {
		return err
	}
	e.followVoters()
	return nil
}

// followVoters lets Raft have the voters of the newest change in the log. A node whose log does not tell of any leaves
// Raft those it had: it is none of them, takes no part, and the library wants at least one.
func (e *Engine) followVoters() {
	e.voters = e.log.voters()
	if len(e.voters.voters) > 0 {
		e.configure(e.voters)
	}
	e.connect()
}

func (e *Engine) configure(next voterSet) {
	for _, step := range e.config.changesTo(next) {
		e.node.ApplyConfChange(&pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{step}})
	}
	e.config = next
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
		stored, err := batchOf(entry)
		if err == nil && len(stored) == 0 {
			stored, err = e.log.read(at)
		}
		if err != nil {
			return err
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

// takeLead tells the handler that it leads, once the first batch of its own epoch is committed and nothing waits behind
// it: then everything in the log is committed. While leadership is being handed over nothing may be written.
func (e *Engine) takeLead() {
	if !e.isMe || e.told || e.applied != e.log.lastIndex() || e.log.lastEpoch() != e.quorum.LeaderEpoch || e.node.BasicStatus().LeadTransferee != 0 {
		return
	}
	e.told, e.tail = true, e.log.endOffset()
	e.mu.Lock()
	e.leads, e.next = true, e.tail
	e.turnOf++
	epoch, next := e.status.Epoch, e.next
	e.mu.Unlock()
	e.handler.Lead(epoch, next)
}

// resign tells the handler that it may not write (any more).
func (e *Engine) resign() {
	e.told = false
	e.mu.Lock()
	e.leads = false
	e.turnOf++
	e.mu.Unlock()
	e.setStatus()
	leader := e.leader
	if e.isMe {
		leader = -1 // it hands leadership over, or changes the voters
	}
	e.handler.Follow(e.quorum.LeaderEpoch, leader)
}

func (e *Engine) setStatus() {
	committed := e.log.snapshot.end
	if e.applied >= e.log.first {
		committed = e.log.at(e.applied).next()
	}
	s := journal.Status{
		Leader: e.leader, Epoch: e.quorum.LeaderEpoch, Voters: e.voters.ids(),
		StartOffset: e.log.startOffset(), EndOffset: e.log.endOffset(), Committed: committed, Snapshot: e.log.snapshot.end,
		KRaftVersion: e.voters.version,
	}
	e.mu.Lock()
	old := e.status
	e.status, e.known = s, e.voters
	e.mu.Unlock()
	if old.Leader != s.Leader || old.Epoch != s.Epoch || old.Committed != s.Committed {
		e.notify()
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

// broken is a broken invariant of the library.
type broken struct{ error }

func (l raftLogger) Fatal(v ...any)                 { l.Panic(v...) }
func (l raftLogger) Fatalf(format string, v ...any) { l.Panicf(format, v...) }
func (l raftLogger) Panic(v ...any)                 { panic(broken{errors.New("raft: " + fmt.Sprint(v...))}) }
func (l raftLogger) Panicf(format string, v ...any) { panic(broken{fmt.Errorf("raft: "+format, v...)}) }
