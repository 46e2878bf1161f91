package raft

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gregor/internal/journal"
	"gregor/internal/metadata"
	"gregor/internal/peer"
)

// ObserverOptions say what an observer follows and where it keeps it.
type ObserverOptions struct {
	Options             // ElectionTimeout, Joining and Stepped have no meaning
	Bootstrap  []string // "host:port" of controllers (controller.quorum.bootstrap.servers), beside Voters
	FetchWait  time.Duration
	committed  int64         // up to where the log of a voter that this node was is known to be committed
	FetchLimit time.Duration // how long the leader may be silent (controller.quorum.fetch.timeout.ms); 0: two seconds
}

// Observer is a node's end of the metadata log when it does not vote: it fetches what is committed from the active
// controller (KIP-595), as Apache Kafka's brokers do, and keeps it on disk as a voter does. What it has on disk is
// committed, so it can start from that without a controller in reach.
//
// One goroutine owns the log; dials and answers come to it through a queue.
type Observer struct {
	o    ObserverOptions
	dir  string
	wake chan struct{} // has room for one signal
	done chan struct{} // closed when the goroutine has ended; nil before Start
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // dials

	mu      sync.Mutex // guards what follows
	queue   []errand
	status  journal.Status
	known   []journal.Voter
	learned map[int32]journal.Endpoint // where the controllers are that no set of voters tells of
	closed  bool                       // takes no errands any more
	failed  error

	finished bool // Close was called

	// What follows belongs to the goroutine, and to OpenObserver before it runs.
	handler journal.Handler
	log     *metaLog
	leader  int32 // -1 while it is not known
	epoch   int32
	applied uint64 // Raft index of the last batch that was handed over
	route   route
	fetch   *fetching // a snapshot on its way
}

// errand is something for the goroutine to do. An error ends the observer. drop, which may be nil, comes instead when it
// has ended already.
type errand struct {
	do   func() error
	drop func()
}

var _ journal.Journal = (*Observer)(nil)

// OpenObserver opens the log of an observer, or makes an empty one.
func OpenObserver(o ObserverOptions) (*Observer, error) {
	o.setDefaults()
	if o.FetchWait == 0 {
		o.FetchWait = 500 * time.Millisecond
	}
	if o.FetchLimit == 0 {
		o.FetchLimit = 2 * time.Second
	}
	e := &Observer{
		o: o, dir: filepath.Join(o.Dir, TopicDir), wake: make(chan struct{}, 1), leader: -1,
		learned: make(map[int32]journal.Endpoint), route: route{last: -1},
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	var err error
	if e.log, err = openLog(o.FS, e.dir, o.SegmentBytes, voterSet{voters: sorted(slices.Clone(o.Voters))}, o.Logger); err != nil {
		if errors.Is(err, journal.ErrCorrupt) {
			err = fmt.Errorf("%w; this node does not vote, so delete %s, and it gets all from the controllers", err, e.dir)
		}
		return nil, err
	}
	if err := e.takeOver(); err != nil {
		e.log.close()
		return nil, err
	}
	e.applied, e.epoch = e.log.first-1, e.log.lastEpoch()
	e.setStatus()
	return e, nil
}

// takeOver makes the log one of committed batches alone, and notes in quorum-state that it is. A voter's log may end with
// what was never committed, and it does not know where: what it does not know to be committed is fetched again. The note
// says, too, that this node's votes are not lost, should it become a voter.
func (e *Observer) takeOver() error {
	state, found, err := readQuorumState(e.o.FS, e.dir)
	if err != nil || state.Observer {
		return err
	}
	committed := max(e.o.committed, e.log.snapshot.end)
	if end := e.log.endOffset(); end > committed {
		e.o.Logger.Info("this node votes no more: what it does not know to be committed is fetched again", "offset", committed, "end", end)
		if err := e.log.truncate(committed); err != nil {
			return err
		}
	}
	if !found {
		state.ClusterID, state.LeaderEpoch = e.o.ClusterID, e.log.lastEpoch()
	}
	state.Observer, state.Joining = true, nil
	return state.write(e.o.FS, e.dir)
}

// Start implements journal.Journal. What is on disk is handed over before anybody is asked for more.
func (e *Observer) Start(h journal.Handler) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.done != nil {
		return journal.ErrClosed
	}
	e.handler, e.done = h, make(chan struct{})
	go e.run()
	return nil
}

func (e *Observer) run() {
	err := e.begin()
	for err == nil {
		select {
		case <-e.wake:
		case <-e.ctx.Done():
		}
		e.mu.Lock()
		queue, closed := e.queue, e.closed
		if !closed {
			e.queue = nil
		}
		e.mu.Unlock()
		if closed {
			break
		}
		for i := 0; i < len(queue); i++ {
			if err == nil {
				err = queue[i].do()
			} else if queue[i].drop != nil {
				queue[i].drop()
			}
		}
	}
	e.stop()
	e.mu.Lock()
	if err != nil {
		e.failed = fmt.Errorf("%w: %w", journal.ErrClosed, err)
	}
	e.closed = true
	for _, it := range e.queue {
		if it.drop != nil {
			it.drop()
		}
	}
	e.mu.Unlock()
	if err != nil {
		e.handler.Fail(err)
	}
	e.dropSnapshot()
	if e.route.conn != nil {
		e.route.conn.Abort()
	}
	e.log.close()
	close(e.done)
}

func (e *Observer) begin() error {
	if err := e.load(); err != nil {
		return err
	}
	if err := e.handOver(); err != nil {
		return err
	}
	e.handler.Follow(e.epoch, -1)
	e.connect()
	return nil
}

// load hands the newest snapshot over.
func (e *Observer) load() error {
	c := e.log.snapshot
	if c.end == 0 {
		return nil
	}
	path := filepath.Join(e.dir, c.name())
	header, err := readCheckpointHeader(e.o.FS, path)
	if err != nil {
		return err
	}
	return e.handler.Load(journal.Snapshot{
		LastOffset: c.end - 1, Epoch: c.epoch, TimestampMs: header.lastContainedMs, Values: readCheckpoint(e.o.FS, path),
	})
}

// maxHandOver bounds the bytes of log that are handed over in one step.
const maxHandOver = 16 << 20

// handOver hands over what is on disk and was not yet.
func (e *Observer) handOver() error {
	for e.applied < e.log.lastIndex() {
		var batches []journal.Batch
		index := e.applied
		for size := 0; index < e.log.lastIndex() && size < maxHandOver; {
			index++
			b, err := e.log.batch(index)
			if err != nil {
				return err
			}
			batches = append(batches, b)
			size += b.SizeBytes
		}
		e.applied = index
		e.log.release(index)
		if err := e.handler.Commit(batches); err != nil {
			return err
		}
	}
	e.setStatus()
	return nil
}

// batch is the batch with a Raft index in the form that a handler gets.
func (l *metaLog) batch(index uint64) (journal.Batch, error) {
	at := l.at(index)
	b := journal.Batch{Offset: at.offset, LastOffset: at.next() - 1, Epoch: at.epoch, SizeBytes: int(at.size)}
	stored, err := l.read(at)
	if err != nil {
		return b, err
	}
	b.TimestampMs = stored.MaxTimestamp()
	if stored.IsControl() {
		return b, nil
	}
	for r, err := range stored.RecordsWithin(journal.MaxBatchBytes) {
		if err != nil {
			return b, fmt.Errorf("%w: %s at position %d: %v", journal.ErrCorrupt, at.seg.log.Name(), at.pos, err)
		}
		b.Values = append(b.Values, r.Value)
	}
	return b, nil
}

func (e *Observer) setStatus() {
	end := e.log.endOffset()
	s := journal.Status{
		Leader: e.leader, Epoch: e.epoch, Voters: e.log.voters().ids(),
		StartOffset: e.log.startOffset(), EndOffset: end, Committed: end, Snapshot: e.log.snapshot.end,
		KRaftVersion: e.log.voters().version,
	}
	e.mu.Lock()
	e.status, e.known = s, e.log.voters().voters
	e.mu.Unlock()
}

// follow notes who leads.
func (e *Observer) follow(epoch, leader int32) {
	if epoch < e.epoch || epoch == e.epoch && leader == e.leader {
		return
	}
	e.epoch, e.leader = epoch, leader
	e.setStatus()
	e.handler.Follow(epoch, leader)
}

// Append implements journal.Journal: an observer never leads.
func (e *Observer) Append(epoch int32, _, _ int64, _ [][]byte) error {
	return fmt.Errorf("%w: at epoch %d: this node does not vote", journal.ErrNotLeader, epoch)
}

// Campaign implements journal.Journal and does nothing.
func (e *Observer) Campaign() {}

// Resign implements journal.Journal and does nothing.
func (e *Observer) Resign(context.Context) error { return nil }

// Save implements journal.Journal.
func (e *Observer) Save(ctx context.Context, s journal.Snapshot) error {
	c := checkpoint{end: s.LastOffset + 1, epoch: s.Epoch}
	var voters voterSet
	newer := false
	err := e.do(ctx, func() error {
		if c.end <= e.log.snapshot.end {
			return nil
		}
		index, ok := e.log.find(c.end - 1)
		if !ok || index > e.applied || e.log.at(index).epoch != c.epoch {
			return fmt.Errorf("snapshot %s: no batch that was handed over ends there", c.name())
		}
		c.index, newer = index, true
		voters = e.log.votersUpTo(index)
		return nil
	})
	if err != nil || !newer {
		return err
	}
	if err := writeCheckpoint(e.o.FS, e.dir, c, voters, s, e.o.Now().UnixMilli()); err != nil {
		return err
	}
	return e.do(ctx, func() error {
		if c.end <= e.log.snapshot.end {
			return nil // one of the leader came meanwhile
		}
		if err := e.log.compact(c); err != nil {
			return err
		}
		err := e.log.clean(e.o.RetentionBytes, e.o.RetentionMs, e.o.Now().UnixMilli())
		e.setStatus()
		return err
	})
}

// Status implements journal.Journal.
func (e *Observer) Status() journal.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Voters are the controllers that are known, with endpoints where those are known.
func (e *Observer) Voters() []journal.Voter {
	e.mu.Lock()
	defer e.mu.Unlock()
	voters := slices.Clone(e.known)
	for id, endpoint := range e.learned {
		i := slices.IndexFunc(voters, func(v journal.Voter) bool { return v.ID == id })
		if i < 0 {
			voters = append(voters, journal.Voter{ID: id, Endpoints: []journal.Endpoint{endpoint}})
		} else if len(voters[i].Endpoints) == 0 {
			voters[i].Endpoints = []journal.Endpoint{endpoint}
		}
	}
	return sorted(voters)
}

// Close implements journal.Journal.
func (e *Observer) Close() error {
	e.mu.Lock()
	first := !e.finished
	e.closed, e.finished = true, true
	done := e.done
	e.mu.Unlock()
	if !first {
		return nil
	}
	e.stop()
	if done == nil {
		e.log.close()
		return nil
	}
	<-done
	e.wg.Wait()
	if e.route.conn != nil {
		e.route.conn.Close()
	}
	return nil
}

func (e *Observer) enqueue(f func() error) bool { return e.give(errand{do: f}) }

func (e *Observer) give(it errand) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.failed != nil {
		return false
	}
	e.queue = append(e.queue, it)
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return true
}

// do runs f on the goroutine and waits for it. An error of f is the caller's alone.
func (e *Observer) do(ctx context.Context, f func() error) error {
	ran := make(chan error, 1)
	if !e.enqueue(func() error { ran <- f(); return nil }) {
		return journal.ErrClosed
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

func (e *Observer) peerOptions(addr string) peer.Options {
	return peer.Options{
		Addr: addr, ClientID: e.o.ClientID, Dial: e.o.Dial, Logger: e.o.Logger,
		MaxResponseBytes: 64 << 20, Timeout: e.o.FetchWait + e.o.FetchLimit,
	}
}

// topicID is the topic id of every metadata log.
var topicID = [16]byte(metadata.MetadataTopicID)
