package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Fetch is a load of readers, each of which reads one partition from some offset on, up to another one.
type Fetch struct {
	Addrs    []string // of the leader of each partition, by partition
	Topic    string
	Readers  int   // of each partition
	From, To int64 // offsets; each reader ends at To
	MaxBytes int   // of a reply
	MaxWait  time.Duration
}

func (f *Fetch) frame(partition int32) (frame []byte, offsetAt int) {
	b := appendHeader(nil, 1, 11)
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // no replica
	b = binary.BigEndian.AppendUint32(b, uint32(f.MaxWait.Milliseconds()))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(f.MaxBytes))
	b = append(b, 0)                                 // read_uncommitted
	b = binary.BigEndian.AppendUint32(b, 0)          // no session
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) //
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, f.Topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // no leader epoch
	offsetAt = len(b)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, 0xffffffffffffffff)
	b = binary.BigEndian.AppendUint32(b, uint32(f.MaxBytes))
	b = binary.BigEndian.AppendUint32(b, 0) // nothing forgotten
	b = appendString(b, "")                 // no rack
	return finish(b), offsetAt
}

// records finds the only partition's records in a reply of version 11.
func records(body []byte) ([]byte, error) {
	short := errors.New("a reply that is too short")
	at := 4 // throttle
	if len(body) < at+2 {
		return nil, short
	}
	if err := errorOf("fetch", binary.BigEndian.Uint16(body[at:])); err != nil {
		return nil, err
	}
	at += 2 + 4 + 4 // error, session, [topics]
	if len(body) < at+2 {
		return nil, short
	}
	at += 2 + int(binary.BigEndian.Uint16(body[at:])) + 4 + 4 // name, [partitions], index
	if len(body) < at+2 {
		return nil, short
	}
	if err := errorOf("fetch", binary.BigEndian.Uint16(body[at:])); err != nil {
		return nil, err
	}
	at += 2 + 8 + 8 + 8 // error, high watermark, last stable offset, log start
	if len(body) < at+4 {
		return nil, short
	}
	if aborted := int32(binary.BigEndian.Uint32(body[at:])); aborted > 0 {
		at += int(aborted) * 16
	}
	at += 4 + 4 // aborted transactions, preferred replica
	if len(body) < at+4 {
		return nil, short
	}
	size := int(int32(binary.BigEndian.Uint32(body[at:])))
	if at += 4; size <= 0 {
		return nil, nil
	}
	if len(body) < at+size {
		return nil, short
	}
	return body[at : at+size], nil
}

// after is the offset after the last whole batch.
func after(batches []byte, offset int64) int64 {
	const head, lastOffsetDeltaAt = 12, 23
	for len(batches) > lastOffsetDeltaAt+4 {
		size := head + int(binary.BigEndian.Uint32(batches[8:]))
		if size > len(batches) {
			break
		}
		offset = int64(binary.BigEndian.Uint64(batches)) + int64(binary.BigEndian.Uint32(batches[lastOffsetDeltaAt:])) + 1
		batches = batches[size:]
	}
	return offset
}

// Run reads until every reader has reached its end.
func (f *Fetch) Run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var bytes, requests, count atomic.Int64
	start := time.Now()
	for partition, addr := range f.Addrs {
		for range f.Readers {
			wg.Go(func() {
				if err := f.read(ctx, addr, int32(partition), &bytes, &requests); err != nil {
					cancel(fmt.Errorf("%s, partition %d: %w", addr, partition, err))
					return
				}
				count.Add(f.To - f.From)
			})
		}
	}
	wg.Wait()
	return Result{Requests: requests.Load(), Records: count.Load(), Bytes: bytes.Load(), Elapsed: time.Since(start)}, context.Cause(ctx)
}

func (f *Fetch) read(ctx context.Context, addr string, partition int32, bytes, requests *atomic.Int64) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReaderSize(conn, 64<<10)
	frame, offsetAt := f.frame(partition)
	var reply []byte
	for offset := f.From; offset < f.To; {
		binary.BigEndian.PutUint64(frame[offsetAt:], uint64(offset))
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		_, body, err := readReply(in, reply)
		if err != nil {
			return err
		}
		reply = body
		batches, err := records(body)
		if err != nil {
			return err
		}
		offset = after(batches, offset)
		bytes.Add(int64(len(batches)))
		requests.Add(1)
	}
	return nil
}
