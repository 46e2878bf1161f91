package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Mode is how the records of a request are published.
type Mode int

const (
	Each Mode = iota // each for itself, and each is acknowledged: what every client does
	Fast             // as a part of an endless batch (fast ingest), acknowledged every so many records, and in order
)

// Produce is a load of records for the streams, which take turns. The connections are to each server that leads streams.
type Produce struct {
	drive.Load
	Streams
	Leaders []string // addresses, by partition; none: all are at Streams.Addr
	Mode    Mode
	Record  []byte // each record; its first eight bytes are overwritten
}

// Run makes the load until its time is over.
func (p Produce) Run(ctx context.Context) (load.Result, error) {
	p.Bytes = p.PerRequest * len(p.Record)
	leads := make(map[string][]int)
	var addrs []string
	for partition := range p.Partitions {
		addr := p.Addr
		if p.Leaders != nil {
			addr = p.Leaders[partition]
		}
		if leads[addr] == nil {
			addrs = append(addrs, addr)
		}
		leads[addr] = append(leads[addr], partition)
	}
	p.Conns *= len(addrs)
	return p.Load.Run(ctx, func(ctx context.Context, conn int) (drive.Writer, error) {
		addr := addrs[conn%len(addrs)]
		return p.open(ctx, addr, leads[addr], conn, conn/len(addrs))
	})
}

// open makes a connection's requests: the first is for the partition first, modulo their number.
func (p Produce) open(ctx context.Context, addr string, partitions []int, conn, first int) (drive.Writer, error) {
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, mode: p.Mode, inbox: fmt.Sprintf("_INBOX.%d", conn), slots: drive.NewSlots(p.Slots(), p.PerRequest), count: p.Slots()}
	if err := c.write("SUB " + w.inbox + ".> 1\r\n"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.Queue(p.Load)
	partitions = slices.Concat(partitions[first%len(partitions):], partitions[:first%len(partitions)])
	for turn, partition := range partitions {
		f := &frame{turn: turn}
		for range p.PerRequest {
			if p.Mode == Each {
				f.add(fmt.Sprintf("PUB %s %s.", p.subject(partition), w.inbox), "", p.Record)
			} else {
				// The last token before the flow is the batch's name, which no other connection may have.
				f.add(fmt.Sprintf("PUB %s %s.%d.%d-%d.%d.fail.", p.subject(partition), w.inbox, turn, conn, partition, p.PerRequest), ".1.$FI", p.Record)
			}
		}
		w.frames = append(w.frames, f)
	}
	return w, nil
}

type writer struct {
	*conn
	mode   Mode
	inbox  string
	slots  *drive.Slots
	count  int      // of slots
	frames []*frame // of the partitions, in turn
	sent   int      // requests
}

func (w *writer) Send(due time.Time) error {
	f := w.frames[w.sent%len(w.frames)]
	if w.mode == Each {
		f.slot(w.sent % w.count)
	} else {
		f.inBatch()
	}
	w.sent++
	f.stamp(due)
	return w.conn.Send(f.bytes)
}

func (w *writer) Wait() error {
	for !w.slots.Done() {
		m, err := w.next()
		if err != nil {
			return err
		}
		if bytes.Contains(m.payload, []byte(`"error":`)) || len(m.head) > 0 {
			return fmt.Errorf("%s: published: %s%s", m.subject, m.head, m.payload)
		}
		token, _, _ := bytes.Cut(m.subject[len(w.inbox)+1:], []byte("."))
		n, err := strconv.Atoi(string(token))
		if err != nil {
			return fmt.Errorf("%s: not a subject of ours", m.subject)
		}
		if w.mode == Each {
			w.slots.Acknowledged(n, 1)
		} else if err := w.stored(n, m.payload); err != nil {
			return fmt.Errorf("%s: %w", m.subject, err)
		}
	}
	return nil
}

// stored takes word of what is stored of a batch: {"type":"ack","seq":n,"msgs":m}.
func (w *writer) stored(turn int, payload []byte) error {
	var ack struct {
		Type string
		Seq  int
	}
	if err := json.Unmarshal(payload, &ack); err != nil || ack.Type != "ack" || turn >= len(w.frames) {
		return fmt.Errorf("batch: %s", payload)
	}
	f := w.frames[turn]
	for perRequest := len(f.records); f.stored < ack.Seq; {
		request := f.stored / perRequest // of this partition
		count := min(ack.Seq, (request+1)*perRequest) - f.stored
		w.slots.Acknowledged(turn+request*len(w.frames), count)
		f.stored += count
	}
	return nil
}
