package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics are topics of one shape, NAME-0, NAME-1, ...
type Topics struct {
	Name       string
	Count      int
	Partitions int // of each
	Replicas   int
	Config     []string // key, value, key, value, ...
}

// Names are the topics' names.
func (t Topics) Names() (names []string) {
	for i := range t.Count {
		names = append(names, fmt.Sprintf("%s-%d", t.Name, i))
	}
	return names
}

// Leaders is Leaders of these topics.
func (t Topics) Leaders(ctx context.Context, addr string) (map[string][]string, error) {
	return Leaders(ctx, addr, t.Names(), t.Partitions, t.Replicas)
}

// maxRecords is how many records of metadata Kafka's controller writes for one request, one for each topic and partition.
const maxRecords = 10_000

// Create asks for as many topics in one request as a controller allows, and returns when it has made them; the leaders of
// their partitions may begin later.
func (t Topics) Create(ctx context.Context, addr string) error {
	c, err := Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for names := range slices.Chunk(t.Names(), max(1, maxRecords/(t.Partitions+1+len(t.Config)/2))) {
		if err := t.create(c, names); err != nil {
			return err
		}
	}
	return nil
}

func (t Topics) create(c *Conn, names []string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(4)
	req.TimeoutMillis = 60_000
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(t.Partitions), int16(t.Replicas)
		for i := 0; i < len(t.Config); i += 2 {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = t.Config[i], kmsg.StringPtr(t.Config[i+1])
			topic.Configs = append(topic.Configs, c)
		}
		req.Topics = append(req.Topics, topic)
	}
	resp, err := do[*kmsg.CreateTopicsResponse](c, req)
	if err != nil {
		return err
	}
	for _, topic := range resp.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", topic.Topic, err)
		}
	}
	return nil
}

// Leaders are the addresses of the partitions' leaders, by topic and partition, when so many partitions of each topic have
// all their replicas in sync and a leader that serves: it says where its log ends. Until then it asks again.
func Leaders(ctx context.Context, addr string, topics []string, partitions, replicas int) (map[string][]string, error) {
	var before error
	for {
		leaders, err := leadersNow(ctx, addr, topics, partitions, replicas)
		if err == nil {
			return leaders, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), before)
		}
		before = err
	}
}

func leadersNow(ctx context.Context, addr string, topics []string, partitions, replicas int) (map[string][]string, error) {
	c, err := Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(4)
	for _, name := range topics {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(name)})
	}
	meta, err := do[*kmsg.MetadataResponse](c, req)
	if err != nil {
		return nil, err
	}
	brokers := make(map[int32]string)
	for _, b := range meta.Brokers {
		brokers[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
	}
	leaders := make(map[string][]string)
	asks := make(map[string]*kmsg.ListOffsetsRequest)
	for _, topic := range meta.Topics {
		if len(topic.Partitions) != partitions {
			return nil, fmt.Errorf("%s has %d partitions: %w", *topic.Topic, len(topic.Partitions), kerr.ErrorForCode(topic.ErrorCode))
		}
		of := make([]string, partitions)
		for _, p := range topic.Partitions {
			if brokers[p.Leader] == "" || len(p.ISR) != replicas {
				return nil, fmt.Errorf("%s-%d has leader %d and %d replicas in sync", *topic.Topic, p.Partition, p.Leader, len(p.ISR))
			}
			of[p.Partition] = brokers[p.Leader]
			ask(asks, of[p.Partition], *topic.Topic, p.Partition)
		}
		leaders[*topic.Topic] = of
	}
	if len(leaders) != len(topics) {
		return nil, fmt.Errorf("%d topics of %d", len(leaders), len(topics))
	}
	for addr, req := range asks {
		if err := serves(ctx, addr, req); err != nil {
			return nil, err
		}
	}
	return leaders, nil
}

// ask adds a partition to what its leader is asked for.
func ask(asks map[string]*kmsg.ListOffsetsRequest, addr, topic string, partition int32) {
	req := asks[addr]
	if req == nil {
		req = kmsg.NewPtrListOffsetsRequest()
		req.SetVersion(3)
		req.ReplicaID = -1
		asks[addr] = req
	}
	if last := len(req.Topics) - 1; last < 0 || req.Topics[last].Topic != topic {
		req.Topics = append(req.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic})
	}
	last := &req.Topics[len(req.Topics)-1]
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, -1
	last.Partitions = append(last.Partitions, p)
}

func serves(ctx context.Context, addr string, req *kmsg.ListOffsetsRequest) error {
	c, err := Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	resp, err := do[*kmsg.ListOffsetsResponse](c, req)
	if err != nil {
		return err
	}
	for _, topic := range resp.Topics {
		at := slices.IndexFunc(topic.Partitions, func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 })
		if at >= 0 {
			p := topic.Partitions[at]
			return fmt.Errorf("%s-%d: %w", topic.Topic, p.Partition, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return nil
}
