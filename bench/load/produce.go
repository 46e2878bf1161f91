package load

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Produce is a load of Produce requests, each with one batch for one partition; the partitions take turns.
type Produce struct {
	Addrs     []string // of the leader of each partition, by partition
	Topic     string
	Acks      int16
	Batch     []byte
	PerBatch  int  // records in Batch
	Conns     int  // connections to each leader
	InFlight  int  // requests that a connection sends before the reply of the first; ignored at a rate
	PerSecond int  // requests a second of all connections together, sent when they are due whatever the replies do; 0: as fast as replies come
	Spin      bool // looks for replies without sleeping, at a rate: waking up would count as the server's time. It takes a processor
	Count     int  // requests after which each connection ends; 0: only Time ends it
	Warmup    time.Duration
	Time      time.Duration
	Began     func() // called when Warmup is over, if set
	Ended     func() // called when Time is over
}

// Result is what a load did after its warm-up.
type Result struct {
	Requests, Records, Bytes int64
	Elapsed                  time.Duration
	Latency                  *hdrhistogram.Histogram // of requests, in nanoseconds: from when one was due, so that a server that stalls is charged for all that it held up
}

// PerSecond is the rate of requests.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Quantile is a latency: Quantile(99).
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q))
}

// Add counts a load that was made at the same time.
func (r *Result) Add(o Result) {
	r.Requests += o.Requests
	r.Records += o.Records
	r.Bytes += o.Bytes
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	if r.Latency == nil {
		r.Latency = newHistogram()
	}
	r.Latency.Merge(o.Latency)
}

// newHistogram holds from a microsecond to a minute with three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// Run makes the load until its time is over.
func (p *Produce) Run(ctx context.Context) (Result, error) {
	both, err := Run(ctx, p, nil)
	return both.Produced, err
}

// recordTime counts a time that is longer than a histogram can tell as the longest.
func recordTime(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 1), h.HighestTrackableValue()))
}

func (p *Produce) frame(partition int32) []byte {
	b := appendHeader(nil, 0, 8)
	b = append(b, 0xff, 0xff) // no transactional id
	b = binary.BigEndian.AppendUint16(b, uint16(p.Acks))
	b = binary.BigEndian.AppendUint32(b, 30_000)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, p.Topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Batch)))
	return finish(append(b, p.Batch...))
}

// produced looks at the only partition of a reply of version 8, without its correlation id.
func produced(body []byte) (partition int32, offset int64, err error) {
	// [topics] name [partitions] index error offset
	short := errors.New("a reply that is too short")
	if len(body) < 6 {
		return 0, 0, short
	}
	at := 4 + 2 + int(binary.BigEndian.Uint16(body[4:])) + 4
	if len(body) < at+4+2+8 {
		return 0, 0, short
	}
	partition, offset = int32(binary.BigEndian.Uint32(body[at:])), int64(binary.BigEndian.Uint64(body[at+6:]))
	return partition, offset, errorOf("produce", binary.BigEndian.Uint16(body[at+4:]))
}

// block is what a connection sends: the frames of its partitions, one after the other, again and again. Replies come in the
// order of the requests, so that all frames can have the same correlation id, and a block never changes.
type block struct {
	frame  int // bytes of each
	period int // bytes after which it repeats
	bytes  []byte
	file   *sendFile // the same in a file, for frames so large that copying them would cost the client much; or nil
}

// block holds the frames of partitions, and so many more that one write can go from any of them over the whole window.
func (p *Produce) block(partitions []int32) (*block, error) {
	b := &block{}
	for i := range len(partitions) + max(p.InFlight, 1) {
		f := p.frame(partitions[i%len(partitions)])
		b.frame = len(f)
		b.bytes = append(b.bytes, f...)
	}
	b.period = b.frame * len(partitions)
	if b.frame < worthSendfile {
		return b, nil
	}
	var err error
	b.file, err = newSendFile(b.bytes)
	return b, err
}

// worthSendfile is a frame that is cheaper to send out of a file, whose pages the kernel hands on, than to copy.
const worthSendfile = 16 << 10

func (b *block) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.close()
}
