package raft

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gregor/internal/journal"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Member is a controller's end of the metadata log, whether it votes or not. It is a voter's Engine while the log says
// that it votes, and an Observer otherwise: before it is added to the quorum and after it is removed from it (KIP-853).
// It changes from one to the other while it runs; the handler sees one log all the time.
type Member struct {
	o       ObserverOptions
	relay   relay
	changes sync.WaitGroup

	mu       sync.Mutex
	engine   *Engine   // one of the two, nil while it changes
	observer *Observer // the other
	last     journal.Status
	changed  chan struct{} // closed when a change has ended; nil while there is none
	started  bool
	closed   bool
}

var (
	_ journal.Journal = (*Member)(nil)
	_ journal.Quorum  = (*Member)(nil)
)

// errChanging refuses what only a voter or only an observer can do, for a moment.
var errChanging = errors.New("this node is just becoming a voter, or ceases to be one")

// OpenMember opens the log. Without Voters and with Bootstrap, who votes is for the log to say; this node follows until
// it is one of them.
func OpenMember(o ObserverOptions) (*Member, error) {
	m := &Member{}
	o.Follow = len(o.Voters) == 0 && len(o.Bootstrap) > 0
	o.Removed = func() { m.change(false) }
	m.o = o
	o.setDefaults()
	l, err := openVoterLog(&o.Options)
	if err != nil {
		return nil, err
	}
	if v := l.voters().find(o.NodeID); v != nil && (v.DirectoryID == journal.DirectoryID{} || v.DirectoryID == o.DirectoryID) {
		m.engine, err = openOn(o.Options, l)
	} else {
		l.close()
		m.observer, err = OpenObserver(o)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// now is what the member is at the moment; both are nil while it changes.
func (m *Member) now() (*Engine, *Observer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.engine, m.observer
}

// journal is whichever it is, nil while it changes.
func (m *Member) journal() journal.Journal {
	if e, o := m.now(); e != nil {
		return e
	} else if o != nil {
		return o
	}
	return nil
}

// change makes the member a voter, or an observer, in the background.
func (m *Member) change(vote bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || !m.started || m.changed != nil || (m.engine != nil) == vote {
		return
	}
	old := journal.Journal(m.observer)
	if m.engine != nil {
		old = m.engine
	}
	m.last = old.Status()
	m.engine, m.observer, m.changed = nil, nil, make(chan struct{})
	m.changes.Go(func() {
		e, o, err := m.reopen(old, vote)
		m.mu.Lock()
		m.engine, m.observer = e, o
		close(m.changed)
		m.changed = nil
		m.mu.Unlock()
		if err != nil {
			m.relay.Fail(err)
		}
	})
}

func (m *Member) reopen(old journal.Journal, vote bool) (e *Engine, o *Observer, err error) {
	if err := old.Close(); err != nil {
		return nil, nil, err
	}
	if !vote {
		m.relay.Follow(m.last.Epoch, -1)
		options := m.o
		options.committed = m.last.Committed
		if o, err = OpenObserver(options); err == nil {
			err = o.Start(&m.relay)
		}
		return nil, o, err
	}
	options := m.o.Options
	options.Joining = false // it followed so far, and has its own disk
	if e, err = Open(options); err == nil {
		err = e.Start(&m.relay)
	}
	return e, nil, err
}

// Start implements journal.Journal.
func (m *Member) Start(h journal.Handler) error {
	m.relay.to = h
	m.mu.Lock()
	m.started = true
	m.mu.Unlock()
	return m.journal().Start(&m.relay)
}

// Append implements journal.Journal.
func (m *Member) Append(epoch int32, offset, timestampMs int64, values [][]byte) error {
	if e, _ := m.now(); e != nil {
		return e.Append(epoch, offset, timestampMs, values)
	}
	return fmt.Errorf("%w: at epoch %d: this node does not vote", journal.ErrNotLeader, epoch)
}

// Campaign implements journal.Journal.
func (m *Member) Campaign() {
	if e, _ := m.now(); e != nil {
		e.Campaign()
	}
}

// Resign implements journal.Journal.
func (m *Member) Resign(ctx context.Context) error {
	if e, _ := m.now(); e != nil {
		return e.Resign(ctx)
	}
	return nil
}

// Save implements journal.Journal. It waits for a change to end.
func (m *Member) Save(ctx context.Context, s journal.Snapshot) error {
	for {
		j := m.journal()
		if j != nil {
			err := j.Save(ctx, s)
			if !errors.Is(err, journal.ErrClosed) || j == m.journal() {
				return err
			}
		}
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if changed == nil {
			if m.journal() == nil {
				return journal.ErrClosed
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Status implements journal.Journal.
func (m *Member) Status() journal.Status {
	if j := m.journal(); j != nil {
		return j.Status()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Close implements journal.Journal.
func (m *Member) Close() error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	m.mu.Unlock()
	m.changes.Wait()
	if j := m.journal(); j != nil && first {
		return j.Close()
	}
	return nil
}

// Handle takes messages of a voter. Those for a node that only follows say that it is a voter now: the change that makes
// it one is not committed before it has it, so it does not fetch it.
func (m *Member) Handle(r *MessageRequest) *MessageResponse {
	e, o := m.now()
	if e != nil {
		return e.Handle(r)
	}
	resp := &MessageResponse{Version: r.Version, VotersOffset: -1}
	err := errChanging
	if o != nil {
		if err = checkAddressee(&m.o.Options, r); err == nil && r.ToDirectory == m.o.DirectoryID {
			m.change(true)
			return resp
		} else if err == nil {
			err = fmt.Errorf("%w: node %d does not vote", kerr.InconsistentVoterSet, m.o.NodeID)
		}
	}
	resp.fail(err)
	return resp
}

// PeerGone tells that a voter's process has ended.
func (m *Member) PeerGone(id int32) {
	if e, _ := m.now(); e != nil {
		e.PeerGone(id)
	}
}

// Describe implements journal.Quorum.
func (m *Member) Describe() journal.QuorumState {
	if e, _ := m.now(); e != nil {
		return e.Describe()
	}
	s := m.Status()
	q := journal.QuorumState{Leader: s.Leader, Epoch: s.Epoch, HighWatermark: s.Committed}
	for _, v := range m.Voters() {
		q.Voters = append(q.Voters, unknown(v))
	}
	return q
}

func unknown(v journal.Voter) journal.ReplicaState {
	return journal.ReplicaState{ID: v.ID, DirectoryID: v.DirectoryID, LogEndOffset: -1, LastFetchMs: -1, LastCaughtUpMs: -1}
}

// Voters implements journal.Quorum.
func (m *Member) Voters() []journal.Voter {
	if e, o := m.now(); e != nil {
		return e.Voters()
	} else if o != nil {
		return o.Voters()
	}
	return nil
}

// ReadLog implements journal.Quorum. An observer serves nobody.
func (m *Member) ReadLog(from journal.FetchPosition, maxBytes int) (journal.LogRead, error) {
	if e, _ := m.now(); e != nil {
		return e.ReadLog(from, maxBytes)
	}
	return journal.LogRead{}, fmt.Errorf("%w: this node does not vote", journal.ErrNotLeader)
}

// ReadSnapshot implements journal.Quorum.
func (m *Member) ReadSnapshot(id journal.SnapshotID, position int64, maxBytes int) ([]byte, int64, error) {
	if e, _ := m.now(); e != nil {
		return e.ReadSnapshot(id, position, maxBytes)
	}
	return nil, 0, fmt.Errorf("%w: this node does not vote", journal.ErrSnapshotNotFound)
}

// WaitCommitted implements journal.Quorum.
func (m *Member) WaitCommitted(ctx context.Context, above int64) error {
	if e, _ := m.now(); e != nil {
		return e.WaitCommitted(ctx, above)
	}
	return fmt.Errorf("%w: this node does not vote", journal.ErrNotLeader)
}

// ObserverFetched implements journal.Quorum.
func (m *Member) ObserverFetched(id int32, dir journal.DirectoryID, offset, nowMs int64) {
	if e, _ := m.now(); e != nil {
		e.ObserverFetched(id, dir, offset, nowMs)
	}
}

// ChangeVoters implements journal.Quorum.
func (m *Member) ChangeVoters(ctx context.Context, change journal.VoterChange) error {
	if e, _ := m.now(); e != nil {
		return e.ChangeVoters(ctx, change)
	}
	return fmt.Errorf("%w: this node does not vote", journal.ErrNotLeader)
}

// relay passes on what a journal tells, and keeps back what the one before it told already.
type relay struct {
	to  journal.Handler
	end int64 // of what was handed over
}

func (r *relay) Load(s journal.Snapshot) error {
	if s.LastOffset < r.end {
		return nil
	}
	r.end = s.LastOffset + 1
	return r.to.Load(s)
}

func (r *relay) Commit(batches []journal.Batch) error {
	for len(batches) > 0 && batches[0].LastOffset < r.end {
		batches = batches[1:]
	}
	if len(batches) == 0 {
		return nil
	}
	r.end = batches[len(batches)-1].LastOffset + 1
	return r.to.Commit(batches)
}

func (r *relay) Lead(epoch int32, nextOffset int64) { r.to.Lead(epoch, nextOffset) }
func (r *relay) Follow(epoch, leader int32)         { r.to.Follow(epoch, leader) }
func (r *relay) Fail(err error)                     { r.to.Fail(err) }
