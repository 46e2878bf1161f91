package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	e     *Engine // nil: it listens and does not answer
	conns map[net.Conn]bool
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

func (s *server) answer(e *Engine, h wire.RequestHeader, body []byte) kmsg.Response {
	switch h.Key {
	case wire.ApiVersionsKey:
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.SetVersion(h.Version)
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MaxVersion: 4}, {ApiKey: 59, MaxVersion: 1}}
		return resp
	case MessageKey:
		req := &MessageRequest{Version: h.Version}
		if err := req.ReadFrom(body); err != nil {
			s.t.Error(err)
		}
		if e == nil {
			return nil
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

func fetchSnapshot(e *Engine, req *kmsg.FetchSnapshotRequest) kmsg.Response {
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

type voterProcess struct {
	o Options
	s *server
	e *Engine
	h *follower
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
	p.e, p.h = e, newFollower()
	p.s.mu.Lock()
	p.s.e = e
	p.s.mu.Unlock()
	if err := e.Start(p.h); err != nil {
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

// leaderOf waits until one of several leads.
func leaderOf(t *testing.T, nodes ...*voterProcess) (*voterProcess, int64) {
	t.Helper()
	type lead struct {
		p    *voterProcess
		next int64
	}
	found := make(chan lead, len(nodes))
	stop := make(chan struct{})
	defer close(stop)
	for _, p := range nodes {
		go func() {
			select {
			case next := <-p.h.lead:
				found <- lead{p, next}
			case err := <-p.h.failed:
				t.Error(err)
			case <-stop:
			}
		}()
	}
	select {
	case l := <-found:
		return l.p, l.next
	case <-time.After(20 * time.Second):
		for _, p := range nodes {
			t.Logf("%+v", p.e.Status())
		}
		t.Fatal("no leader")
	}
	return nil, 0
}

func (p *voterProcess) await(t *testing.T, above int64) {
	t.Helper()
	for p.e.Status().Committed <= above {
		if err := p.e.WaitCommitted(t.Context(), above); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThreeVoters(t *testing.T) {
	nodes := cluster(t, 3)
	for _, p := range nodes {
		p.start(t)
	}
	began := time.Now()
	leader, next := leaderOf(t, nodes...)
	t.Logf("elected after %s", time.Since(began))
	for i := range 20 {
		next = put(t, leader.e, leader.h, next, fmt.Sprint("value ", i))
	}
	for _, p := range nodes {
		p.await(t, next-1)
	}

	// The leader's process ends: the others know at once.
	var rest []*voterProcess
	for _, p := range nodes {
		if p != leader {
			rest = append(rest, p)
		}
	}
	leader.kill()
	began = time.Now()
	second, next := leaderOf(t, rest...)
	if took := time.Since(began); took > time.Second {
		t.Errorf("the second leader came after %s, which is an election timeout", took)
	} else {
		t.Logf("elected again after %s", took)
	}
	next = put(t, second.e, second.h, next, "after")
	q := second.e.Describe()
	if len(q.Voters) != 3 || q.Leader != second.o.NodeID || q.HighWatermark != next {
		t.Fatalf("%+v", q)
	}

	// What the old leader misses is gone from the others' logs.
	save(t, second.e, second.h)
	for i := range 5 {
		next = put(t, second.e, second.h, next, fmt.Sprint("more ", i))
	}
	leader.s = listen(t, leader.s.l.Addr().String())
	leader.start(t)
	leader.await(t, next-1)
	if leader.h.loaded == nil {
		t.Fatal("no snapshot was fetched")
	}
	if got, want := strings.Join(leader.h.state, ","), strings.Join(second.h.state, ","); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}

	// Leadership is handed over.
	if err := second.e.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := second.e.Status(); s.Leader == second.o.NodeID || s.Leader < 0 {
		t.Fatalf("after Resign: %+v", s)
	}
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
