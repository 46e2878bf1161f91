package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fault is a kind of bad luck.
type fault int

const (
	faultKill    fault = iota // a process ends, and comes back
	faultFuse                 // a process or a machine dies in the middle of writing
	faultPower                // a machine loses power
	faultPause                // a process stands still
	faultIsolate              // a node hears and is heard of nobody
	faultOneWay               // messages of one node to another are lost
	faultSplit                // the nodes are in two parts
	faultAllDown              // everything ends at once
	faultDemote               // the active controller is cut off from all others, in one direction
	faultElect                // preferred leaders are elected
	numFaults
)

var faultNames = [numFaults]string{"kill", "fuse", "power", "pause", "isolate", "one way", "split", "all down", "demote", "elect"}

// nemesis makes one fault after the other until its time is over, and then repairs everything.
func (c *cluster) nemesis(until time.Duration) {
	c.w.after(c.w.between(c.o.Every/2, c.o.Every*3/2), func() {
		if c.w.now >= until || len(c.o.Kinds) == 0 {
			c.heal()
			return
		}
		c.fault(c.o.Kinds[c.w.rnd.IntN(len(c.o.Kinds))])
		c.nemesis(until)
	})
}

func (c *cluster) fault(kind fault) {
	w := c.w
	n := c.nodes[w.rnd.IntN(len(c.nodes))]
	w.note(n.id, "fault "+faultNames[kind])
	back := w.between(0, 2*time.Second)
	if w.chance(0.3) {
		back = w.between(0, 8*time.Second)
	}
	switch kind {
	case faultKill:
		n.down(false)
		w.after(back, n.start)
	case faultPower:
		n.down(c.o.Power)
		w.after(back, n.start)
	case faultFuse:
		n.disk.fuse = 1 + w.rnd.IntN(50)
		n.disk.kill = !c.o.Power || w.chance(0.3)
		w.after(w.between(0, time.Second)+back, func() {
			n.disk.fuse = 0
			n.start()
		})
	case faultAllDown:
		for _, n := range c.nodes {
			w.after(w.between(0, 20*time.Millisecond), func() { n.down(c.o.Power) })
			w.after(20*time.Millisecond+w.between(0, back), n.start)
		}
	case faultPause:
		n.pause()
		w.after(back, n.resume)
	case faultIsolate:
		c.cutOff([]*node{n}, back)
	case faultSplit:
		var part []*node
		for _, n := range c.nodes {
			if w.chance(0.5) {
				part = append(part, n)
			}
		}
		c.cutOff(part, back)
	case faultOneWay:
		if to := c.nodes[w.rnd.IntN(len(c.nodes))]; to != n {
			c.cutLink(n.id, to.id, back)
		}
	case faultDemote:
		for _, n := range c.nodes {
			if n.proc == nil || n.proc.ctrl.Leader() != n.id {
				continue
			}
			out := w.chance(0.5)
			for _, m := range c.nodes {
				switch {
				case m == n:
				case out:
					c.cutLink(n.id, m.id, back)
				default:
					c.cutLink(m.id, n.id, back)
				}
			}
		}
	case faultElect:
		c.electPreferred()
	}
}

func (c *cluster) cutLink(from, to int32, back time.Duration) {
	c.net.cut[[2]int32{from, to}] = true
	c.w.after(back, func() { delete(c.net.cut, [2]int32{from, to}) })
}

// cutOff parts some nodes from the others. Clients reach both sides.
func (c *cluster) cutOff(part []*node, back time.Duration) {
	in := map[int32]bool{}
	for _, n := range part {
		in[n.id] = true
	}
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if in[a.id] != in[b.id] {
				c.cutLink(a.id, b.id, back)
			}
		}
	}
}

// heal ends all faults.
func (c *cluster) heal() {
	c.w.note(0, "heal")
	clear(c.net.cut)
	c.net.loss, c.net.slow = 0, 0
	for _, n := range c.nodes {
		n.disk.fuse = 0
		n.resume()
		n.start()
	}
}

// electPreferred asks for the preferred leader of every partition, once.
func (c *cluster) electPreferred() {
	req := kmsg.NewPtrElectLeadersRequest()
	req.SetVersion(2)
	req.TimeoutMillis = 1000
	n := c.nodes[c.w.rnd.IntN(len(c.nodes))]
	if n.proc != nil && !n.paused && n.proc.ctrl.Leader() > 0 {
		c.askNode(adminID, n.proc.ctrl.Leader(), req, func(kmsg.Response, error) {})
	}
}

// adminID is the client that makes topics.
const adminID = 1000

// createTopics makes the topics that are used, however long that takes, and then calls done.
func (c *cluster) createTopics(topics []string, partitions int32, done func()) {
	retry := func() { c.w.after(200*time.Millisecond, func() { c.createTopics(topics, partitions, done) }) }
	missing := kmsg.NewPtrCreateTopicsRequest()
	missing.SetVersion(7)
	missing.TimeoutMillis = 1000
	for _, name := range topics {
		if c.check.image.Topic(name) == nil {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, int16(min(3, len(c.nodes)))
			missing.Topics = append(missing.Topics, t)
		}
	}
	if len(missing.Topics) == 0 {
		done()
		return
	}
	n := c.nodes[c.w.rnd.IntN(len(c.nodes))]
	if n.proc == nil || n.proc.ctrl.Leader() < 1 {
		retry()
		return
	}
	c.askNode(adminID, n.proc.ctrl.Leader(), missing, func(kmsg.Response, error) { retry() })
}
