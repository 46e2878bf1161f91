package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/journal"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// server is a controller listener as far as the quorum needs one.
type server struct {
	t  *testing.T
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	e     process // nil: it listens and does not answer
	conns map[net.Conn]bool

	spoil func(*kmsg.FetchRequest, *kmsg.FetchResponse) // what a test does to answers; nil: nothing
}

// process is an Engine or a Member.
type process interface {
	journal.Journal
	journal.Quorum
	Handle(*MessageRequest) *MessageResponse
}

func optionsOf(p process) *Options {
	if m, ok := p.(*Member); ok {
		return &m.o.Options
	}
	return &p.(*Engine).o
}

func listen(t *testing.T, addr string) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, l: l, conns: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(s.close)
	return s
}

// close is what the end of a process looks like.
func (s *server) close() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		h, body, err := wire.ReadRequestHeader(frame)
		if err != nil {
			s.t.Error(err)
			return
		}
		s.mu.Lock()
		e := s.e
		s.mu.Unlock()
		if resp := s.answer(e, h, body); resp != nil {
			if _, err := c.Write(wire.AppendResponse(nil, h.CorrelationID, resp)); err != nil {
				return
			}
		}
	}
}

func (s *server) answer(e process, h wire.RequestHeader, body []byte) kmsg.Response {
	switch h.Key {
	case wire.ApiVersionsKey:
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.SetVersion(h.Version)
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 1, MinVersion: 4, MaxVersion: 17}, {ApiKey: 18, MaxVersion: 4}, {ApiKey: 59, MaxVersion: 1}}
		return resp
	case 1:
		return s.fetch(e, h, body)
	case MessageKey:
		req := &MessageRequest{Version: h.Version}
		if err := req.ReadFrom(body); err != nil {
			s.t.Error(err)
		}
		if e == nil {
			return &MessageResponse{ErrorCode: kerr.BrokerNotAvailable.Code}
		}
		return e.Handle(req)
	case 59:
		req := kmsg.NewPtrFetchSnapshotRequest()
		req.SetVersion(h.Version)
		body, err := wire.SkipTags(body)
		if err == nil {
			err = req.ReadFrom(body)
		}
		if err != nil || e == nil {
			s.t.Error(err)
			return nil
		}
		return fetchSnapshot(e, req)
	}
	s.t.Errorf("request %d", h.Key)
	return nil
}

func fetchSnapshot(e process, req *kmsg.FetchSnapshotRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FetchSnapshotResponse)
	asked := req.Topics[0].Partitions[0]
	p := kmsg.NewFetchSnapshotResponseTopicPartition()
	p.Position = asked.Position
	var err error
	p.Bytes, p.Size, err = e.ReadSnapshot(journal.SnapshotID{End: asked.SnapshotID.EndOffset, Epoch: asked.SnapshotID.Epoch}, asked.Position, 1000)
	if err != nil {
		p.ErrorCode = kerr.SnapshotNotFound.Code
	}
	topic := kmsg.NewFetchSnapshotResponseTopic()
	topic.Topic, topic.Partitions = req.Topics[0].Topic, append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// keeper is a handler that keeps what it was told.
type keeper struct {
	mu     sync.Mutex
	news   chan struct{} // closed with every change
	epoch  int32         // in which it may append; 0: it may not
	next   int64
	end    int64
	state  []string
	last   journal.Batch
	loads  int
	failed error
}

func (k *keeper) change(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	close(k.news)
	k.news = make(chan struct{})
}

func (k *keeper) Load(s journal.Snapshot) (err error) {
	k.change(func() {
		k.state, k.end, k.loads = nil, s.LastOffset+1, k.loads+1
		for v, e := range s.Values {
			k.state, err = append(k.state, string(v)), errors.Join(err, e)
		}
	})
	return err
}

func (k *keeper) Commit(batches []journal.Batch) error {
	k.change(func() {
		for _, b := range batches {
			for _, v := range b.Values {
				k.state = append(k.state, string(v))
			}
			k.last, k.end = b, b.LastOffset+1
			k.last.Values = nil
		}
	})
	return nil
}

func (k *keeper) Lead(epoch int32, next int64) { k.change(func() { k.epoch, k.next = epoch, next }) }
func (k *keeper) Follow(int32, int32)          { k.change(func() { k.epoch = 0 }) }
func (k *keeper) Fail(err error)               { k.change(func() { k.failed = err }) }

type voterProcess struct {
	o Options
	s *server
	e process
	*keeper
}

// until waits for a condition on what one of several was told.
func until(t *testing.T, what string, nodes []*voterProcess, holds func(p *voterProcess) bool) *voterProcess {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		var news []chan struct{}
		for _, p := range nodes {
			p.mu.Lock()
			ok := holds(p)
			news = append(news, p.news)
			if p.failed != nil {
				t.Error(p.failed)
			}
			p.mu.Unlock()
			if ok {
				return p
			}
		}
		some := make(chan struct{}, len(news))
		stop := make(chan struct{})
		for _, c := range news {
			go func() {
				select {
				case <-c:
					some <- struct{}{}
				case <-stop:
				}
			}()
		}
		select {
		case <-some:
			close(stop)
		case <-deadline:
			close(stop)
			for _, p := range nodes {
				t.Logf("%+v", p.e.Status())
			}
			t.Fatal("no " + what)
		}
	}
}

func leaderOf(t *testing.T, nodes []*voterProcess) *voterProcess {
	t.Helper()
	return until(t, "leader", nodes, func(p *voterProcess) bool { return p.epoch > 0 })
}

// write has a value committed by whoever leads, and returns where it lies and who that was.
func write(t *testing.T, nodes []*voterProcess, value string) (int64, *voterProcess) {
	t.Helper()
	for {
		p := leaderOf(t, nodes)
		var at int64
		var epoch int32
		var err error
		p.change(func() {
			if at, epoch = p.next, p.epoch; epoch > 0 {
				err = p.e.Append(epoch, at, 1, [][]byte{[]byte(value)})
				p.next++
			} else {
				err = journal.ErrNotLeader
			}
		})
		if errors.Is(err, journal.ErrNotLeader) {
			until(t, "news", nodes, func(o *voterProcess) bool { return p.epoch != epoch || o != p && o.epoch > 0 })
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		until(t, "commit", []*voterProcess{p}, func(p *voterProcess) bool { return p.end > at || p.epoch != epoch })
		if p.epoch == epoch {
			return at, p
		}
	}
}

// cluster is several voters on TCP.
func cluster(t *testing.T, n int) []*voterProcess {
	t.Helper()
	var nodes []*voterProcess
	var set []journal.Voter
	for id := range int32(n) {
		s := listen(t, "127.0.0.1:0")
		a := s.l.Addr().(*net.TCPAddr)
		set = append(set, journal.Voter{ID: id, Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: a.IP.String(), Port: uint16(a.Port)}}})
		nodes = append(nodes, &voterProcess{s: s})
	}
	for id, p := range nodes {
		p.o = Options{Dir: t.TempDir(), NodeID: int32(id), ClusterID: "c", DirectoryID: [16]byte{byte(id), 1}, Voters: set, RetentionBytes: 1}
		if os.Getenv("RAFT_TRACE") != "" {
			p.o.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
		}
	}
	return nodes
}

func (p *voterProcess) start(t *testing.T) {
	t.Helper()
	e, err := Open(p.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	p.e, p.keeper = e, &keeper{news: make(chan struct{})}
	p.s.mu.Lock()
	p.s.e = e
	p.s.mu.Unlock()
	if err := e.Start(p.keeper); err != nil {
		t.Fatal(err)
	}
	e.Campaign()
}

func (p *voterProcess) kill() {
	p.s.mu.Lock()
	p.s.e = nil
	p.s.mu.Unlock()
	p.s.close()
	p.e.Close()
}

func (p *voterProcess) await(t *testing.T, above int64) {
	t.Helper()
	for p.e.Status().Committed <= above {
		if err := p.e.WaitCommitted(t.Context(), above); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *voterProcess) save(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	last, state := p.last, slices.Clone(p.state)
	p.mu.Unlock()
	err := p.e.Save(t.Context(), journal.Snapshot{
		LastOffset: last.LastOffset, Epoch: last.Epoch, TimestampMs: last.TimestampMs,
		Values: func(yield func([]byte, error) bool) {
			for _, v := range state {
				if !yield([]byte(v), nil) {
					return
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func without(nodes []*voterProcess, gone *voterProcess) []*voterProcess {
	return slices.DeleteFunc(slices.Clone(nodes), func(p *voterProcess) bool { return p == gone })
}

func TestThreeVoters(t *testing.T) {
	nodes := cluster(t, 3)
	for _, p := range nodes {
		p.start(t)
	}
	began := time.Now()
	leaderOf(t, nodes)
	t.Logf("elected after %s", time.Since(began))
	var at int64
	var leader *voterProcess
	for i := range 20 {
		at, leader = write(t, nodes, fmt.Sprint("value ", i))
	}
	for _, p := range nodes {
		p.await(t, at)
	}

	// The leader's process ends: the others know at once. An election timeout is a second at least.
	rest := without(nodes, leader)
	leader.kill()
	began = time.Now()
	at, second := write(t, rest, "after")
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("the second leader came after %s", took)
	} else {
		t.Logf("elected again after %s", took)
	}
	q := second.e.Describe()
	if len(q.Voters) != 3 || q.Leader != second.o.NodeID || q.HighWatermark != at+1 {
		t.Fatalf("%+v", q)
	}

	// What the old leader misses is gone from the others' logs.
	second.save(t)
	without(rest, second)[0].save(t)
	for i := range 5 {
		at, second = write(t, rest, fmt.Sprint("more ", i))
	}
	leader.s = listen(t, leader.s.l.Addr().String())
	leader.start(t)
	leader.await(t, at)
	until(t, "snapshot", []*voterProcess{leader}, func(p *voterProcess) bool { return p.end > at })
	if leader.loads == 0 {
		t.Fatal("no snapshot was fetched")
	}
	if got, want := strings.Join(leader.state, ","), strings.Join(second.state, ","); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}

	// Leadership is handed over.
	_, leader = write(t, nodes, "before handing over")
	if err := leader.e.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := leader.e.Status(); s.Leader == leader.o.NodeID || s.Leader < 0 {
		t.Fatalf("after Resign: %+v", s)
	}
	write(t, nodes, "the end")
}

func TestOtherCluster(t *testing.T) {
	e, err := Open(Options{Dir: t.TempDir(), NodeID: 1, ClusterID: "ours", Voters: []journal.Voter{{ID: 0}, {ID: 1}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, c := range []struct {
		r    MessageRequest
		code int16
		text []string
	}{
		{MessageRequest{ClusterID: "theirs", From: 0, To: 1}, kerr.InconsistentClusterID.Code, []string{`"theirs"`, `"ours"`}},
		{MessageRequest{ClusterID: "ours", From: 0, To: 2}, kerr.InconsistentVoterSet.Code, []string{"node 2", "node 1"}},
		{MessageRequest{ClusterID: "ours", From: 1, To: 1}, kerr.InconsistentVoterSet.Code, nil},
		{MessageRequest{ClusterID: "ours", From: 0, To: 1, Messages: [][]byte{{1, 2}}}, kerr.InvalidRequest.Code, []string{"node 0"}},
		{MessageRequest{ClusterID: "ours", From: 0, To: 1}, 0, nil},
	} {
		resp := e.Handle(&c.r)
		if resp.ErrorCode != c.code {
			t.Errorf("%+v: %+v", c.r, resp)
		}
		for _, text := range c.text {
			if !strings.Contains(resp.Text, text) {
				t.Errorf("%q does not say %q", resp.Text, text)
			}
		}
	}
	if err := e.Receive(&MessageRequest{ClusterID: "x"}); !errors.Is(err, kerr.InconsistentClusterID) {
		t.Error(err)
	}
}
