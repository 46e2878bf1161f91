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

// Write is a load of records for the streams, which take turns: a request is a Publish of that many records for one stream.
type Write struct {
	drive.Load
	Streams
	// Batched puts a request's records in one entry, which the server stores and confirms as one: the protocol's sub-entry
	// batch, which is what a record batch is to Kafka.
	Batched bool
	Record  []byte // each record; its first eight bytes are overwritten
}

// Run makes the load until its time is over.
func (p Write) Run(ctx context.Context) (load.Result, error) {
	p.Bytes = p.PerRequest * len(p.Record)
	return p.Load.Run(ctx, p.open)
}

func (p Write) open(ctx context.Context, id int) (drive.Writer, error) {
	c, err := dialStreams(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	w := &streamWriter{streams: c, load: p, first: id, each: p.PerRequest}
	if p.Batched {
		w.each = 1
	}
	w.slots = drive.NewSlots(p.Slots(), w.each)
	for partition := range p.Partitions {
		// A publisher without a name is not one whose records are looked at for repetition.
		if err := c.call(streamDeclarePublisher, text(text([]byte{byte(partition)}, ""), p.name(partition))); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		w.frames = append(w.frames, p.frame(partition))
	}
	c.Queue(p.Load)
	return w, nil
}

// publish is a request, encoded.
type publish struct {
	bytes   []byte
	numbers []int // where each entry's number is
	records []int // where each record begins
}

func (p Write) frame(partition int) (f publish) {
	entries := p.PerRequest
	if p.Batched {
		entries = 1
	}
	f.bytes = u32(append(command(nil, streamPublish, nil), byte(partition)), entries)
	for range entries {
		f.numbers = append(f.numbers, len(f.bytes))
		f.bytes = u64(f.bytes, 0)
		if p.Batched {
			const batch, uncompressed = 0x80, 0
			size := p.PerRequest * (4 + len(p.Record))
			f.bytes = u32(u32(u16(append(f.bytes, batch|uncompressed), p.PerRequest), size), size)
		}
		for range p.PerRequest / entries {
			f.bytes = u32(f.bytes, len(p.Record))
			f.records = append(f.records, len(f.bytes))
			f.bytes = append(f.bytes, p.Record...)
		}
	}
	binary.BigEndian.PutUint32(f.bytes, uint32(len(f.bytes)-4))
	return f
}

type streamWriter struct {
	*streams
	load   Write
	first  int // the stream of the first request: connections begin at different ones
	each   int // entries of a request
	sent   int // requests
	frames []publish
	slots  *drive.Slots
}

func (w *streamWriter) Send(due time.Time) error {
	f := w.frames[(w.first+w.sent)%len(w.frames)]
	for i, at := range f.numbers {
		binary.BigEndian.PutUint64(f.bytes[at:], uint64(w.sent*w.each+i))
	}
	w.sent++
	for _, at := range f.records {
		binary.BigEndian.PutUint64(f.bytes[at:], uint64(due.UnixNano()))
	}
	return w.streams.Send(f.bytes)
}

func (w *streamWriter) Wait() error {
	for !w.slots.Done() {
		id, p, err := w.next()
		if err != nil {
			return err
		}
		if id != streamConfirm || len(p) < 5 {
			return fmt.Errorf("command %#x in place of a confirm", id)
		}
		for at := 5; at+8 <= len(p); at += 8 {
			w.slots.Acknowledged(int(binary.BigEndian.Uint64(p[at:]))/w.each, 1)
		}
	}
	return nil
}
