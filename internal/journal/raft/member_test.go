package raft

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"gregor/internal/journal"
)

// startMember starts a node that follows the log until it is made a voter.
func (p *voterProcess) startMember(t *testing.T, bootstrap ...string) {
	t.Helper()
	m, err := OpenMember(ObserverOptions{Options: p.o, Bootstrap: bootstrap, FetchWait: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	p.e, p.keeper = m, &keeper{news: make(chan struct{})}
	p.s.mu.Lock()
	p.s.e = m
	p.s.mu.Unlock()
	if err := m.Start(p.keeper); err != nil {
		t.Fatal(err)
	}
	m.Campaign()
}

func (p *voterProcess) voter() journal.Voter {
	a := p.s.l.Addr().(*net.TCPAddr)
	return journal.Voter{ID: p.o.NodeID, DirectoryID: p.o.DirectoryID, Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: a.IP.String(), Port: uint16(a.Port)}}}
}

// change asks whoever leads for a change of the voters.
func change(t *testing.T, nodes []*voterProcess, c journal.VoterChange) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		p := leaderOf(t, nodes)
		err := p.e.ChangeVoters(ctx, c)
		if err == nil {
			return
		}
		if !errors.Is(err, journal.ErrNotLeader) && !errors.Is(err, journal.ErrChangePending) {
			t.Fatal(err)
		}
		until(t, "news", nodes, func(o *voterProcess) bool { return o.epoch > 0 && o != p || p.epoch == 0 })
	}
}

// eventually is for what nobody tells of.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	every, deadline := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer every.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-every.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func (p *voterProcess) has(t *testing.T, at int64) {
	t.Helper()
	until(t, fmt.Sprintf("offset %d at node %d", at, p.o.NodeID), []*voterProcess{p}, func(p *voterProcess) bool { return p.end > at })
}

// A quorum of one grows to three while it runs, loses the first, which goes on as an observer, and gets it back.
func TestQuorumGrowsAndShrinks(t *testing.T) {
	nodes := cluster(t, 3)
	for _, p := range nodes {
		p.o.Voters = nil
	}
	first := nodes[0]
	first.o.Voters = []journal.Voter{first.voter()}
	addr := first.s.l.Addr().String()
	first.startMember(t)
	write(t, nodes[:1], "a")
	first.save(t)
	write(t, nodes[:1], "b")
	for _, p := range nodes[1:] {
		p.startMember(t, addr)
	}
	at, _ := write(t, nodes[:1], "c")
	nodes[1].has(t, at)

	v := nodes[1].voter()
	change(t, nodes[:1], journal.VoterChange{Add: &v})
	if err := first.e.ChangeVoters(t.Context(), journal.VoterChange{Add: &v}); !errors.Is(err, journal.ErrDuplicateVoter) {
		t.Fatalf("added twice: %v", err)
	}
	w := nodes[2].voter()
	change(t, nodes, journal.VoterChange{Add: &w})
	at, _ = write(t, nodes, "three voters")
	for _, p := range nodes {
		p.has(t, at)
		eventually(t, func() error {
			if ids := p.e.Status().Voters; !slices.Equal(ids, []int32{0, 1, 2}) {
				return fmt.Errorf("node %d knows voters %v", p.o.NodeID, ids)
			}
			return nil
		})
	}

	change(t, nodes, journal.VoterChange{Remove: &journal.VoterKey{ID: 0, DirectoryID: first.o.DirectoryID}})
	at, leader := write(t, nodes, "two voters")
	if leader == first {
		t.Fatal("who was removed leads")
	}
	first.has(t, at) // as an observer
	eventually(t, func() error {
		if e, o := first.e.(*Member).now(); e != nil || o == nil {
			return errors.New("who was removed is not an observer")
		}
		return nil
	})

	back := first.voter()
	change(t, nodes, journal.VoterChange{Add: &back})
	at, _ = write(t, nodes, "three again")
	for _, p := range nodes {
		p.has(t, at)
	}
	for _, p := range nodes[1:] {
		if !slices.Equal(p.state, first.state) {
			t.Errorf("node %d has %v, node 0 %v", p.o.NodeID, p.state, first.state)
		}
	}

	// All of them restart with what the log says of the voters.
	for _, p := range nodes {
		addr := p.s.l.Addr().String()
		p.kill()
		p.s = listen(t, addr)
	}
	for _, p := range nodes {
		p.startMember(t, addr)
	}
	at, _ = write(t, nodes, "again")
	for _, p := range nodes {
		p.has(t, at)
		eventually(t, func() error {
			if q := p.e.Describe(); len(q.Voters) != 3 || q.KRaftVersion != 1 {
				return fmt.Errorf("%+v", q)
			}
			return nil
		})
	}
}
