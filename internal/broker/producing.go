package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/replica"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producing is one Produce request on its way, with all that it needs; it is the body of its own [Request]. One that is
// answered before its handler returns, which is the rule where a partition has one replica, is used for another request,
// which then allocates nothing.
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
	shared    bool              // somebody else may still come back to it when it is answered

	mu    sync.Mutex // until all is written, guards waits and resp.Brokers too
	waits []commitWait
	timer *time.Timer
}

// newProducing takes one that is done, or a new one.
func (s *server) newProducing() *producing {
	if p, ok := s.producing.Get().(*producing); ok {
		return p
	}
	return new(producing)
}

// maxReused is how much memory of a decoded request is kept for others.
const maxReused = 16 << 10

// reuse gives p to another request. The caller has answered, and does not touch it again.
func (p *producing) reuse() {
	if p.shared || p.memory > maxReused {
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
