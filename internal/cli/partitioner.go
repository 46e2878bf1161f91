package cli

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// turnPartitioner gives records to the partitions in turn. A record with a key goes where Kafka's clients put it
// (murmur2 of the key) unless all records take turns.
type turnPartitioner struct{ keysToo bool }

func (p turnPartitioner) ForTopic(string) kgo.TopicPartitioner {
	return &turnTopic{keysToo: p.keysToo, byKey: kgo.StickyKeyPartitioner(nil).ForTopic("")}
}

type turnTopic struct {
	keysToo bool
	next    int
	byKey   kgo.TopicPartitioner
}

func (t *turnTopic) keyed(r *kgo.Record) bool { return !t.keysToo && r.Key != nil }

// RequiresConsistency is false for a record that takes its turn: a partition without a leader is passed over.
func (t *turnTopic) RequiresConsistency(r *kgo.Record) bool { return t.keyed(r) }

func (t *turnTopic) Partition(r *kgo.Record, n int) int {
	if t.keyed(r) {
		return t.byKey.Partition(r, n)
	}
	p := t.next % n
	t.next = p + 1
	return p
}

// partitionerFor finds what Kafka's partitioner.class and partitioner.ignore.keys mean.
func partitionerFor(props map[string]string) (kgo.Partitioner, error) {
	class, set := props["partitioner.class"]
	ignoreKeys := strings.EqualFold(strings.TrimSpace(props["partitioner.ignore.keys"]), "true")
	if !set {
		return turnPartitioner{keysToo: ignoreKeys}, nil
	}
	switch strings.TrimPrefix(strings.TrimSpace(class), "org.apache.kafka.clients.producer.") {
	case "RoundRobinPartitioner":
		return turnPartitioner{keysToo: true}, nil
	case "", "internals.DefaultPartitioner", "internals.BuiltInPartitioner":
		return kgo.UniformBytesPartitioner(16<<10, true, !ignoreKeys, nil), nil
	case "UniformStickyPartitioner":
		return kgo.StickyPartitioner(), nil
	}
	return nil, fmt.Errorf("partitioner.class is %q, which this tool does not have: leave it out (keyless records take turns), or set it to org.apache.kafka.clients.producer.RoundRobinPartitioner, org.apache.kafka.clients.producer.UniformStickyPartitioner, or nothing (partitioner.class=) for the Java client's default", class)
}
