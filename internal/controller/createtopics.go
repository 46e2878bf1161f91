package controller

import (
	"slices"
	"strings"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataTopic is the metadata log's own name, which no topic may have.
const metadataTopic = "__cluster_metadata"

// createTopics decides CreateTopics (KIP-4, KIP-464 defaults, KIP-525 configurations in the reply). All topics that
// pass are made in one batch.
func (m *machine) createTopics(e env, req *kmsg.CreateTopicsRequest) decision {
	total := 0
	for _, t := range req.Topics {
		total += max(int(t.NumPartitions), len(t.ReplicaAssignment))
	}
	if total > maxRecordsPerRequest {
		return decision{reply: failAll(req, refuse(kerr.PolicyViolation, "Excessively large number of partitions per request."))}
	}
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	times := map[string]int{}
	for _, t := range req.Topics {
		times[t.Topic]++
	}
	b := topicBatch{machine: m, env: e, colliding: map[string]string{}, placer: newPlacer(m.placeable(), e.random)}
	for i := range req.Topics {
		t := &req.Topics[i]
		if times[t.Topic] == 0 {
			continue
		}
		result := kmsg.NewCreateTopicsResponseTopic()
		result.NumPartitions, result.ReplicationFactor = -1, -1
		var err *apiError
		if times[t.Topic] > 1 {
			err = refuse(kerr.InvalidRequest, "Duplicate topic name.")
			delete(times, t.Topic) // one answer for all
		} else {
			err = b.create(t, &result)
		}
		// Asked after each topic: a request may name a million, with partitions left to the default.
		if len(b.records) > maxRecordsPerRequest {
			return decision{reply: failAll(req, errTooManyRecords)}
		}
		result.Topic = t.Topic
		err.put(&result.ErrorCode, &result.ErrorMessage)
		resp.Topics = append(resp.Topics, result)
	}
	if req.ValidateOnly {
		b.records = nil
	}
	return decision{records: b.records, reply: resp}
}

// topicBatch is the topics of one request that passed so far.
type topicBatch struct {
	*machine
	env
	placer    *placer
	colliding map[string]string // of this request
	records   []metadata.Record
}

func (b *topicBatch) create(t *kmsg.CreateTopicsRequestTopic, result *kmsg.CreateTopicsResponseTopic) *apiError {
	if err := b.checkName(t.Topic); err != nil {
		return err
	}
	configs, err := b.checkConfigs(t)
	if err != nil {
		return err
	}
	partitions, err := b.assign(t)
	if err != nil {
		return err
	}
	effective, cerr := config.Topic(b.config, configs)
	if cerr != nil {
		return configError(cerr)
	}
	id := b.newUUID()
	b.records = append(b.records, &metadata.TopicRecord{Name: t.Topic, TopicID: id})
	for _, name := range sortedNames(configs) {
		value := configs[name]
		b.records = append(b.records, &metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: t.Topic, Name: name, Value: &value})
	}
	for i, p := range partitions {
		b.records = append(b.records, p.Record(id, int32(i)))
	}
	if key := metadata.CollisionKey(t.Topic); key != "" {
		b.colliding[key] = t.Topic
	}
	result.TopicID = id
	result.NumPartitions, result.ReplicationFactor = int32(len(partitions)), int16(len(partitions[0].Replicas))
	for _, entry := range effective.Describe() {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = entry.Name, entry.Value, entry.ReadOnly, int8(entry.Source), entry.Sensitive
		result.Configs = append(result.Configs, c)
	}
	return nil
}

func (b *topicBatch) checkName(name string) *apiError {
	if name == metadataTopic {
		return refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if b.hard.image.Topic(name) != nil {
		return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	if err := metadata.ValidateTopicName(name); err != nil {
		return refuse(kerr.InvalidTopicException, "%v", err)
	}
	key := metadata.CollisionKey(name)
	other := b.hard.colliding[key]
	if other == "" {
		other = b.colliding[key]
	}
	if key != "" && other != "" {
		return refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, other)
	}
	return nil
}

func (b *topicBatch) checkConfigs(t *kmsg.CreateTopicsRequestTopic) (map[string]string, *apiError) {
	var nulls []string
	configs := map[string]string{}
	for _, c := range t.Configs {
		if c.Value == nil {
			nulls = append(nulls, c.Name)
		} else {
			configs[c.Name] = *c.Value
		}
	}
	if len(nulls) > 0 {
		return nil, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(nulls, ","))
	}
	if err := config.ValidateTopic(b.config, configs); err != nil {
		return nil, configError(err)
	}
	return configs, nil
}

// assign returns the partitions of a new topic.
func (b *topicBatch) assign(t *kmsg.CreateTopicsRequestTopic) ([]*metadata.Partition, *apiError) {
	switch {
	case len(t.ReplicaAssignment) > 0 && t.ReplicationFactor != -1:
		return nil, refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	case len(t.ReplicaAssignment) > 0 && t.NumPartitions != -1:
		return nil, refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	case len(t.ReplicaAssignment) > 0:
		return b.assignManually(t)
	case t.ReplicationFactor < -1 || t.ReplicationFactor == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case t.NumPartitions < -1 || t.NumPartitions == 0:
		return nil, refuse(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, replicas := int(t.NumPartitions), int(t.ReplicationFactor)
	if partitions == -1 {
		partitions = b.config.Int("num.partitions")
	}
	if replicas == -1 {
		replicas = b.config.Int("default.replication.factor")
	}
	if err := b.placer.check(replicas); err != nil {
		return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): %s", replicas, err.text)
	}
	made := make([]*metadata.Partition, partitions)
	for i := range made {
		p, ok := b.newPartition(b.placer.place(replicas))
		if !ok {
			return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced or in controlled shutdown.", replicas)
		}
		made[i] = p
	}
	return made, nil
}

func (b *topicBatch) assignManually(t *kmsg.CreateTopicsRequestTopic) ([]*metadata.Partition, *apiError) {
	made := make(map[int32]*metadata.Partition, len(t.ReplicaAssignment))
	replicas := -1
	for _, a := range t.ReplicaAssignment {
		if made[a.Partition] != nil {
			return nil, refuse(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if err := b.checkManual(a.Replicas, replicas); err != nil {
			return nil, err
		}
		replicas = len(a.Replicas)
		p, ok := b.newPartition(a.Replicas)
		if !ok {
			return nil, allFenced(a.Partition)
		}
		made[a.Partition] = p
	}
	partitions := make([]*metadata.Partition, len(made))
	for i := range partitions {
		if partitions[i] = made[int32(i)]; partitions[i] == nil {
			return nil, refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
	}
	return partitions, nil
}

func allFenced(partition int32) *apiError {
	return refuse(kerr.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", partition)
}

// checkManual checks the replicas that a client chose; replicas is how many there must be, or -1.
func (m *machine) checkManual(brokers []int32, replicas int) *apiError {
	if len(brokers) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(brokers))
	for i, id := range sorted {
		if m.hard.image.Broker(id) == nil {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && sorted[i-1] == id {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if replicas >= 0 && len(brokers) != replicas {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(brokers), replicas)
	}
	return nil
}

// newPartition returns a partition whose active replicas are its ISR; false when none is active.
func (m *machine) newPartition(replicas []int32) (*metadata.Partition, bool) {
	p := &metadata.Partition{Replicas: slices.Clone(replicas)}
	for _, id := range replicas {
		if m.hard.isActive(id) {
			p.ISR = append(p.ISR, id)
		}
		p.Dirs = append(p.Dirs, m.defaultDir(id))
	}
	if len(p.ISR) == 0 {
		return nil, false
	}
	p.Leader = p.ISR[0]
	return p, true
}

// placeable returns the brokers that new replicas may go to.
func (m *machine) placeable() []*metadata.Broker {
	var brokers []*metadata.Broker
	for b := range m.hard.image.Brokers() {
		if !b.ShuttingDown && (len(b.Dirs) == 0 || len(openDirs(b)) > 0) {
			brokers = append(brokers, b)
		}
	}
	return brokers
}

// configError is a configuration's error for the client, without the name that we give its kind.
func configError(err error) *apiError {
	text := err.Error()
	for _, kind := range []error{config.ErrUnknownKey, config.ErrNotDynamic} {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	if rest, ok := strings.CutPrefix(text, config.ErrClientMetrics.Error()+": "); ok {
		return &apiError{kerr.InvalidRequest, rest}
	}
	return &apiError{kerr.InvalidConfig, text}
}
