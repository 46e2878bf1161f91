package metadata

import (
	"encoding/binary"
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// Image is the cluster's metadata as of one offset of the metadata log. It is immutable; a Delta makes the next one,
// sharing all that did not change.
type Image struct {
	clusterID string
	offset    int64
	epoch     int32

	topics      *iradix.Tree[*Topic]  // by name
	topicsByID  *iradix.Tree[*Topic]  // by the id's bytes
	brokers     *iradix.Tree[*Broker] // by id, big endian
	controllers *iradix.Tree[*Controller]
	configs     *iradix.Tree[map[string]string] // by kind and name
	quotas      *iradix.Tree[*Quota]            // by QuotaKey
	acls        *iradix.Tree[*AccessControlEntryRecord]
	scram       *iradix.Tree[*UserScramCredentialRecord]
	tokens      *iradix.Tree[*DelegationTokenRecord]

	features       map[string]int16
	nextProducerID int64
	partitions     int
}

// NewImage returns the empty image of a cluster, before the first record.
func NewImage(clusterID string) *Image {
	return &Image{
		clusterID:   clusterID,
		offset:      -1,
		epoch:       -1,
		topics:      iradix.New[*Topic](),
		topicsByID:  iradix.New[*Topic](),
		brokers:     iradix.New[*Broker](),
		controllers: iradix.New[*Controller](),
		configs:     iradix.New[map[string]string](),
		quotas:      iradix.New[*Quota](),
		acls:        iradix.New[*AccessControlEntryRecord](),
		scram:       iradix.New[*UserScramCredentialRecord](),
		tokens:      iradix.New[*DelegationTokenRecord](),
	}
}

// ClusterID is the id of the cluster that the metadata is of.
func (i *Image) ClusterID() string { return i.clusterID }

// Offset is the offset of the last record in the image, -1 before the first.
func (i *Image) Offset() int64 { return i.offset }

// Epoch is the leader epoch of the last record in the image, -1 before the first.
func (i *Image) Epoch() int32 { return i.epoch }

// Topic returns a topic by its name, or nil.
func (i *Image) Topic(name string) *Topic {
	t, _ := i.topics.Get([]byte(name))
	return t
}

// TopicByID returns a topic by its id, or nil.
func (i *Image) TopicByID(id UUID) *Topic {
	t, _ := i.topicsByID.Get(id[:])
	return t
}

// Topics returns all topics in the order of their names.
func (i *Image) Topics() iter.Seq[*Topic] { return values(i.topics) }

// TopicsFrom returns the topics whose name is from or comes after it, in order.
func (i *Image) TopicsFrom(from string) iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		it := i.topics.Root().Iterator()
		it.SeekLowerBound([]byte(from))
		for _, t, ok := it.Next(); ok && yield(t); _, t, ok = it.Next() {
		}
	}
}

// NumTopics is the number of topics.
func (i *Image) NumTopics() int { return i.topics.Len() }

// NumPartitions is the number of partitions of all topics.
func (i *Image) NumPartitions() int { return i.partitions }

// Partition returns one partition, or nil.
func (i *Image) Partition(topic string, id int32) *Partition {
	t := i.Topic(topic)
	if t == nil || id < 0 || int(id) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[id]
}

// Broker returns a registered broker, or nil.
func (i *Image) Broker(id int32) *Broker {
	b, _ := i.brokers.Get(intKey(id))
	return b
}

// Brokers returns all registered brokers, the fenced ones too, in the order of their ids.
func (i *Image) Brokers() iter.Seq[*Broker] { return values(i.brokers) }

// Controllers returns the registered controllers in the order of their ids.
func (i *Image) Controllers() iter.Seq[*Controller] { return values(i.controllers) }

// Controller returns a registered controller, or nil.
func (i *Image) Controller(id int32) *Controller {
	c, _ := i.controllers.Get(intKey(id))
	return c
}

// ConfigKind is Kafka's resource type of a configuration.
type ConfigKind int8

// The kinds.
const (
	TopicConfig         ConfigKind = 2
	BrokerConfig        ConfigKind = 4 // name "" is the default of all brokers
	BrokerLoggerConfig  ConfigKind = 8
	ClientMetricsConfig ConfigKind = 16
	GroupConfig         ConfigKind = 32
)

func (k ConfigKind) String() string {
	switch k {
	case TopicConfig:
		return "TOPIC"
	case BrokerConfig:
		return "BROKER"
	case BrokerLoggerConfig:
		return "BROKER_LOGGER"
	case ClientMetricsConfig:
		return "CLIENT_METRICS"
	case GroupConfig:
		return "GROUP"
	}
	return "UNKNOWN"
}

// ConfigResource names one set of configurations.
type ConfigResource struct {
	Kind ConfigKind
	Name string
}

func (r ConfigResource) key() []byte { return append([]byte{byte(r.Kind)}, r.Name...) }

// Config returns what was set on a resource by request; nil when nothing was. The map must not be changed.
func (i *Image) Config(kind ConfigKind, name string) map[string]string {
	c, _ := i.configs.Get(ConfigResource{kind, name}.key())
	return c
}

// Configs returns every resource that has configurations, by kind and name.
func (i *Image) Configs() iter.Seq2[ConfigResource, map[string]string] {
	return func(yield func(ConfigResource, map[string]string) bool) {
		it := i.configs.Root().Iterator()
		for k, c, ok := it.Next(); ok; k, c, ok = it.Next() {
			if !yield(ConfigResource{ConfigKind(k[0]), string(k[1:])}, c) {
				return
			}
		}
	}
}

// Features returns the finalized feature levels; a feature at level 0 is absent. The map must not be changed.
func (i *Image) Features() map[string]int16 { return i.features }

// NextProducerID is the first producer id that was not handed out in a block yet.
func (i *Image) NextProducerID() int64 { return i.nextProducerID }

// Quotas returns every client quota, in the order of their keys.
func (i *Image) Quotas() iter.Seq[*Quota] { return values(i.quotas) }

// Quota returns the quota of exactly this entity, or nil.
func (i *Image) Quota(entity []QuotaEntity) *Quota {
	q, _ := i.quotas.Get(quotaKey(entity))
	return q
}

// ACLs returns the access control entries by id.
func (i *Image) ACLs() iter.Seq[*AccessControlEntryRecord] { return values(i.acls) }

// ACL returns the access control entry of an id, or nil.
func (i *Image) ACL(id UUID) *AccessControlEntryRecord {
	r, _ := i.acls.Get(id[:])
	return r
}

// ScramCredentials returns the SCRAM credentials by mechanism and user.
func (i *Image) ScramCredentials() iter.Seq[*UserScramCredentialRecord] { return values(i.scram) }

// DelegationTokens returns the delegation tokens by id.
func (i *Image) DelegationTokens() iter.Seq[*DelegationTokenRecord] { return values(i.tokens) }

func intKey(id int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

func scramKey(mechanism int8, user string) []byte { return append([]byte{byte(mechanism)}, user...) }

func values[T any](tree *iradix.Tree[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		it := tree.Root().Iterator()
		for _, v, ok := it.Next(); ok && yield(v); _, v, ok = it.Next() {
		}
	}
}
