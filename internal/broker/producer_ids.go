package broker

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producerIDs hands out producer ids from blocks that the controller gives to this broker. The next block is asked for
// when a tenth of the present one is left, so that nobody waits for it.
type producerIDs struct {
	allocate func(ctx context.Context, done func(start int64, n int32, err error))

	mu       sync.Mutex
	from, to int64 // the rest of the block
	spare    idBlock
	asking   bool
	size     int64
	waiting  []func(int64, error)
}

type idBlock struct{ from, to int64 }

// next calls done with an id that nobody else gets, or with an error.
func (p *producerIDs) next(ctx context.Context, done func(int64, error)) {
	p.mu.Lock()
	id, ok := p.take()
	if !ok {
		p.waiting = append(p.waiting, done)
	}
	ask := !p.asking && p.spare.from == p.spare.to && (p.to-p.from) <= p.size/10
	p.asking = p.asking || ask
	p.mu.Unlock()
	if ask {
		p.allocate(ctx, p.allocated)
	}
	if ok {
		done(id, nil)
	}
}

// fill asks for a block while there is none.
func (p *producerIDs) fill(ctx context.Context) {
	p.mu.Lock()
	ask := !p.asking && p.from == p.to && p.spare.from == p.spare.to
	p.asking = p.asking || ask
	p.mu.Unlock()
	if ask {
		p.allocate(ctx, p.allocated)
	}
}

// PrepareProducerIDs asks the controller for a block of producer ids before anybody needs one, so that producers can begin
// while it is away. It does not wait.
func (b *Broker) PrepareProducerIDs(ctx context.Context) { b.producerIDs.fill(ctx) }

func (p *producerIDs) take() (int64, bool) {
	if p.from == p.to {
		p.from, p.to = p.spare.from, p.spare.to
		p.spare = idBlock{}
	}
	if p.from == p.to {
		return 0, false
	}
	p.from++
	return p.from - 1, true
}

func (p *producerIDs) allocated(start int64, n int32, err error) {
	type answer struct {
		done func(int64, error)
		id   int64
		err  error
	}
	p.mu.Lock()
	p.asking = false
	if err == nil {
		p.spare, p.size = idBlock{start, start + int64(n)}, int64(n)
	}
	var answers []answer
	for len(p.waiting) > 0 {
		id, ok := p.take()
		if !ok {
			break
		}
		answers = append(answers, answer{p.waiting[0], id, nil})
		p.waiting = p.waiting[1:]
	}
	for _, w := range p.waiting { // more waited than the block holds, or there is none: they ask again
		if err == nil {
			err = fmt.Errorf("block of %d producer ids is used up", n)
		}
		answers = append(answers, answer{w, -1, err})
	}
	p.waiting = nil
	p.mu.Unlock()
	for _, a := range answers {
		a.done(a.id, a.err)
	}
}

// allocateProducerIDs asks the controller for a block (KIP-730).
func (b *Broker) allocateProducerIDs(ctx context.Context, done func(start int64, n int32, err error)) {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = b.nodeID, -1
	if self := b.image().Broker(b.nodeID); self != nil {
		req.BrokerEpoch = self.Epoch
	}
	b.controller.Do(ctx, Caller{Principal: "User:gregor"}, req, func(r kmsg.Response) {
		resp, ok := r.(*kmsg.AllocateProducerIDsResponse)
		switch {
		case !ok:
			done(0, 0, fmt.Errorf("controller answered AllocateProducerIds with %T", r))
		case resp.ErrorCode != 0:
			b.log.Warn("controller gave no producer ids", "error", kerr.ErrorForCode(resp.ErrorCode).Error())
			done(0, 0, kerr.ErrorForCode(resp.ErrorCode))
		case resp.ProducerIDLen <= 0 || resp.ProducerIDStart < 0:
			done(0, 0, fmt.Errorf("controller gave %d producer ids from %d", resp.ProducerIDLen, resp.ProducerIDStart))
		default:
			done(resp.ProducerIDStart, resp.ProducerIDLen, nil)
		}
	})
}
