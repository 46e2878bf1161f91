package sim

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fault is a kind of bad luck.
type fault int

const (
	faultKill      fault = iota // a process ends, and comes back
	faultFuse                   // a process or a machine dies in the middle of writing
	faultPower                  // a machine loses power
	faultPause                  // a process stands still
	faultIsolate                // a node hears and is heard of nobody
	faultOneWay                 // messages of one node to another are lost
	faultSplit                  // the nodes are in two parts
	faultAllDown                // everything ends at once
	faultDemote                 // the active controller is cut off from all others, in one direction
	faultElect                  // preferred leaders are elected
	faultFlap                   // a process ends and comes back at once, again and again
	faultHandOver               // the active controller hands over
	faultReassign               // replicas of a partition move
	faultRetention              // a leader deletes the beginning of its log
	faultWipe                   // a node loses its disk
	numFaults
)

var faultNames = [numFaults]string{"kill", "fuse", "power", "pause", "isolate", "one way", "split", "all down", "demote", "elect",
	"flap", "hand over", "reassign", "retention", "wipe"}

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
		n.end(false)
		w.after(back, n.start)
	case faultPower:
		n.end(true)
		w.after(back, n.start)
	case faultFuse:
		if c.recovering() {
			return
		}
		n.disk.fuse = 1 + w.rnd.IntN(50)
		n.disk.kill = w.chance(0.3)
		w.after(w.between(0, time.Second)+back, func() {
			n.disk.fuse = 0
			n.start()
		})
	case faultAllDown:
		for _, n := range c.nodes {
			w.after(w.between(0, 20*time.Millisecond), func() { n.end(c.o.Power == powerFlushed) })
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
	case faultFlap:
		for range 2 + w.rnd.IntN(4) {
			at := w.between(0, 1500*time.Millisecond)
			w.after(at, func() { n.end(false) })
			w.after(at+w.between(0, 50*time.Millisecond), n.start)
		}
		w.after(1600*time.Millisecond, n.start)
	case faultHandOver:
		if n.proc != nil && !n.paused {
			n.proc.exec("hand over", func() { _ = n.proc.engine.Resign(context.Background()) })
		}
	case faultReassign:
		c.reassign()
	case faultRetention:
		c.retention()
	case faultWipe:
		if c.mayLosePower() {
			n.end(true)
			n.newDisk()
			w.after(back, n.start)
		}
	}
}

// end ends the process of a node, unless that could cost records: where they are not flushed only one machine may lose
// power, and no other process end, until everybody has everything again. That is what min.insync.replicas=2 promises
// (KIP-966): who ended without saying so may have lost records, as far as anybody else can tell.
func (n *node) end(power bool) {
	if !n.c.recovering() {
		n.down(power && n.c.mayLosePower())
	}
}

// mayLosePower reports whether a machine may lose what is not on disk.
func (c *cluster) mayLosePower() bool {
	return c.o.Power == powerFlushed || c.o.Power == powerLost && c.healthy()
}

// recovering reports whether records were lost that others still have to bring back.
func (c *cluster) recovering() bool {
	if c.lost && c.healthy() {
		c.lost = false
	}
	return c.lost
}

// healthy reports whether every replica is in sync.
func (c *cluster) healthy() bool {
	for _, n := range c.nodes {
		if n.proc == nil || n.proc.reg == nil || n.proc.engine.Joining() || n.proc.reg.fenced || !n.proc.reg.known(c.check.image) {
			return false
		}
	}
	for _, s := range c.check.order {
		mp := c.check.image.TopicByID(s.key.topic).Partitions[s.key.index]
		if len(mp.ISR) < len(mp.Replicas) || len(mp.Adding) > 0 {
			return false
		}
	}
	return true
}

// reassign gives a partition other replicas, or the same in another order.
func (c *cluster) reassign() {
	if len(c.check.order) == 0 {
		return
	}
	s := c.check.order[c.w.rnd.IntN(len(c.check.order))]
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 1000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = s.topic
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition = s.key.index
	for _, i := range c.w.rnd.Perm(len(c.nodes))[:c.o.Replicas] {
		p.Replicas = append(p.Replicas, int32(i+1))
	}
	if c.w.chance(0.2) {
		p.Replicas = nil // cancel
	}
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	c.askController(req)
}

// retention deletes what every consumer has read, on a leader.
func (c *cluster) retention() {
	if len(c.readers) == 0 {
		return
	}
	r := c.readers[c.w.rnd.IntN(len(c.readers))]
	for _, n := range c.nodes {
		if n.proc == nil || n.paused {
			continue
		}
		n.proc.exec("retention", func() {
			part, err := n.proc.repl.Partition(r.topic, r.index)
			if err != nil || part.ISR() == nil {
				return
			}
			start, err := part.Log().DeleteRecordsBefore(min(r.offset, part.Log().HighWatermark()))
			if err != nil {
				c.w.tracef("%v: %v", n, err)
			}
			s := c.check.partitions[partitionKey{part.TopicID(), r.index}]
			s.deleted = max(s.deleted, start)
		})
	}
}

// askController sends a request to the active controller as some node knows it, and does not care about the answer.
func (c *cluster) askController(req kmsg.Request) {
	n := c.nodes[c.w.rnd.IntN(len(c.nodes))]
	if n.proc != nil && !n.paused && n.proc.ctrl != nil && n.proc.ctrl.Leader() > 0 {
		c.askNode(adminID, n.proc.ctrl.Leader(), req, func(kmsg.Response, error) {})
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
	c.net.loss, c.net.slow, c.net.late = 0, 0, 0
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
	c.askController(req)
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
			t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, int16(c.o.Replicas)
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
