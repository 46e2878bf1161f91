package broker

import (
	"gregor/internal/metadata"
	"gregor/internal/replica"
)

// Internal topics are written by their coordinators only.
func isInternal(topic string) bool {
	return topic == "__consumer_offsets" || topic == "__transaction_state" || topic == "__share_group_state"
}

// partition finds a replica of this broker by the topic's name, or by its id where a request names topics by id.
func (b *Broker) partition(byID bool, topic string, id [16]byte, partition int32) (*replica.Partition, error) {
	if byID {
		return b.replicas.PartitionByID(metadata.UUID(id), partition)
	}
	return b.replicas.Partition(topic, partition)
}

// nodeAddress is where a broker can be reached by the listener that a client came in by.
type nodeAddress struct {
	id   int32
	host string
	port int32
	rack *string
}

// leaders collects the current leaders that a response names (KIP-951), so that a client need not ask for metadata.
type leaders struct {
	b        *Broker
	listener string
	nodes    []nodeAddress
}

// of returns the leader of a partition and remembers its address; -1, -1 if it is not known.
func (l *leaders) of(topic string, id [16]byte, partition int32) (leader, epoch int32) {
	image := l.b.image()
	var p *metadata.Partition
	if topic != "" {
		p = image.Partition(topic, partition)
	} else if t := image.TopicByID(metadata.UUID(id)); t != nil && partition >= 0 && int(partition) < len(t.Partitions) {
		p = t.Partitions[partition]
	}
	if p == nil {
		return -1, -1
	}
	l.add(image.Broker(p.Leader))
	return p.Leader, p.LeaderEpoch
}

func (l *leaders) add(b *metadata.Broker) {
	if b == nil || b.Fenced {
		return
	}
	for _, n := range l.nodes {
		if n.id == b.ID {
			return
		}
	}
	if e, ok := b.Endpoint(l.listener); ok {
		l.nodes = append(l.nodes, nodeAddress{b.ID, e.Host, int32(e.Port), b.Rack})
	}
}

// answerAll makes a response's topics of a request's: one answer for each topic, and in it one for each partition. It
// is the loop that the handlers of the data path share.
func answerAll[TQ, TR any](topics []TQ, answer func(*TQ) TR) []TR {
	out := make([]TR, len(topics))
	for i := range topics {
		out[i] = answer(&topics[i])
	}
	return out
}
