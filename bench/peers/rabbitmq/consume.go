package rabbitmq

import (
	"context"
	"encoding/binary"
	"fmt"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Consume is a load of consumers, one of each queue: consuming takes a message off the queue, as it does.
type Consume struct {
	Queues
	Records int64 // that each reads
	// Prefetch is how many messages a consumer may have that it did not acknowledge; it acknowledges all of them at every
	// half of that. 0: none is acknowledged, and those on their way are lost if the connection is.
	Prefetch int
	drive.Hooks
}

// Run reads until each consumer has its records.
func (f Consume) Run(ctx context.Context) (load.Result, error) {
	return drive.Read(ctx, f.Partitions, f.read)
}

func (f Consume) read(ctx context.Context, partition int) (got load.Result, err error) {
	c, err := dialAMQP(ctx, f.Addr)
	if err != nil {
		return got, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	noAck := byte(1 << 1)
	if f.Prefetch > 0 {
		noAck = 0
		if _, err := c.call(basicQos, append(u16(u32(nil, 0), f.Prefetch), 0), basicQosOk); err != nil {
			return got, err
		}
	}
	consume := append(short(short(u16(nil, 0), f.name(partition)), "reader"), noAck)
	if _, err := c.call(basicConsume, u32(consume, 0), basicConsumeOk); err != nil {
		return got, err
	}
	f.Began()
	ack := method(nil, 1, basicAck, append(u64(nil, 0), 1))
	const tagAt = 7 + 4 // in ack
	body := 0           // bytes that the message under way still misses
	var record []byte   // of that message, if somebody wants it
	for got.Records < f.Records {
		kind, p, err := c.next()
		if err != nil {
			return got, err
		}
		switch {
		case kind == frameHeader && len(p) >= 12:
			body = int(binary.BigEndian.Uint64(p[4:]))
			record = record[:0]
		case kind == frameBody:
			body -= len(p)
			got.Bytes += int64(len(p))
			if f.Each != nil {
				record = append(record, p...)
			}
			if body > 0 {
				break
			}
			got.Records++
			if f.Each != nil {
				f.Each(record)
			}
			if f.Prefetch > 0 && got.Records%int64(f.Prefetch/2) == 0 {
				binary.BigEndian.PutUint64(ack[tagAt:], uint64(got.Records))
				if _, err := c.Write(ack); err != nil {
					return got, err
				}
				got.Requests++
			}
		case methodOf(kind, p) == basicDeliver:
		default:
			return got, fmt.Errorf("frame %d, method %x in place of a message", kind, methodOf(kind, p))
		}
	}
	return got, nil
}
