package node

import (
	"context"
	"fmt"
	"time"

	"gregor/internal/config"
	"gregor/internal/peer"
)

// checkReach dials what this broker advertises, as a client would, once it serves.
//
// That nobody answers, or somebody who does not know the question, is a warning and no more: behind a NAT or in a
// container the address may be one that only others can use. That another broker answers is certain to be wrong, for
// clients would be sent to it for what is here: then the node ends.
func (n *Node) checkReach(ctx context.Context) {
	d := &discovery{asker: asker{dial: n.dial, self: n.hello}, log: n.log, now: n.now}
	for _, l := range n.addrs {
		n.background.Go(func() {
			addr := l.Addr()
			asking, cancel := context.WithTimeout(ctx, helloTimeout)
			who, err := d.hello(asking, addr)
			cancel()
			if ctx.Err() != nil {
				return
			}
			// Its own connection may have waited for a thread of a busy machine; who is asked again is more likely there.
			if err != nil && pause(ctx, time.Second) {
				who, err = d.hello(ctx, addr)
			}
			if ctx.Err() != nil {
				return
			}
			n.judgeReach(l, who, err)
		})
	}
}

// judgeReach says what it means that somebody, or nobody, answers at an advertised address.
func (n *Node) judgeReach(l config.Listener, who peer.Identity, err error) {
	setting := "advertised.listeners"
	if !n.live.Load().Has(setting) {
		setting = "listeners (no advertised.listeners is set)"
	}
	self := n.hello()
	switch {
	case err != nil:
		n.log.Warn("this broker does not reach itself at the address that it gives to clients; correct the setting, unless the address is one that only others can use",
			"setting", setting, "address", l.String(), "error", rootOf(err).Error())
	case who.Process == self.Process:
	case who.ClusterID != self.ClusterID:
		n.fail(fmt.Errorf("%w: %s sends the clients of this node to %s, where node %d of another cluster (%s) answers; correct the host or the port", ErrIdentity, setting, l, who.NodeID, who.ClusterID))
	case who.NodeID == self.NodeID:
		n.fail(fmt.Errorf("%w: node.id=%d belongs to another process, which answers at %s, the address that %s gives to clients; stop that process, or give this one a node.id and listeners of its own",
			errNodeInUse, self.NodeID, l, setting))
	default:
		n.fail(fmt.Errorf("%w: %s sends the clients of this node to %s, where node %d of this cluster answers; correct the host or the port", ErrIdentity, setting, l, who.NodeID))
	}
}
