package txn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

const (
	noProducerID    = -1
	noProducerEpoch = -1
	noTimestamp     = -1
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (p TopicPartition) compare(q TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.Partition, q.Partition))
}

// Producer is a producer id with its epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

// transaction is what is known of a transactional id.
type transaction struct {
	id string
	stored
	// lastEpoch is the epoch before the present one, if the producer that has the present one had that too; else -1. It
	// tells a request that comes again from one of a producer that is fenced. It is soft state, as in Kafka's log: after a
	// failover a client whose InitProducerId comes again is fenced, and has to begin anew.
	lastEpoch int16
	// sent are the markers that are on their way; soft state, too: a new coordinator sends its own.
	sent *Markers
}

// stored is a record of __transaction_state: the hard state of a transactional id.
type stored struct {
	state      State
	producerID int64
	previousID int64 // the producer id before the last transition
	nextID     int64 // the producer id after this transaction, if its epochs are used up; else -1
	epoch      int16
	timeoutMs  int32
	partitions []TopicPartition // sorted
	startMs    int64            // of the transaction, -1 if none has begun
	updateMs   int64
	version    int16 // of transactions, as the client speaks it
	nextEpoch  int16 // of nextID with two-phase commit (KIP-939), which is not served; -1
}

// exhausted tells whether no epoch is left for a client: the last one is kept for fencing it.
func exhausted(epoch int16) bool { return epoch >= math.MaxInt16-1 }

// become is the stored state that follows, in the given state and at the given time.
func (t *transaction) become(next State, now int64) stored {
	if !t.state.mayBecome(next) {
		panic(fmt.Sprintf("txn: %q cannot become %s from %s", t.id, next, t.state))
	}
	s := t.stored
	s.state, s.previousID, s.updateMs = next, t.producerID, now
	return s
}

// union adds partitions to a sorted list. It returns the list itself if they are all in it.
func union(sorted, added []TopicPartition) []TopicPartition {
	var missing []TopicPartition
	for _, p := range added {
		if _, ok := slices.BinarySearchFunc(sorted, p, TopicPartition.compare); !ok {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return sorted
	}
	all := slices.Concat(sorted, missing)
	slices.SortFunc(all, TopicPartition.compare)
	return slices.Compact(all)
}

func (s *stored) contains(p TopicPartition) bool {
	_, ok := slices.BinarySearchFunc(s.partitions, p, TopicPartition.compare)
	return ok
}
