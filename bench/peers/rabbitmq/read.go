package rabbitmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Read is a load of readers, each of which reads one stream from its start on, chunk by chunk as the server stores them.
type Read struct {
	Streams
	Readers int   // of each stream
	Records int64 // that each reads
	drive.Hooks
}

// Run reads until each reader has its records.
func (f Read) Run(ctx context.Context) (load.Result, error) {
	return drive.Read(ctx, f.Partitions*f.Readers, func(ctx context.Context, i int) (load.Result, error) {
		f := f
		if i >= f.Partitions {
			f.Each = nil
		}
		return f.read(ctx, i%f.Partitions)
	})
}

// credit is how many chunks the server may send before it is asked for more.
const credit = 32

// Where things are in a chunk, after the subscription's number.
const (
	chunkEntriesAt = 1 + 2
	chunkRecordsAt = 1 + 4
	chunkSizeAt    = 1 + 36 // of its data
	chunkDataAt    = 1 + 48
)

func (f Read) read(ctx context.Context, partition int) (got load.Result, err error) {
	c, err := dialStreams(ctx, f.Addr)
	if err != nil {
		return got, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	const first = 1 // from the first chunk there is
	subscribe := u16(u16(text([]byte{0}, f.name(partition)), first), credit)
	if err := c.call(streamSubscribe, u32(subscribe, 0)); err != nil {
		return got, err
	}
	f.Began()
	more := command(nil, streamCredit, u16([]byte{0}, credit/2))
	for chunks := 1; got.Records < f.Records; chunks++ {
		id, p, err := c.next()
		if err != nil {
			return got, err
		}
		if id != streamDeliver || len(p) < chunkDataAt {
			return got, fmt.Errorf("command %#x of %d bytes in place of a chunk", id, len(p))
		}
		if size := int(binary.BigEndian.Uint32(p[chunkSizeAt:])); len(p) < chunkDataAt+size {
			return got, fmt.Errorf("a chunk of %d bytes with %d of data", len(p), size)
		}
		got.Records += int64(binary.BigEndian.Uint32(p[chunkRecordsAt:]))
		got.Bytes += int64(len(p))
		got.Requests++
		if f.Each != nil {
			if err := each(p, f.Each); err != nil {
				return got, err
			}
		}
		if chunks%(credit/2) == 0 {
			if _, err := c.Write(more); err != nil {
				return got, err
			}
		}
	}
	return got, nil
}

// each calls do for the records of a chunk that has no batches in it.
func each(chunk []byte, do func([]byte)) error {
	entries := int(binary.BigEndian.Uint16(chunk[chunkEntriesAt:]))
	data := chunk[chunkDataAt:]
	for range entries {
		if len(data) < 4 || data[0]&0x80 != 0 {
			return errors.New("a chunk with batches, or cut off")
		}
		size := int(binary.BigEndian.Uint32(data))
		if len(data) < 4+size {
			return errors.New("a chunk that is cut off")
		}
		do(data[4 : 4+size])
		data = data[4+size:]
	}
	return nil
}
