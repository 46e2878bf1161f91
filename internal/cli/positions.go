package cli

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// positions are the offsets that a group's member is to commit: the one after the last record it has printed, and, as
// a Java consumer commits it too, the one where it began. They are used by the consumer's own goroutine and by the
// group's callbacks, which run while no batch is being printed.
type positions struct {
	mu sync.Mutex
	at map[string]map[int32]position
	// lost are the positions of partitions that were taken away before they could be committed, as when the
	// coordinator is restarted. If they come back, what has been printed is not printed again.
	lost map[string]map[int32]position
}

type position struct {
	next      kgo.EpochOffset
	committed int64 // -1: nothing
}

func newPositions() *positions {
	return &positions{at: map[string]map[int32]position{}, lost: map[string]map[int32]position{}}
}

func (p *positions) begin(topic string, partition int32, next kgo.EpochOffset, committed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at[topic] == nil {
		p.at[topic] = map[int32]position{}
	}
	p.at[topic][partition] = position{next, committed}
}

// printed moves a partition past a record.
func (p *positions) printed(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	partitions := p.at[r.Topic]
	if at, ok := partitions[r.Partition]; ok {
		at.next = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
		partitions[r.Partition] = at
	}
}

// uncommitted are the positions that have moved since they were committed.
func (p *positions) uncommitted() map[string]map[int32]kgo.EpochOffset {
	p.mu.Lock()
	defer p.mu.Unlock()
	moved := map[string]map[int32]kgo.EpochOffset{}
	for topic, partitions := range p.at {
		for partition, at := range partitions {
			if at.next.Offset == at.committed {
				continue
			}
			if moved[topic] == nil {
				moved[topic] = map[int32]kgo.EpochOffset{}
			}
			moved[topic][partition] = at.next
		}
	}
	return moved
}

func (p *positions) committed(offsets map[string]map[int32]kgo.EpochOffset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			if at, ok := p.at[topic][partition]; ok {
				at.committed = offset.Offset
				p.at[topic][partition] = at
			}
		}
	}
}

// revoke forgets partitions that were committed and given away.
func (p *positions) revoke(partitions map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			delete(p.at[topic], id)
		}
	}
}

// lose keeps the positions of partitions that are gone without a commit.
func (p *positions) lose(partitions map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			at, ok := p.at[topic][id]
			if !ok {
				continue
			}
			if p.lost[topic] == nil {
				p.lost[topic] = map[int32]position{}
			}
			p.lost[topic][id] = at
			delete(p.at[topic], id)
		}
	}
}

// found takes back the position of a lost partition if nobody has committed a later one meanwhile.
func (p *positions) found(topic string, partition int32, committed int64) (kgo.EpochOffset, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.lost[topic][partition]
	delete(p.lost[topic], partition)
	return at.next, ok && at.next.Offset > committed
}

// commit commits what has moved. The metadata of a commit is empty, as a Java consumer leaves it.
func (p *positions) commit(ctx context.Context, client *kgo.Client) error {
	moved := p.uncommitted()
	if len(moved) == 0 {
		return nil
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		empty := ""
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = &empty
			}
		}
		return nil
	})
	var failed error
	client.CommitOffsetsSync(ctx, moved, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		failed = err
	})
	if failed == nil {
		p.committed(moved)
	}
	return failed
}

// adjust is called with the offsets that the group has committed for new partitions. Where there is none, it looks
// up the offset to begin with, so that this offset is known and can be committed.
func (p *positions) adjust(ctx context.Context, client *kgo.Client, reset reset, committedOnly bool, offsets map[string]map[int32]kgo.Offset) map[string]map[int32]kgo.Offset {
	var topics []string
	for topic, partitions := range offsets {
		for partition, o := range partitions {
			at := o.EpochOffset()
			if mine, ok := p.found(topic, partition, at.Offset); ok {
				p.begin(topic, partition, mine, at.Offset)
				partitions[partition] = kgo.NewOffset().At(mine.Offset)
				continue
			}
			if at.Offset >= 0 {
				p.begin(topic, partition, at, at.Offset)
				continue
			}
			if len(topics) == 0 || topics[len(topics)-1] != topic {
				topics = append(topics, topic)
			}
		}
	}
	if len(topics) == 0 {
		return offsets
	}
	admin := kadm.NewClient(client)
	var listed kadm.ListedOffsets
	switch {
	case reset.kind == "earliest":
		listed, _ = admin.ListStartOffsets(ctx, topics...)
	case reset.kind == "by_duration":
		listed, _ = admin.ListOffsetsAfterMilli(ctx, time.Now().Add(-reset.ago).UnixMilli(), topics...)
	case reset.kind == "latest" && committedOnly:
		listed, _ = admin.ListCommittedOffsets(ctx, topics...)
	case reset.kind == "latest":
		listed, _ = admin.ListEndOffsets(ctx, topics...)
	}
	for topic, partitions := range offsets {
		for partition, o := range partitions {
			begin, ok := listed.Lookup(topic, partition)
			if o.EpochOffset().Offset >= 0 || !ok || begin.Err != nil || begin.Offset < 0 {
				continue // what could not be looked up the client resolves by itself, later
			}
			p.begin(topic, partition, kgo.EpochOffset{Epoch: begin.LeaderEpoch, Offset: begin.Offset}, -1)
			partitions[partition] = kgo.NewOffset().At(begin.Offset)
		}
	}
	return offsets
}
