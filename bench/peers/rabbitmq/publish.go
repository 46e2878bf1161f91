package rabbitmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Publish is a load of persistent messages for the queues, which take turns: a request is that many messages for one queue,
// written at once, and acknowledged when each of them is confirmed.
type Publish struct {
	drive.Load
	Queues
	Record []byte // each message; its first eight bytes are overwritten
}

// Run makes the load until its time is over.
func (p Publish) Run(ctx context.Context) (load.Result, error) {
	p.Bytes = p.PerRequest * len(p.Record)
	return p.Load.Run(ctx, p.open)
}

func (p Publish) open(ctx context.Context, id int) (drive.Writer, error) {
	c, err := dialAMQP(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.call(confirmSelect, []byte{0}, confirmSelectOk); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.Queue(p.Load)
	w := &publisher{amqp: c, load: p, first: id, confirms: newConfirms(p.Slots(), p.PerRequest)}
	for partition := range p.Partitions {
		f := message{}
		for range p.PerRequest {
			f.add(p.name(partition), p.Record)
		}
		w.frames = append(w.frames, f)
	}
	return w, nil
}

// message is a request, encoded.
type message struct {
	bytes   []byte
	records []int // where each begins
}

func (m *message) add(queue string, record []byte) {
	m.bytes = method(m.bytes, 1, basicPublish, append(short(short(u16(nil, 0), ""), queue), 0)) // the default exchange
	const hasDeliveryMode, persistent = 1 << 12, 2
	m.bytes = frame(m.bytes, frameHeader, 1, append(u16(u64(u16(u16(nil, classBasic), 0), len(record)), hasDeliveryMode), persistent))
	m.records = append(m.records, len(m.bytes)+7)
	m.bytes = frame(m.bytes, frameBody, 1, record)
}

type publisher struct {
	*amqp
	load     Publish
	first    int // the queue of the first request: connections begin at different ones
	sent     int
	frames   []message
	confirms *confirms
}

func (w *publisher) Send(due time.Time) error {
	f := w.frames[(w.first+w.sent)%len(w.frames)]
	w.sent++
	for _, at := range f.records {
		binary.BigEndian.PutUint64(f.bytes[at:], uint64(due.UnixNano()))
	}
	return w.amqp.Send(f.bytes)
}

func (w *publisher) Wait() error {
	for !w.confirms.slots.Done() {
		kind, p, err := w.next()
		if err != nil {
			return err
		}
		switch m := methodOf(kind, p); {
		case m == basicAck && len(p) >= 13:
			if err := w.confirms.confirm(binary.BigEndian.Uint64(p[4:]), p[12]&1 != 0); err != nil {
				return err
			}
		case m == basicNack:
			return errors.New("a message was refused")
		default:
			return fmt.Errorf("frame %d, method %d.%d in place of a confirm", kind, m>>16, m&0xffff)
		}
	}
	return nil
}

// confirms follows the confirms of a channel's messages, which are numbered from 1.
type confirms struct {
	slots *drive.Slots
	each  int
	low   uint64 // all below are confirmed
	seen  []bool // from low on, by number modulo its length: confirmed
}

func newConfirms(slots, each int) *confirms {
	return &confirms{slots: drive.NewSlots(slots, each), each: each, low: 1, seen: make([]bool, slots*each+1)}
}

func (c *confirms) confirm(tag uint64, multiple bool) error {
	if tag < c.low || tag >= c.low+uint64(len(c.seen)) {
		return fmt.Errorf("message %d was confirmed; unconfirmed are %d and later", tag, c.low)
	}
	from := tag
	if multiple {
		from = c.low
	}
	for t := from; t <= tag; t++ {
		if at := t % uint64(len(c.seen)); !c.seen[at] {
			c.seen[at] = true
			c.slots.Acknowledged(int(t-1)/c.each, 1)
		}
	}
	for c.seen[c.low%uint64(len(c.seen))] {
		c.seen[c.low%uint64(len(c.seen))] = false
		c.low++
	}
	return nil
}
