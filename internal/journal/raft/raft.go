// Package raft keeps the metadata log with go.etcd.io/raft/v3. The Raft log is the metadata log on disk,
// `__cluster_metadata-0` in Kafka's format: one log and one fsync. A batch of the log is an entry of the Raft log, an
// epoch is a term, and the empty entry with which a leader begins its term is a LeaderChange batch.
//
// One goroutine owns the Raft machine and the files; everything else leaves requests for it in a queue. A node that is the
// only voter needs neither ticks nor messages. See docs/decisions/0002-raft-index-and-offset.md,
// 0009-voters-among-themselves.md and 0012-voters-in-the-log.md.
package raft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/internal/peer"
	"gregor/internal/record"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Options say where the log is and how it is kept. Zero values of all but Dir and NodeID are Kafka's defaults.
type Options struct {
	Dir    string // metadata.log.dir; the log is in its directory __cluster_metadata-0
	NodeID int32

	SegmentBytes   int64 // metadata.log.segment.bytes
	RetentionBytes int64 // metadata.max.retention.bytes: how much of old snapshots is kept; -1 is no limit
	RetentionMs    int64 // metadata.max.retention.ms; -1 is no limit
	FS             vfs.FS
	Logger         *slog.Logger
	Now            func() time.Time

	// A quorum of several, see quorum.go. All may be left out for a node that is the only voter.
	ClusterID   string
	DirectoryID [16]byte        // of Dir, in its meta.properties
	Voters      []journal.Voter // controller.quorum.voters, until the log says other ones; none: this node alone
	Dial        peer.Dialer     // to the voters' controller endpoints; nil: TCP
	ClientID    string          // that the voters see in requests
	// ElectionTimeout is for how long a voter waits for its leader, and a leader for a majority
	// (controller.quorum.election.timeout.ms); the actual time is up to twice as long, by chance. 0: one second.
	ElectionTimeout time.Duration
	// Joining says that this voter's log is empty though the quorum may be an old one: its disk was replaced, or it starts
	// for the first time. It neither votes nor leads until a leader has brought it up to date, for it may have voted and
	// acknowledged what it does not know of any more.
	Joining bool
	// Follow says that without Voters this node is no quorum of its own: who votes is in a log that it has yet to get.
	Follow bool
	// Removed is called, on any goroutine, when others tell that this node is no voter any more; nil: nothing is.
	Removed func()

	// Stepped says that there is no goroutine: somebody calls Step after every call of another method, Tick ten times an
	// election timeout, and carries what Outgoing returns. The simulation does.
	Stepped bool
}

func (o *Options) setDefaults() {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 1 << 30
	}
	if o.RetentionBytes == 0 {
		o.RetentionBytes = 100 << 20
	}
	if o.RetentionMs == 0 {
		o.RetentionMs = (7 * 24 * time.Hour).Milliseconds()
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ElectionTimeout == 0 {
		o.ElectionTimeout = time.Second
	}
}

// Engine is a journal.Journal on Raft.
type Engine struct {
	o    Options
	dir  string
	wake chan struct{} // has room for one signal
	done chan struct{} // closed when the goroutine has ended

	mu         sync.Mutex     // guards what follows; the goroutine takes it for moments only
	queue      []func() error // what the goroutine is to do, in order; an error ends it
	inboxBytes int            // of messages in queue
	status     journal.Status
	known      voterSet      // voters
	changed    chan struct{} // closed when the status changes; nil when nobody waits
	leads      bool          // Append is allowed, at status.Epoch
	turnOf     uint64        // counts the times that this node began or ceased to lead
	next       int64         // offset of the next append
	closed     bool
	failed     error
	directory  map[int32][16]byte // of other voters, as their messages say
	observers  map[journal.VoterKey]*replica
	out        []*MessageRequest // of an engine that is Stepped

	// What follows belongs to the goroutine, and to Open before it runs.
	handler    journal.Handler
	log        *metaLog
	storage    *storage
	node       *etcd.RawNode
	guests     []journal.Voter // nodes that our log does not tell of
	links      *links          // to the other voters; nil when Stepped
	quorum     quorumState
	voters     voterSet // of the newest change in the log
	config     voterSet // as the Raft machine has them
	leader     int32
	isMe       bool   // Raft says that this node leads
	told       bool   // the handler was told that it leads
	tail       int64  // offset of the next batch that is handed to Raft, while told
	applied    uint64 // Raft index of the last batch that was handed over
	term       record.Batch
	ended      bool
	hurry      hurry
	join       *joining
	fetch      *fetching   // of a snapshot of the leader
	fetched    *checkpoint // that lies under its temporary name and is complete
	wasRemoved bool
	silent     int // ticks since a leader was heard
	offered    int // ticks since snapshots were offered again
	replicas   map[int32]*replica
}

var (
	_ journal.Journal = (*Engine)(nil)
	_ journal.Quorum  = (*Engine)(nil)
)

const (
	electionTicks = 10 // ticks of an election timeout
	// maxInboxBytes bounds messages that wait for the goroutine. Raft sends again what is dropped.
	maxInboxBytes = 64 << 20
)

// Open opens the log, or makes an empty one.
func Open(o Options) (*Engine, error) {
	o.setDefaults()
	l, err := openVoterLog(&o)
	if err != nil {
		return nil, err
	}
	return openOn(o, l)
}

func openVoterLog(o *Options) (*metaLog, error) {
	l, err := openLog(o.FS, filepath.Join(o.Dir, TopicDir), o.SegmentBytes, configured(o), o.Logger)
	return l, explainCorrupt(o, err)
}

// openOn makes an engine of a log, which it closes.
func openOn(o Options, l *metaLog) (*Engine, error) {
	e := &Engine{
		o: o, dir: l.dir, wake: make(chan struct{}, 1), leader: -1, log: l,
		directory: map[int32][16]byte{}, observers: map[journal.VoterKey]*replica{}, replicas: map[int32]*replica{},
	}
	if err := e.openRaft(); err != nil {
		e.log.close()
		return nil, err
	}
	e.setStatus()
	return e, nil
}

// explainCorrupt says how a voter that is not alone gets a log again.
func explainCorrupt(o *Options, err error) error {
	if others := configured(o).others(o.NodeID); len(others) > 0 && errors.Is(err, journal.ErrCorrupt) {
		ids := voterSet{voters: others}.ids()
		return fmt.Errorf("%w; this node is one of several voters: if the others (%v) are well, delete %s, and this one gets all from them",
			err, ids, filepath.Join(o.Dir, TopicDir))
	}
	return err
}

func (e *Engine) openRaft() (err error) {
	var found bool
	if e.quorum, found, err = readQuorumState(e.o.FS, e.dir); err != nil {
		return explainCorrupt(&e.o, err)
	}
	e.voters = e.log.voters()
	e.config = e.voters
	if e.quorum.Observer {
		next := e.quorum
		next.Observer = false
		if err := e.saveQuorum(next); err != nil {
			return err
		}
	}
	if err := e.openJoining(found); err != nil {
		return err
	}
	e.applied = e.log.first - 1
	vote := e.quorum.VotedID
	if vote < 0 {
		vote = e.quorum.LeaderID // Kafka forgets its vote when it knows the leader
	}
	hard := &pb.HardState{
		Term:   new(uint64(max(e.quorum.LeaderEpoch, e.log.lastEpoch()))),
		Vote:   new(raftID(vote)),
		Commit: new(e.applied),
	}
	if e.log.lastEpoch() > e.quorum.LeaderEpoch {
		hard.Vote = nil
	}
	e.storage = &storage{metaLog: e.log, hard: hard}
	e.node, err = etcd.NewRawNode(&etcd.Config{
		ID:                        raftID(e.o.NodeID),
		Storage:                   e.storage,
		Applied:                   e.applied,
		ElectionTick:              electionTicks, // never counted while this node is the only voter: it is asked to campaign
		HeartbeatTick:             1,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          16 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		// Changes of the voters are one at a time by propose's own checks; the library would turn one that it does not
		// like into an empty entry.
		DisableConfChangeValidation: true,
		Logger:                      raftLogger{e.o.Logger},
	})
	return err
}

// Start implements journal.Journal.
func (e *Engine) Start(h journal.Handler) error {
	e.mu.Lock()
	if e.closed || e.done != nil {
		e.mu.Unlock()
		return journal.ErrClosed
	}
	e.handler = h
	e.done = make(chan struct{})
	e.mu.Unlock()
	if e.o.Stepped {
		e.begin()
		return nil
	}
	e.links = newLinks(e)
	go e.run()
	return nil
}

// Append implements journal.Journal.
func (e *Engine) Append(epoch int32, offset, timestampMs int64, values [][]byte) error {
	batch, err := journal.Encode(epoch, offset, timestampMs, values)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.failed != nil:
		return e.failed
	case e.closed:
		return journal.ErrClosed
	case !e.leads || e.status.Epoch != epoch:
		return fmt.Errorf("%w: at epoch %d", journal.ErrNotLeader, epoch)
	case offset != e.next:
		return fmt.Errorf("%w: offset %d, the end is %d", journal.ErrUnexpectedOffset, offset, e.next)
	}
	e.next = batch.NextOffset()
	turn := e.turnOf
	e.queue = append(e.queue, func() error { e.propose(batch, turn); return nil })
	e.signal()
	return nil
}

// propose hands a batch to Raft. Nobody else writes, so it fails only when leadership was lost since Append, and then
// the handler is told so.
func (e *Engine) propose(b record.Batch, turn uint64) {
	e.mu.Lock()
	current := turn == e.turnOf
	e.mu.Unlock()
	if status := e.node.BasicStatus(); !current || !e.told || status.GetTerm() != uint64(b.LeaderEpoch()) || b.BaseOffset() != e.tail {
		return
	}
	if err := e.node.Propose(b); err != nil {
		// It ceased to lead a moment ago, or hands leadership over. What comes behind must not take this one's place.
		e.o.Logger.Warn("a batch of the metadata log was dropped", "offset", b.BaseOffset(), "error", err)
		e.resign()
		return
	}
	e.tail = b.NextOffset()
}

// Save implements journal.Journal.
func (e *Engine) Save(ctx context.Context, s journal.Snapshot) error {
	c := checkpoint{end: s.LastOffset + 1, epoch: s.Epoch}
	var voters voterSet
	var err error
	doErr := e.do(ctx, func() error {
		if c, err = e.checkpointAt(c); err == nil {
			voters = e.log.votersUpTo(c.index)
		}
		return nil
	})
	if doErr != nil || err != nil {
		return errors.Join(doErr, err)
	}
	if c.index == 0 {
		return nil // there is a snapshot as new as this one
	}
	if err := writeCheckpoint(e.o.FS, e.dir, c, voters, s, e.o.Now().UnixMilli()); err != nil {
		return err
	}
	return e.do(ctx, func() error {
		if err := e.log.compact(c); err != nil {
			return err
		}
		e.setStatus()
		return e.log.clean(e.o.RetentionBytes, e.o.RetentionMs, e.o.Now().UnixMilli())
	})
}

// checkpointAt finds the Raft index of a snapshot; 0 when it would not be newer than the one we have.
func (e *Engine) checkpointAt(c checkpoint) (checkpoint, error) {
	if c.end <= e.log.snapshot.end {
		return c, nil
	}
	index, ok := e.log.find(c.end - 1)
	if !ok || index > e.applied || e.log.at(index).epoch != c.epoch {
		return c, fmt.Errorf("snapshot %s: no batch that was handed over ends there", c.name())
	}
	c.index = index
	return c, nil
}

// Status implements journal.Journal.
func (e *Engine) Status() journal.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Close implements journal.Journal.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed, e.leads = true, false
	done := e.done
	e.signal()
	e.mu.Unlock()
	if done == nil {
		e.log.close()
		return nil
	}
	if e.o.Stepped {
		e.Step()
	}
	<-done
	if e.links != nil {
		e.links.close()
	}
	return nil
}

func (e *Engine) enqueue(f func() error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.failed != nil {
		return false
	}
	e.queue = append(e.queue, f)
	e.signal()
	return true
}

// do runs f on the goroutine and waits for it.
func (e *Engine) do(ctx context.Context, f func() error) error {
	ran := make(chan error, 1)
	if !e.enqueue(func() error { err := f(); ran <- err; return err }) {
		return journal.ErrClosed
	}
	if e.o.Stepped {
		e.Step()
	}
	select {
	case err := <-ran:
		return err
	case <-e.done:
		return journal.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
