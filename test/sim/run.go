package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"gregor/internal/replica"
)

// RandomOptions draws what a world is like. Few worlds have every kind of fault: some bugs show only where others do not
// get in their way.
func RandomOptions(seed uint64) Options {
	rnd := rand.New(rand.NewPCG(seed, 1))
	o := Options{
		Nodes:  3,
		SlowBy: time.Duration(rnd.IntN(300)) * time.Millisecond,
		Skew:   rnd.IntN(2) == 0,
		Power:  power(rnd.IntN(3)),
		Faults: 20 * time.Second,
		Every:  200*time.Millisecond + time.Duration(rnd.IntN(3000))*time.Millisecond,
	}
	if rnd.IntN(8) == 0 {
		o.Nodes = 5
	}
	o.Replicas, o.MinISR = 3, 2
	if rnd.IntN(4) == 0 {
		o.Replicas = 2
	}
	if rnd.IntN(4) == 0 && o.Power != powerLost {
		o.MinISR = 1
	}
	if rnd.IntN(3) == 0 {
		o.Late = rnd.Float64() * 0.02
	}
	for _, p := range []*float64{&o.Loss, &o.Slow, &o.Duplicate, &o.SlowSteps} {
		switch rnd.IntN(3) {
		case 0:
			*p = rnd.Float64() * 0.02
		case 1:
			*p = rnd.Float64() * 0.1
		}
	}
	for f := range numFaults {
		if (f == faultPower && o.Power == powerStays) || (f == faultWipe && o.Power != powerLost) {
			continue
		}
		if rnd.IntN(2) == 0 {
			o.Kinds = append(o.Kinds, f)
		}
	}
	if rnd.IntN(2) == 0 && len(o.Kinds) > 2 {
		rnd.Shuffle(len(o.Kinds), func(i, j int) { o.Kinds[i], o.Kinds[j] = o.Kinds[j], o.Kinds[i] })
		o.Kinds = o.Kinds[:1+rnd.IntN(2)]
	}
	if rnd.IntN(4) == 0 {
		o.SlowAwait = rnd.Float64() * 0.3
	}
	return o
}

// Result is how a run went.
type Result struct {
	Err    error
	Hash   uint64 // of everything that happened
	Events int
	Acked  int // batches
	Epochs int // of the metadata log
	Terms  int // leader epochs of partitions
}

func (r Result) String() string {
	return fmt.Sprintf("%d events, %d batches acknowledged, %d leaders of the metadata log, %d of partitions, hash %016x", r.Events, r.Acked, r.Epochs, r.Terms, r.Hash)
}

const (
	healTime = 25 * time.Second // in which everything must recover
	drain    = 10 * time.Second // of it: in which producers still write
)

// Run simulates one world. The same seed and options always give the same result. crypto/rand must be seeded by the
// caller, for Raft's election timeouts and for UUIDs.
func Run(seed uint64, o Options) Result {
	c := newCluster(seed, o)
	w := c.w
	for _, n := range c.nodes {
		w.after(w.between(0, time.Second), n.start)
	}
	partitions := int32(1 + w.rnd.IntN(3))
	topics := []string{"a", "b"}[:1+w.rnd.IntN(2)]
	c.createTopics(topics, partitions, func() { c.startClients(topics, partitions) })
	w.after(2*time.Second, func() { c.nemesis(o.Faults) })
	compare := func() {}
	compare = func() {
		c.check.prefixes()
		w.after(2*time.Second, compare)
	}
	compare()
	w.run(o.Faults + drain)
	for _, p := range c.clients {
		p.ended = true
	}
	w.run(o.Faults + healTime)
	if w.err == nil {
		c.finish()
	}
	r := Result{Err: w.err, Hash: w.hash, Events: w.steps, Epochs: len(c.check.leaders), Terms: len(c.check.led)}
	for _, s := range c.check.order {
		r.Acked += len(s.acked)
	}
	return r
}

func (c *cluster) startClients(topics []string, partitions int32) {
	id := int32(100)
	for _, topic := range topics {
		for i := range partitions {
			for j := range 1 + c.w.rnd.IntN(2) {
				id++
				p := &producer{c: c, id: id, topic: topic, index: i, acks: replica.AcksAll, window: 1 + c.w.rnd.IntN(5), pause: c.w.between(20*time.Millisecond, 400*time.Millisecond)}
				if j == 1 {
					p.acks = replica.AcksLeader
				}
				c.clients = append(c.clients, p)
				p.start()
			}
			id++
			r := &consumer{c: c, id: id, topic: topic, index: i}
			c.readers = append(c.readers, r)
			r.start()
		}
	}
}

// finish checks that a cluster which had time to recover has recovered.
func (c *cluster) finish() {
	w := c.w
	if len(c.clients) == 0 {
		w.failf("no topics could be made")
		return
	}
	for _, n := range c.nodes {
		if n.proc == nil || n.proc.reg.fenced {
			w.failf("node %d is not part of the cluster", n.id)
			return
		}
	}
	for _, p := range c.clients {
		t := c.check.image.Topic(p.topic)
		if c.check.partitions[partitionKey{t.ID, p.index}].deleted > 0 && p.acks == replica.AcksAll {
			continue // a leader may have forgotten the producer with its records, see finalPartition
		}
		if len(p.open) > 0 {
			w.failf("producer %d of %s-%d still has %d batches that are not acknowledged; the first is at sequence %d", p.id, p.topic, p.index, len(p.open), p.open[0].sequence)
			return
		}
	}
	for _, r := range c.readers {
		t := c.check.image.Topic(r.topic)
		if end := c.check.partitions[partitionKey{t.ID, r.index}].end(); r.offset != end {
			w.failf("the consumer of %s-%d is at %d, the end is %d", r.topic, r.index, r.offset, end)
			return
		}
	}
	c.check.final()
}
