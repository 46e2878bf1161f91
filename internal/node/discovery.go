package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gregor/internal/config"
	"gregor/internal/metadata"
	"gregor/internal/peer"
)

const (
	helloTimeout  = 2 * time.Second        // for one answer
	helloRetry    = 20 * time.Millisecond  // between two questions to one node, at first
	helloSlow     = 500 * time.Millisecond // and later
	helloPatience = 2 * time.Second        // until the first word of who is missing
	helloRepeat   = 30 * time.Second       // until the next
)

// asker asks other nodes who they are.
type asker struct {
	dial peer.Dialer
	self func() peer.Identity
}

// hello asks one node, once.
func (a asker) hello(ctx context.Context, addr string) (peer.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	c, err := peer.Dial(ctx, peer.Options{Addr: addr, ClientID: fmt.Sprintf("node-%d", a.self().NodeID), Dial: a.dial, MaxResponseBytes: 64 << 10})
	if err != nil {
		return peer.Identity{}, err
	}
	defer c.Close()
	resp, err := c.Do(ctx, &peer.HelloRequest{From: a.self()})
	if err != nil {
		return peer.Identity{}, fmt.Errorf("%s: %w", addr, err)
	}
	h, ok := resp.(*peer.HelloResponse)
	if !ok {
		return peer.Identity{}, fmt.Errorf("%s: %w: %T", addr, peer.ErrProtocol, resp)
	}
	return h.Identity, nil
}

// discovery finds out which cluster a node of a quorum of several belongs to.
type discovery struct {
	asker
	log *slog.Logger
	now func() time.Time
}

// voter asks the other voters until it is clear which cluster this one belongs to and whether it is joining. It says
// who is missing while it waits, and ends with ctx.
func (d *discovery) voter(ctx context.Context, formatted bool, voters []config.Voter) (verdict, error) {
	c := &census{self: d.self(), formatted: formatted, voters: voters, answers: map[int32]answer{}}
	if v, err := c.decide(); v.settled || err != nil {
		return v, err
	}
	asking, cancel := context.WithCancel(ctx)
	type news struct {
		voter config.Voter
		answer
	}
	heard := make(chan news)
	var wg sync.WaitGroup
	for _, v := range voters {
		if v.ID == c.self.NodeID {
			continue
		}
		wg.Go(func() {
			d.keepAsking(asking, v.Addr(), fmt.Sprintf("voter %s", v), func(who peer.Identity, err error) bool {
				select {
				case heard <- news{v, answer{who, err == nil, err}}:
					return true
				case <-asking.Done():
					return false
				}
			})
		})
	}
	defer wg.Wait()
	defer cancel()
	tell := time.NewTimer(helloPatience)
	defer tell.Stop()
	for {
		select {
		case n := <-heard:
			c.answers[n.voter.ID] = n.answer
			v, err := c.decide()
			if v.settled || err != nil {
				return v, err
			}
		case <-tell.C:
			d.log.Warn("waiting for the other voters to agree on a cluster", "missing", c.missing(),
				"way_out", "start them; or, if one of them cannot come, choose the cluster id by hand on those that can: kafka-storage format --cluster-id $(kafka-storage random-uuid) --config FILE")
			tell.Reset(helloRepeat)
		case <-ctx.Done():
			return verdict{}, fmt.Errorf("the voters have not agreed on a cluster; missing: %s: %w", c.missing(), ctx.Err())
		}
	}
}

// observer asks the controllers until one knows its cluster.
func (d *discovery) observer(ctx context.Context, addrs []string) (clusterID string, err error) {
	asking, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type news struct {
		addr string
		who  peer.Identity
		err  error
	}
	heard := make(chan news)
	for _, addr := range addrs {
		wg.Go(func() {
			d.keepAsking(asking, addr, addr, func(who peer.Identity, err error) bool {
				select {
				case heard <- news{addr, who, err}:
					return true
				case <-asking.Done():
					return false
				}
			})
		})
	}
	why := map[string]string{}
	missing := func() (list []string) {
		for _, a := range addrs {
			list = append(list, a+" ("+why[a]+")")
		}
		return list
	}
	tell := time.NewTimer(helloPatience)
	defer tell.Stop()
	for {
		select {
		case n := <-heard:
			switch {
			case n.err != nil:
				why[n.addr] = rootOf(n.err).Error()
			case n.who.ClusterID == "":
				why[n.addr] = "does not know its cluster yet"
			default:
				return n.who.ClusterID, nil
			}
		case <-tell.C:
			d.log.Warn("waiting for a controller that knows its cluster", "asked", missing(),
				"way_out", "start them; a new quorum whose voters are not in controller.quorum.voters begins with: kafka-storage format --cluster-id $(kafka-storage random-uuid) --standalone --config FILE on one controller, and with --no-initial-controllers on the others")
			tell.Reset(helloRepeat)
		case <-ctx.Done():
			return "", fmt.Errorf("no controller says which cluster this is; asked %v: %w", missing(), ctx.Err())
		}
	}
}

// keepAsking asks one node again and again until hear returns false or ctx ends. It warns once of a clock that is off.
func (d *discovery) keepAsking(ctx context.Context, addr, name string, hear func(peer.Identity, error) bool) {
	warned := false
	for wait := helloRetry; ; wait = min(2*wait, helloSlow) {
		asked := d.now()
		who, err := d.hello(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		if err == nil && !warned {
			warned = d.warnOfClock(name, who, asked)
		}
		if !hear(who, err) {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// warnOfClock warns when a node's clock and ours disagree.
func (d *discovery) warnOfClock(name string, who peer.Identity, asked time.Time) bool {
	skew := clockSkew(who, asked, d.now())
	if skew == 0 {
		return false
	}
	how := "ahead of"
	if skew < 0 {
		how, skew = "behind", -skew
	}
	d.log.Warn("clocks disagree: the clock of another node is "+skew.Round(time.Second).String()+" "+how+" the one of this machine; "+
		"records get wrong timestamps, and are kept too long or deleted too early: set the clocks of both by NTP", "other", name)
	return true
}

// errNodeInUse refuses a node id that somebody else has.
var errNodeInUse = errors.New("node id in use")

// own asks who answers at an address that should lead to this node. reached is false if nobody does: the address may
// be one that only others can use.
func (d *discovery) own(ctx context.Context, addr string) (who peer.Identity, reached bool, err error) {
	who, err = d.hello(ctx, addr)
	return who, err == nil, err
}

// checkOwnVoter refuses to go on if the quorum's address of this node leads to another process.
func (d *discovery) checkOwnVoter(ctx context.Context, voters []config.Voter) error {
	self := d.self()
	i := slices.IndexFunc(voters, func(v config.Voter) bool { return v.ID == self.NodeID })
	if i < 0 {
		return nil
	}
	v := voters[i]
	who, reached, err := d.own(ctx, v.Addr())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !reached:
		d.log.Warn("this node does not reach itself where controller.quorum.voters sends the other nodes; correct the address, unless only the others can use it",
			"voter", v.String(), "error", rootOf(err).Error())
	case who.Process == self.Process:
	case who.NodeID == self.NodeID:
		return fmt.Errorf("%w: node.id=%d belongs to another process, which answers at %s (the address of this node in controller.quorum.voters); "+
			"stop that process, or give this one a node.id and listeners of its own", errNodeInUse, self.NodeID, v.Addr())
	default:
		return fmt.Errorf("%w: controller.quorum.voters has %s, but node %d answers there; correct the ids or the addresses", ErrIdentity, v, who.NodeID)
	}
	return nil
}

// newProcess is a mark that no other process has.
func newProcess() [16]byte { return metadata.NewUUID() }
