package raft

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"gregor/internal/journal"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// links are the connections of this node to the other voters. Messages may be lost on the way; Raft sends again.
type links struct {
	e      *Engine
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	to     map[int32]*link
	closed bool

	stop context.CancelFunc // of the fetch that runs
	over chan struct{}      // closed when it has ended
}

// link is the connection to one voter, made at once and kept: that it breaks is how the others know that the leader's
// process has ended.
type link struct {
	s      *links
	id     int32
	cancel context.CancelFunc
	wake   chan struct{} // has room for one signal

	mu    sync.Mutex
	addr  string
	queue []*MessageRequest
	size  int
	text  string // last refusal that was logged
}

const (
	maxLinkBytes = 32 << 20 // that wait for one voter
	minRedial    = 20 * time.Millisecond
	maxRedial    = 500 * time.Millisecond
	// partBytes is how much of a snapshot is asked for at once.
	partBytes = 1 << 20
)

func newLinks(e *Engine) *links {
	ctx, cancel := context.WithCancel(context.Background())
	return &links{e: e, ctx: ctx, cancel: cancel, to: map[int32]*link{}}
}

func address(v journal.Voter) string {
	if len(v.Endpoints) == 0 {
		return ""
	}
	return net.JoinHostPort(v.Endpoints[0].Host, strconv.Itoa(int(v.Endpoints[0].Port)))
}

// maxGuests bounds the links to nodes that our log does not tell of.
const maxGuests = 16

// welcome lets a node be answered that our log does not tell of: it may be a voter by a change that we do not have yet.
func (e *Engine) welcome(from journal.Voter) {
	if e.links == nil || from.Endpoints[0].Host == "" || e.voters.find(from.ID) != nil {
		return
	}
	i := slices.IndexFunc(e.guests, func(v journal.Voter) bool { return v.ID == from.ID })
	switch {
	case i >= 0 && e.guests[i].Endpoints[0] == from.Endpoints[0]:
		return
	case i >= 0:
		e.guests[i] = from
	case len(e.guests) < maxGuests:
		e.guests = append(e.guests, from)
	}
	e.connect()
}

// connect keeps a link to each other voter of the newest change and to the guests, and to nobody else.
func (e *Engine) connect() {
	s := e.links
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	others := voterSet{voters: e.voters.others(e.o.NodeID)}
	for _, g := range e.guests {
		if others.find(g.ID) == nil {
			others.voters = append(others.voters, g)
		}
	}
	for id, l := range s.to {
		if v := others.find(id); v == nil || address(*v) == "" {
			l.cancel()
			delete(s.to, id)
		}
	}
	for _, v := range others.voters {
		addr := address(v)
		if l := s.to[v.ID]; l != nil {
			l.mu.Lock()
			l.addr = addr
			l.mu.Unlock()
			continue
		}
		if addr == "" {
			continue
		}
		ctx, cancel := context.WithCancel(s.ctx)
		l := &link{s: s, id: v.ID, addr: addr, cancel: cancel, wake: make(chan struct{}, 1)}
		s.to[v.ID] = l
		s.wg.Go(func() { l.run(ctx) })
	}
}

// send queues a message, and reports whether there was room.
func (s *links) send(r *MessageRequest) bool {
	s.mu.Lock()
	l := s.to[r.To]
	s.mu.Unlock()
	if l == nil {
		return false
	}
	size := len(r.Messages[0])
	l.mu.Lock()
	room := l.size == 0 || l.size+size <= maxLinkBytes
	if room {
		l.queue = append(l.queue, r)
		l.size += size
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return room
}

func (l *link) take() []*MessageRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queue
	l.queue, l.size = nil, 0
	return queue
}

func (s *links) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

func (l *link) run(ctx context.Context) {
	e := l.s.e
	redial := minRedial
	gone := false // told
	for ctx.Err() == nil {
		conn, err := l.dial(ctx)
		if err != nil {
			if peer.IsRefused(err) && !gone {
				gone = true
				e.PeerGone(l.id)
			}
			e.o.Logger.Debug("a voter is not in reach", "voter", l.id, "error", err)
			if lost := l.take(); len(lost) > 0 {
				e.unreachable(l.id)
			}
			select {
			case <-time.After(redial):
			case <-ctx.Done():
			}
			redial = min(2*redial, maxRedial)
			continue
		}
		redial, gone = minRedial, false
		e.peerUp(l.id)
		l.serve(ctx, conn)
		conn.Close()
		e.unreachable(l.id)
	}
}

func (l *link) dial(ctx context.Context) (*peer.Conn, error) {
	l.mu.Lock()
	addr := l.addr
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, max(l.s.e.o.ElectionTimeout, time.Second))
	defer cancel()
	return peer.Dial(ctx, l.s.e.peerOptions(addr))
}

func (e *Engine) peerOptions(addr string) peer.Options {
	return peer.Options{
		Addr: addr, ClientID: e.o.ClientID, Dial: e.o.Dial, Logger: e.o.Logger,
		// Who takes requests and does not answer for so long is not heard by Raft either. A new connection may go better.
		Timeout: max(5*e.o.ElectionTimeout, 5*time.Second),
	}
}

// serve sends what is queued until the connection ends.
func (l *link) serve(ctx context.Context, conn *peer.Conn) {
	for {
		select {
		case <-l.wake:
		case <-conn.Done():
			return
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		moved := l.addr != conn.Addr()
		l.mu.Unlock()
		if moved {
			return
		}
		for _, r := range joined(l.take()) {
			conn.Send(r, l.answered)
		}
	}
}

// joined puts requests to the same voter together, up to what a receiver takes at once.
func joined(queue []*MessageRequest) (requests []*MessageRequest) {
	const maxBytes = 1 << 20
	size := 0
	for _, r := range queue {
		n := len(r.Messages[0])
		if last := len(requests) - 1; last >= 0 && size+n <= maxBytes && len(requests[last].Messages) < maxMessages && requests[last].ToDirectory == r.ToDirectory {
			requests[last].Messages = append(requests[last].Messages, r.Messages[0])
			size += n
			continue
		}
		requests = append(requests, r)
		size = n
	}
	return requests
}

func (l *link) answered(resp kmsg.Response, err error) {
	if err != nil {
		return // the connection has ended, which run sees
	}
	r := resp.(*MessageResponse)
	if r.VotersOffset >= 0 {
		l.s.e.leftOutBy(l.id, r.VotersOffset)
	}
	l.mu.Lock()
	repeated := r.Text == l.text
	l.text = r.Text
	l.mu.Unlock()
	if r.ErrorCode != 0 && !repeated {
		l.s.e.o.Logger.Error("a voter refuses the messages of this one", "voter", l.id, "error", kerr.ErrorForCode(r.ErrorCode), "reason", r.Text)
	}
}

// fetch fetches a snapshot from the leader on a connection of its own.
func (s *links) fetch(f *fetching) {
	s.mu.Lock()
	l, closed := s.to[f.leader], s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	over := make(chan struct{})
	s.stop, s.over = cancel, over
	s.wg.Go(func() {
		defer close(over)
		defer cancel()
		err := fmt.Errorf("voter %d has no known address", f.leader)
		if l != nil {
			err = l.fetch(ctx, f)
		}
		s.e.enqueue(func() error { return s.e.endFetch(f, err) })
	})
}

// stopFetch ends the fetch that runs and waits for it.
func (s *links) stopFetch() {
	if s.stop != nil {
		s.stop()
		<-s.over
	}
}

func (l *link) fetch(ctx context.Context, f *fetching) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		data, size, err := fetchPart(ctx, conn, l.s.e.o.NodeID, f.offer.GetTerm(), f.c.id(), f.pos)
		if err != nil {
			return err
		}
		if done, err := f.take(data, size); done || err != nil {
			return err
		}
	}
}

// fetchPart asks for a part of a snapshot.
func fetchPart(ctx context.Context, conn *peer.Conn, node int32, epoch uint64, id journal.SnapshotID, position int64) (data []byte, size int64, err error) {
	resp, err := conn.Do(ctx, partRequest(node, int32(epoch), id, position))
	if err != nil {
		return nil, 0, err
	}
	return partOf(resp.(*kmsg.FetchSnapshotResponse), position)
}

// partRequest asks for a part of a snapshot (KIP-630).
func partRequest(node, epoch int32, id journal.SnapshotID, position int64) *kmsg.FetchSnapshotRequest {
	req := kmsg.NewPtrFetchSnapshotRequest()
	req.ReplicaID, req.MaxBytes = node, partBytes
	p := kmsg.NewFetchSnapshotRequestTopicPartition()
	p.CurrentLeaderEpoch, p.Position = epoch, position
	p.SnapshotID.EndOffset, p.SnapshotID.Epoch = id.End, id.Epoch
	t := kmsg.NewFetchSnapshotRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// partOf is what an answer holds of the snapshot at a position, and how large the file is.
func partOf(resp *kmsg.FetchSnapshotResponse, position int64) (data []byte, size int64, err error) {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, 0, fmt.Errorf("%w: FetchSnapshot answered for %d topics", errBadMessage, len(resp.Topics))
	}
	part := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
		return nil, 0, err
	}
	if part.Position != position {
		return nil, 0, fmt.Errorf("%w: FetchSnapshot of position %d answered with %d", errBadMessage, position, part.Position)
	}
	return part.Bytes, part.Size, nil
}
