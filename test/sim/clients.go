package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"gregor/internal/log"
	"gregor/internal/record"
	"gregor/internal/replica"
)

// producer writes to one partition: with acks=all as an idempotent producer does, or else with acks=1 and no sequence.
type producer struct {
	c      *cluster
	id     int32 // of the client in the network; also the producer id
	topic  string
	index  int32
	acks   int16
	window int // batches under way
	pause  time.Duration

	sequence int32
	batches  int // made so far
	open     []*sending
	sent     int   // batches acknowledged
	highest  int32 // sequence of these
	ended    bool
}

// sending is a batch until it is acknowledged.
type sending struct {
	batch    []byte
	number   int
	sequence int32
	attempt  int
}

func (p *producer) start() { p.c.w.after(p.c.w.between(0, p.pause), p.tick) }

func (p *producer) tick() {
	// A broker remembers five batches of a producer, so no batch is sent while the fifth before it is open.
	// Its first batch goes alone: of a producer that it does not know a broker takes any sequence.
	window := p.window
	if p.sent == 0 {
		window = 1
	}
	if !p.ended && (len(p.open) == 0 || p.batches < p.open[0].number+window) {
		p.send(p.next())
	}
	p.c.w.after(p.c.w.between(p.pause/2, 2*p.pause), p.tick)
}

// next makes a batch of a few records.
func (p *producer) next() *sending {
	o := record.BuilderOptions{}
	if p.acks == replica.AcksAll {
		o.Producer = &record.Producer{ID: int64(p.id), BaseSequence: p.sequence}
	}
	b := record.NewBuilder(o)
	s := &sending{sequence: p.sequence, number: p.batches}
	p.batches++
	for range 1 + p.c.w.rnd.IntN(3) {
		value := fmt.Appendf(nil, "%d/%d/%s", p.id, p.sequence, bytes.Repeat([]byte{'x'}, p.c.w.rnd.IntN(300)))
		b.Append(epoch.Add(p.c.w.now).UnixMilli(), nil, value)
		p.sequence++
	}
	s.batch = b.Build()
	p.open = append(p.open, s)
	return s
}

func (p *producer) send(s *sending) {
	s.attempt++
	leader, _ := p.c.leaderOf(p.topic, p.index)
	if leader < 1 {
		p.c.w.after(200*time.Millisecond, func() { p.send(s) })
		return
	}
	batch := slices.Clone(s.batch) // the leader patches it
	call(p.c.net, p.id, leader, "produce", requestTimeout, func(at *process, reply func(error)) {
		at.produce(p.topic, p.index, batch, p.acks, reply)
	}, func(answer error, err error) {
		if errors.Is(answer, log.ErrOutOfOrderSequence) && s.sequence < p.highest {
			// A later batch was acknowledged, so this one is in the log. After a restart the broker remembers only the last
			// batch of a producer, as Kafka does.
			answer = nil
		}
		if err = errors.Join(answer, err); err != nil {
			if p.c.w.log != nil {
				p.c.w.tracef("client %d: sequence %d, attempt %d: %v", p.id, s.sequence, s.attempt, err)
			}
			p.c.w.after(p.c.w.between(20*time.Millisecond, 200*time.Millisecond), func() { p.send(s) })
			return
		}
		p.sent++
		p.highest = max(p.highest, s.sequence)
		p.open = slices.DeleteFunc(p.open, func(o *sending) bool { return o == s })
	})
}

// produce is what a broker does with a produce request.
func (p *process) produce(topic string, index int32, batch []byte, acks int16, reply func(error)) {
	if p.reg.fenced {
		reply(replica.ErrUnknownPartition) // the listener is not open yet
		return
	}
	part, err := p.repl.Partition(topic, index)
	if err != nil {
		reply(err)
		return
	}
	sent := record.Batch(batch)
	info, err := part.Append(batch, acks, replica.NoEpoch, log.Client)
	if err != nil {
		reply(err)
		return
	}
	if acks != replica.AcksAll {
		reply(nil)
		return
	}
	a := ack{
		key: partitionKey{part.TopicID(), index}, leader: p.n.id, base: info.FirstOffset, last: info.LastOffset,
		epoch: info.LeaderEpoch, crc: sent.CRC(), producer: sent.ProducerID(), sequence: sent.BaseSequence(),
	}
	await := func() {
		part.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) {
			if err == nil {
				p.n.c.check.acked(a)
			}
			reply(err)
		})
	}
	// The goroutine of a request may stand still between the append and the wait.
	if p.n.c.w.chance(p.n.c.o.SlowAwait) {
		p.after(p.n.c.w.between(0, 6*time.Second), "await commit", await)
	} else {
		await()
	}
}

// leaderOf asks any node that is up who leads, and in which epoch; the answer may be old.
func (c *cluster) leaderOf(topic string, index int32) (leader, epoch int32) {
	n := c.nodes[c.w.rnd.IntN(len(c.nodes))]
	if n.proc == nil || n.paused {
		return -1, -1
	}
	mp := n.proc.ctrl.Image().Partition(topic, index)
	if mp == nil {
		return -1, -1
	}
	return mp.Leader, mp.LeaderEpoch
}

// consumer reads one partition from its start on, for ever.
type consumer struct {
	c      *cluster
	id     int32
	topic  string
	index  int32
	offset int64
	epoch  int32 // newest leader epoch that it has heard of (KIP-320)
}

func (r *consumer) start() { r.c.w.after(r.c.w.between(0, 100*time.Millisecond), r.poll) }

type fetched struct {
	raw []byte
	err error
}

func (r *consumer) poll() {
	leader, epoch := r.c.leaderOf(r.topic, r.index)
	if leader < 1 || epoch < r.epoch {
		r.c.w.after(200*time.Millisecond, r.poll)
		return
	}
	r.epoch = epoch
	call(r.c.net, r.id, leader, "consume", requestTimeout, func(p *process, reply func(fetched)) {
		raw, err := p.consume(r.topic, r.index, r.offset, epoch)
		reply(fetched{raw, err})
	}, func(f fetched, err error) {
		switch {
		case errors.Is(f.err, log.ErrOffsetOutOfRange):
			r.c.w.failf("a consumer of %s-%d at %d: node %d says %v", r.topic, r.index, r.offset, leader, f.err)
		case f.err == nil && err == nil:
			t := r.c.check.image.Topic(r.topic)
			r.offset = r.c.check.read(r.c.check.partitions[partitionKey{t.ID, r.index}], f.raw, r.offset)
		}
		r.c.w.after(r.c.w.between(20*time.Millisecond, 200*time.Millisecond), r.poll)
	})
}

func (p *process) consume(topic string, index int32, offset int64, epoch int32) ([]byte, error) {
	if p.reg.fenced {
		return nil, replica.ErrUnknownPartition
	}
	part, err := p.repl.Partition(topic, index)
	if err != nil {
		return nil, err
	}
	res, err := part.Read(replica.ReadOptions{Offset: offset, MaxBytes: 4096, AtLeastOne: true, LeaderEpoch: epoch, LastFetchedEpoch: replica.NoEpoch})
	if err != nil {
		return nil, err
	}
	defer res.Slice.Close()
	return res.Slice.Bytes()
}
