package nats

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Mode is how the records of a request are published.
type Mode int

const (
	Each   Mode = iota // each for itself, and each is acknowledged: what every client does
	Atomic             // as a batch that is stored whole or not at all (Nats-Batch-Id), acknowledged once
	Fast               // as a part of an endless batch (fast ingest), acknowledged every so many records, and in order
)

// Produce is a load of records for the streams, which take turns.
type Produce struct {
	drive.Load
	Streams
	Mode   Mode
	Record []byte // each record; its first eight bytes are overwritten
}

// Run makes the load until its time is over.
func (p Produce) Run(ctx context.Context) (load.Result, error) {
	p.Bytes = p.PerRequest * len(p.Record)
	return p.Load.Run(ctx, func(ctx context.Context, conn int) (drive.Writer, error) { return p.open(ctx, conn) })
}

func (p Produce) open(ctx context.Context, id int) (drive.Writer, error) {
	c, err := dial(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, load: p, inbox: fmt.Sprintf("_INBOX.%d", id), slots: drive.NewSlots(p.Slots(), p.acknowledgements()), first: id}
	c.Queue(p.Load)
	if err := c.write("SUB " + w.inbox + ".> 1\r\n"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if p.Mode == Fast {
		for partition := range p.Partitions {
			w.batches = append(w.batches, w.fastBatch(partition))
		}
	} else {
		w.encode()
	}
	return w, nil
}

func (p Produce) acknowledgements() int {
	if p.Mode == Atomic {
		return 1
	}
	return p.PerRequest
}

type writer struct {
	*conn
	load    Produce
	inbox   string
	slots   *drive.Slots
	first   int      // the partition of the first request: connections begin at different ones
	frames  []*frame // by slot and partition
	batches []*fastBatch
	sent    int
}

// frame is a request, encoded: each of its records has the same size.
type frame struct {
	bytes   []byte
	records []int // where each begins
}

func (f *frame) add(head string, record []byte) {
	f.bytes = append(f.bytes, head...)
	f.records = append(f.records, len(f.bytes))
	f.bytes = append(append(f.bytes, record...), '\r', '\n')
}

func (f *frame) stamp(due time.Time) {
	for _, at := range f.records {
		binary.BigEndian.PutUint64(f.bytes[at:], uint64(due.UnixNano()))
	}
}

// encode makes the frames: an acknowledgement comes to a subject that ends in the number of its request's slot.
func (w *writer) encode() {
	p := w.load
	for slot := range p.Slots() {
		reply := w.inbox + "." + strconv.Itoa(slot)
		for partition := range p.Partitions {
			f := &frame{}
			for i := range p.PerRequest {
				if p.Mode == Each {
					f.add(fmt.Sprintf("PUB %s %s %d\r\n", p.subject(partition), reply, len(p.Record)), p.Record)
					continue
				}
				head := fmt.Sprintf("NATS/1.0\r\nNats-Batch-Id: %s.%d\r\nNats-Batch-Sequence: %d\r\n", w.inbox, slot, i+1)
				ask := ""
				if i == p.PerRequest-1 {
					head, ask = head+"Nats-Batch-Commit: 1\r\n", " "+reply
				}
				head += "\r\n"
				f.add(fmt.Sprintf("HPUB %s%s %d %d\r\n%s", p.subject(partition), ask, len(head), len(head)+len(p.Record), head), p.Record)
			}
			w.frames = append(w.frames, f)
		}
	}
}

func (w *writer) Send(due time.Time) error {
	slot, partition := w.sent%w.load.Slots(), (w.first+w.sent)%w.load.Partitions
	w.sent++
	var f *frame
	if w.load.Mode == Fast {
		f = w.batches[partition].next()
	} else {
		f = w.frames[slot*w.load.Partitions+partition]
	}
	f.stamp(due)
	return w.conn.Send(f.bytes)
}

func (w *writer) Wait() error {
	for !w.slots.Done() {
		m, err := w.next()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(m.payload, []byte(`{"error"`)) || bytes.Contains(m.payload, []byte(`"error":`)) || len(m.head) > 0 {
			return fmt.Errorf("%s: published: %s%s", m.subject, m.head, m.payload)
		}
		token := m.subject[len(w.inbox)+1:]
		if w.load.Mode == Fast {
			if err := w.flow(token, m.payload); err != nil {
				return err
			}
			continue
		}
		slot, err := strconv.Atoi(string(token))
		if err != nil {
			return fmt.Errorf("%s: not a slot of ours", m.subject)
		}
		w.slots.Acknowledged(slot, 1)
	}
	return nil
}
