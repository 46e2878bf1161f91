package broker

import (
	"sync/atomic"

	"gregor/internal/coordinator/group"
	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kerr"
)

// txnErrorCode is the code of an error of the transaction coordinator. Older clients are told INVALID_PRODUCER_EPOCH instead
// of PRODUCER_FENCED, which they do not know (KIP-588).
func txnErrorCode(err *kerr.Error, older bool) int16 {
	switch {
	case err == nil:
		return 0
	case err == kerr.ProducerFenced && older:
		return kerr.InvalidProducerEpoch.Code
	}
	return err.Code
}

// offsetsPartition is the partition of __consumer_offsets that keeps a group's offsets.
func (b *Broker) offsetsPartition(groupID string) txn.TopicPartition {
	return txn.TopicPartition{Topic: group.Topic, Partition: b.groups.PartitionFor(groupID)}
}

// countdown calls done when everything that was counted has ended. It begins with one, for who starts the rest.
type countdown struct {
	open atomic.Int32
	done func()
}

func newCountdown(done func()) *countdown {
	c := &countdown{done: done}
	c.open.Store(1)
	return c
}

func (c *countdown) begin() { c.open.Add(1) }

func (c *countdown) end() {
	if c.open.Add(-1) == 0 {
		c.done()
	}
}
