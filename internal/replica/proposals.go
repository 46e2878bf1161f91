package replica

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// proposals is the way of all ISR changes of this broker to the controller: one request at a time, with everything that
// came up meanwhile in the next. It has no goroutine: it moves when a proposal comes, when an answer comes, and when the
// time of a pause is over (Manager.Tick).
type proposals struct {
	m   *Manager
	ctx context.Context

	mu      sync.Mutex
	waiting []*proposal
	asked   map[partitionKey]*proposal // nil: no request is under way
	pause   time.Duration
	until   time.Time // no request before that
	held    int       // hold
}

type partitionKey struct {
	topic metadata.UUID
	index int32
}

func (p *Partition) key() partitionKey { return partitionKey{p.id, p.index} }

func (k partitionKey) compare(o partitionKey) int {
	return cmp.Or(slices.Compare(k.topic[:], o.topic[:]), cmp.Compare(k.index, o.index))
}

// The pauses after a request that failed as a whole.
const (
	minAlterPause = 20 * time.Millisecond
	maxAlterPause = time.Second
)

// submit queues a proposal and sends it if nothing is under way.
func (ps *proposals) submit(pr *proposal) {
	ps.mu.Lock()
	ps.waiting = append(ps.waiting, pr)
	ps.mu.Unlock()
	ps.send()
}

// hold keeps proposals back until release, so that those of many partitions go as one request.
func (ps *proposals) hold() {
	ps.mu.Lock()
	ps.held++
	ps.mu.Unlock()
}

func (ps *proposals) release() {
	ps.mu.Lock()
	ps.held--
	ps.mu.Unlock()
	ps.send()
}

// send asks for all that waits, if it may.
func (ps *proposals) send() {
	ps.mu.Lock()
	if ps.asked != nil || ps.held > 0 || len(ps.waiting) == 0 || ps.m.now().Before(ps.until) {
		ps.mu.Unlock()
		return
	}
	waiting := ps.waiting
	ps.waiting, ps.asked = nil, make(map[partitionKey]*proposal, len(waiting))
	ps.mu.Unlock()

	asked := make(map[partitionKey]*proposal, len(waiting))
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID, req.BrokerEpoch = ps.m.o.NodeID, ps.m.brokerEpoch()
	at := make(map[metadata.UUID]int)
	for _, pr := range waiting {
		if !pr.stands() {
			continue
		}
		p := pr.ld.p
		asked[p.key()] = pr
		i, ok := at[p.id]
		if !ok {
			i = len(req.Topics)
			at[p.id] = i
			t := kmsg.NewAlterPartitionRequestTopic()
			t.TopicID = p.id
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewAlterPartitionRequestTopicPartition()
		rp.Partition, rp.LeaderEpoch, rp.PartitionEpoch = p.index, pr.ld.epoch, pr.partitionEpoch
		for j, id := range pr.isr {
			member := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			member.BrokerID, member.BrokerEpoch = id, pr.epochs[j]
			rp.NewEpochISR = append(rp.NewEpochISR, member)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	ps.mu.Lock()
	if len(asked) == 0 {
		ps.asked = nil
		ps.mu.Unlock()
		return
	}
	ps.asked = asked
	ps.mu.Unlock()
	ps.m.o.Alter(ps.ctx, req, ps.answered)
}

// answered takes the controller's answer.
func (ps *proposals) answered(resp *kmsg.AlterPartitionResponse, err error) {
	ps.mu.Lock()
	asked := ps.asked
	ps.mu.Unlock()
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	again := asked // those that are to be asked for once more
	if err == nil {
		for i := range resp.Topics {
			t := &resp.Topics[i]
			for j := range t.Partitions {
				key := partitionKey{metadata.UUID(t.TopidID), t.Partitions[j].Partition}
				if pr := asked[key]; pr != nil && !ps.conclude(pr, &t.Partitions[j]) {
					delete(again, key)
				}
			}
		}
	}
	ps.mu.Lock()
	ps.asked = nil
	ps.waiting = append(ps.waiting, inOrder(again)...)
	if len(again) == 0 {
		ps.pause, ps.until = 0, time.Time{}
	} else {
		ps.pause = min(max(2*ps.pause, minAlterPause), maxAlterPause)
		ps.until = ps.m.now().Add(ps.pause)
	}
	pause := ps.pause
	ps.mu.Unlock()
	if err != nil && ps.ctx.Err() == nil {
		ps.m.o.Logger.Warn("the controller does not take changes of ISRs; trying again", "partitions", len(again), "error", err.Error(), "in", pause)
	}
	ps.m.wake()
	ps.send()
}

// inOrder sorts proposals, so that a simulation asks for them in the same order in every run.
func inOrder(list map[partitionKey]*proposal) []*proposal {
	return slices.SortedFunc(maps.Values(list), func(a, b *proposal) int { return a.ld.p.compare(b.ld.p) })
}

// conclude takes one partition's answer and reports whether to ask again.
func (ps *proposals) conclude(pr *proposal, answer *kmsg.AlterPartitionResponseTopicPartition) (again bool) {
	err := kerr.ErrorForCode(answer.ErrorCode)
	switch err {
	case nil:
		pr.ld.accepted(pr, answer.ISR, answer.LeaderEpoch, answer.PartitionEpoch)
	case kerr.OperationNotAttempted, kerr.IneligibleReplica:
		pr.ld.refused(pr)
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.InvalidUpdateVersion, kerr.InvalidRequest, kerr.NewLeaderElected:
		// What we know is old. The proposal may be in force: it goes on counting until the metadata says what is.
	default:
		return true
	}
	if err != nil {
		ps.m.o.Logger.Debug("the controller does not take a change of an ISR", "topic", pr.ld.p.topic, "partition", pr.ld.p.index, "isr", pr.isr, "error", err.Error())
	}
	return false
}

// due is when a pause ends that keeps proposals back; zero if none does.
func (ps *proposals) due() time.Time {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.asked == nil && len(ps.waiting) > 0 {
		return ps.until
	}
	return time.Time{}
}
