package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Fetch is a load of readers, each of which reads one partition from some offset on, up to another one. All batches of a
// partition must have the same size and the same number of records: of a reply the first batch's head is looked at, and the
// others are counted.
type Fetch struct {
	Addrs    []string // of the leader of each partition, by partition
	Topic    string
	Readers  int     // of each partition
	From, To int64   // offsets; each reader ends at To, or, with Time, begins again
	Froms    []int64 // in place of From, by partition
	MaxBytes int     // of a reply
	MaxWait  time.Duration
	Discard  bool // let the kernel throw the records away instead of copying them: the reader is not measured then
	Warmup   time.Duration
	Time     time.Duration // 0: until To
	Began    func()        // called when Warmup is over, if set
	Ended    func()        // called when Time is over
}

func (f *Fetch) from(partition int32) int64 {
	if f.Froms != nil {
		return f.Froms[partition]
	}
	return f.From
}

// Run reads until every reader has reached its end, or the time is over. Latency is that of fetches.
func (f *Fetch) Run(ctx context.Context) (Result, error) {
	both, err := Run(ctx, nil, f)
	return both.Fetched, err
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

// records finds the only partition's records in a reply of version 11 without its correlation id, of which head is the
// beginning: as much of them as is in head, and how many bytes they have.
func records(head []byte) (begin []byte, size int, err error) {
	short := errors.New("a reply that is too short")
	at := 4 // throttle
	if len(head) < at+2 {
		return nil, 0, short
	}
	if err := errorOf("fetch", binary.BigEndian.Uint16(head[at:])); err != nil {
		return nil, 0, err
	}
	at += 2 + 4 + 4 // error, session, [topics]
	if len(head) < at+2 {
		return nil, 0, short
	}
	at += 2 + int(binary.BigEndian.Uint16(head[at:])) + 4 + 4 // name, [partitions], index
	if len(head) < at+2 {
		return nil, 0, short
	}
	if err := errorOf("fetch", binary.BigEndian.Uint16(head[at:])); err != nil {
		return nil, 0, err
	}
	at += 2 + 8 + 8 + 8 // error, high watermark, last stable offset, log start
	if len(head) < at+4 {
		return nil, 0, short
	}
	if aborted := int32(binary.BigEndian.Uint32(head[at:])); aborted > 0 {
		return nil, 0, fmt.Errorf("%d aborted transactions in what is read", aborted)
	}
	at += 4 + 4 // aborted transactions, preferred replica
	if len(head) < at+4 {
		return nil, 0, short
	}
	size = int(int32(binary.BigEndian.Uint32(head[at:])))
	return head[at+4:], max(size, 0), nil
}

// shape is that of the batches in a reply.
type shape struct {
	base           int64 // offset of the first
	bytes, records int64 // of each
}

// shapeOf reads the head of the first batch.
func shapeOf(begin []byte) (shape, error) {
	const head, lastOffsetDeltaAt = 12, 23
	if len(begin) < lastOffsetDeltaAt+4 {
		return shape{}, fmt.Errorf("%d bytes of a batch", len(begin))
	}
	return shape{int64(binary.BigEndian.Uint64(begin)), head + int64(binary.BigEndian.Uint32(begin[8:])),
		int64(binary.BigEndian.Uint32(begin[lastOffsetDeltaAt:])) + 1}, nil
}

// after is the offset after the last whole batch of size bytes, for a reader that asked for offset.
func (s shape) after(size int, offset int64) (int64, error) {
	if s.base > offset || s.base+s.records <= offset {
		return 0, fmt.Errorf("a batch of offsets %d to %d in place of %d: batches are not of one size", s.base, s.base+s.records-1, offset)
	}
	return s.base + int64(size)/s.bytes*s.records, nil
}
