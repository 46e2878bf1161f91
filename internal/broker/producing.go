package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/replica"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producing is one Produce request on its way, with all that it needs; it is the body of its own [Request]. One that is
// answered is used for another request, which then allocates nothing, unless it is a transaction's or has expired.
type producing struct {
	kmsg.ProduceRequest
	memory  int // bytes that the decoded request takes
	request Request
	resp    kmsg.ProduceResponse
	b       *Broker

	timeout   time.Duration
	unwritten atomic.Int32      // partitions whose transaction is being verified, and one more while the request is being read
	openings  []replica.Opening // of transactions
	open      atomic.Int32      // partitions that are not committed, and one more while there are unwritten ones

	mu      sync.Mutex // until all is written, guards waits and resp.Brokers
	waits   []*commitWait
	awaited bool // timer is set
	timer   *time.Timer
}

// newProducing takes one that is done, or a new one.
func (s *server) newProducing() *producing {
	if p, ok := s.producing.Get().(*producing); ok {
		return p
	}
	return new(producing)
}

// newWait adds to waits.
func (p *producing) newWait() *commitWait {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.waits)
	p.waits = slices.Grow(p.waits, 1)[:n+1]
	if p.waits[n] == nil {
		w := &commitWait{p: p}
		w.done = w.committed
		p.waits[n] = w
	}
	return p.waits[n]
}

// maxReused is how much memory of a decoded request is kept for others.
const maxReused = 16 << 10

// reuse gives p to another request. The caller has answered, and does not touch it again.
func (p *producing) reuse() {
	if len(p.openings) > 0 || p.memory > maxReused {
		return
	}
	for i := range p.Topics { // a frame may be large, and its memory is not to be kept
		t := &p.Topics[i]
		t.Topic, p.resp.Topics[i].Topic = "", ""
		for j := range t.Partitions {
			t.Partitions[j].Records = nil
		}
	}
	s := p.request.Conn.server
	p.request, p.resp.Brokers = Request{}, nil
	p.waits, p.awaited = p.waits[:0], false
	s.producing.Put(p)
}

// decode reads the request. A transaction's is written when its coordinator has answered, which the reader's memory does
// not wait for.
func (p *producing) decode(body []byte, frame *wire.Frame) (err error) {
	p.memory, err = wire.DecodeProduce(&p.ProduceRequest, body)
	if err == nil && p.TransactionID != nil && frame.Borrowed() {
		at := len(frame.Bytes) - len(body)
		frame.Own()
		_, err = wire.DecodeProduce(&p.ProduceRequest, frame.Bytes[at:])
	}
	frame.Charge(p.memory)
	return err
}
