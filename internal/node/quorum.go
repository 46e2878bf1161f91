package node

import (
	"fmt"
	"strings"
	"time"

	"gregor/internal/config"
	"gregor/internal/peer"
)

// census is what a node knows of its quorum while it finds out which cluster it belongs to. It decides and does nothing
// else: asking is the business of discovery.
//
// A voter that has never been part of the quorum must not be mistaken for one whose disk was wiped: the second has voted,
// and has acknowledged changes, and if it took part again as if it had not, a majority could forget them. Its metadata
// log is empty in both cases. What tells them apart is the others: while one of them has a log, or has not been asked, it
// is joining, and only a leader that brings it up to date makes it a voter again.
type census struct {
	self      peer.Identity // ClusterID is "" while it is not known
	formatted bool          // the directory says so: somebody has decided that this node may begin
	voters    []config.Voter
	answers   map[int32]answer // of the voters other than this node
}

// answer is what is known of one voter.
type answer struct {
	peer.Identity
	heard bool
	err   error // why it could not be asked; nil if heard
}

// verdict is what a census comes to.
type verdict struct {
	settled   bool
	clusterID string // if settled; "" has the node make one
	joining   bool   // see raft.Options
}

// decide says whether the node may go on. An error is a configuration that cannot work.
func (c *census) decide() (verdict, error) {
	clusterID, from := c.self.ClusterID, "this node"
	heard, logs := 0, false
	lowest := c.self.NodeID
	for _, v := range c.voters {
		a := c.answers[v.ID]
		lowest = min(lowest, v.ID)
		if v.ID == c.self.NodeID || !a.heard {
			continue
		}
		if err := c.check(v, a.Identity); err != nil {
			return verdict{}, err
		}
		if a.ClusterID != "" {
			if clusterID != "" && clusterID != a.ClusterID {
				return verdict{}, fmt.Errorf("%w: %s belongs to cluster %s, voter %s to cluster %s; they cannot be in one quorum: "+
					"correct controller.quorum.voters, or empty the directories of the node that is in the wrong place, if its data is not needed",
					ErrIdentity, from, clusterID, v, a.ClusterID)
			}
			if clusterID == "" {
				clusterID, from = a.ClusterID, "voter "+v.String()
			}
		}
		heard++
		logs = logs || a.HasLog
	}
	others := len(c.voters) - 1
	all, most := heard == others, (heard+1)*2 > len(c.voters)
	settled := func(joining bool) (verdict, error) {
		return verdict{settled: true, clusterID: clusterID, joining: joining}, nil
	}
	switch {
	case c.self.HasLog:
		return settled(false)
	case logs && clusterID != "":
		return settled(true)
	case c.formatted && most:
		// Whoever formatted this node has decided that it begins. If most voters begin, nothing is there to be forgotten.
		return settled(false)
	case all && (clusterID != "" || c.self.NodeID == lowest):
		return settled(false)
	}
	return verdict{}, nil // the others have not answered, or the one with the lowest id has not made the cluster's id yet
}

// check refuses a voter that is not who the configuration says.
func (c *census) check(v config.Voter, who peer.Identity) error {
	switch {
	case who.NodeID != v.ID:
		return fmt.Errorf("%w: controller.quorum.voters has %s, but node %d answers there; correct the ids or the addresses", ErrIdentity, v, who.NodeID)
	case !who.Controller:
		return fmt.Errorf("%w: controller.quorum.voters has %s, but that node does not have the role controller; correct its process.roles, or the list", ErrIdentity, v)
	}
	return nil
}

// maxClockSkew is from where on another node's clock is worth a warning. Timestamps of records, retention and the
// comparison of logs suffer long before anything breaks.
const maxClockSkew = time.Minute

// clockSkew is how far a node's clock was ahead of ours when it answered between two of our moments; 0 within bounds.
func clockSkew(who peer.Identity, asked, answered time.Time) time.Duration {
	theirs := time.UnixMilli(who.ClockMs)
	switch {
	case theirs.After(answered.Add(maxClockSkew)):
		return theirs.Sub(answered)
	case theirs.Before(asked.Add(-maxClockSkew)):
		return theirs.Sub(asked)
	}
	return 0
}

// missing says who has not answered, and why, or what else is waited for.
func (c *census) missing() string {
	var silent []string
	for _, v := range c.voters {
		a := c.answers[v.ID]
		switch {
		case v.ID == c.self.NodeID || a.heard:
		case a.err == nil:
			silent = append(silent, v.String())
		default:
			silent = append(silent, fmt.Sprintf("%s (%v)", v, rootOf(a.err)))
		}
	}
	if len(silent) > 0 {
		return strings.Join(silent, ", ")
	}
	return "the cluster id, which the voter with the lowest id makes"
}

// rootOf is the innermost error: what the system said.
func rootOf(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				err = inner
				continue
			}
		case interface{ Unwrap() []error }:
			if inner := e.Unwrap(); len(inner) > 0 {
				err = inner[len(inner)-1]
				continue
			}
		}
		return err
	}
}
