package controller

import (
	"strconv"
	"strings"
	"testing"

	"gregor/internal/metadata"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *scenario) registration(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version = 4
	req.BrokerID = int32(number(d, "id", 0))
	req.ClusterID = text(d, "cluster", "C")
	req.IncarnationID = [16]byte{0: 200, 1: byte(number(d, "incarnation", 1)), 14: byte(req.BrokerID), 15: 100}
	for _, dir := range numbers(d, "dirs") {
		req.LogDirs = append(req.LogDirs, dirID(dir))
	}
	if !flagged(d, "dirs") {
		req.LogDirs = [][16]byte{dirID(req.BrokerID)}
	}
	if rack := text(d, "rack", ""); rack != "" {
		req.Rack = &rack
	}
	req.PreviousBrokerEpoch = number(d, "previous-epoch", -1)
	for _, name := range []string{metadata.MetadataVersionFeature, metadata.TransactionVersion, metadata.ELRVersionFeature} {
		r := SupportedFeatures()[name]
		if name == metadata.MetadataVersionFeature {
			r.Max = int16(number(d, "max-metadata-version", int64(r.Max)))
		}
		req.Features = append(req.Features, kmsg.BrokerRegistrationRequestFeature{Name: name, MinSupportedVersion: r.Min, MaxSupportedVersion: r.Max})
	}
	return req
}

func dirID(n int32) [16]byte { return [16]byte{0: 150, 14: byte(n), 15: 100} }

func (s *scenario) epochOf(d *datadriven.TestData, id int32) int64 {
	epoch := int64(-1)
	if b := s.m.hard.image.Broker(id); b != nil {
		epoch = b.Epoch
	}
	return number(d, "epoch", epoch)
}

func (s *scenario) heartbeat(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version = 1
	req.BrokerID = int32(number(d, "id", 0))
	req.BrokerEpoch = s.epochOf(d, req.BrokerID)
	req.CurrentMetadataOffset = number(d, "offset", s.m.hard.image.Offset())
	req.WantFence, req.WantShutdown = flagged(d, "want-fence"), flagged(d, "want-shutdown")
	if flagged(d, "cordoned") {
		req.Version, req.CordonedLogDirs = 2, [][16]byte{}
	}
	for _, dir := range numbers(d, "cordoned") {
		req.CordonedLogDirs = append(req.CordonedLogDirs, dirID(dir))
	}
	for _, dir := range numbers(d, "offline") {
		req.OfflineLogDirs = append(req.OfflineLogDirs, dirID(dir))
	}
	return req
}

// createTopic reads name=, partitions=, replicas= and, in the lines, `0: 1,2` for an assignment and `k=v` for
// configurations. A semicolon in name makes several topics.
func (s *scenario) createTopic(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	req.ValidateOnly = flagged(d, "validate-only")
	for _, name := range strings.Split(text(d, "name", ""), ";") {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic = name
		topic.NumPartitions = int32(number(d, "partitions", -1))
		topic.ReplicationFactor = int16(number(d, "replicas", -1))
		for line := range strings.Lines(d.Input) {
			line = strings.TrimSpace(line)
			if k, v, ok := strings.Cut(line, "="); ok {
				topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
				continue
			}
			id, brokers, ok := strings.Cut(line, ":")
			if !ok {
				topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: line})
				continue
			}
			n, _ := strconv.Atoi(id)
			topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(n), Replicas: brokerList(brokers)})
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func brokerList(text string) []int32 {
	var brokers []int32
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			panic(err)
		}
		brokers = append(brokers, int32(n))
	}
	return brokers
}

func createPartitionsOf(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version = 3
	req.ValidateOnly = flagged(d, "validate-only")
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = text(d, "name", ""), int32(number(d, "count", 0))
	for line := range strings.Lines(d.Input) {
		topic.Assignment = append(topic.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: brokerList(strings.TrimSpace(line))})
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// alterConfigOf reads lines `set k v`, `delete k`, `append k v`, `subtract k v`; with legacy, lines `k v`.
func alterConfigOf(d *datadriven.TestData) kmsg.Request {
	kind, name := kmsg.ConfigResourceType(number(d, "kind", int64(metadata.TopicConfig))), text(d, "name", "")
	if flagged(d, "legacy") {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Version, req.ValidateOnly = 2, flagged(d, "validate-only")
		resource := kmsg.AlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
		for line := range strings.Lines(d.Input) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
			resource.Configs = append(resource.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: k, Value: &v})
		}
		req.Resources = append(req.Resources, resource)
		return req
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, flagged(d, "validate-only")
	resource := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	ops := map[string]kmsg.IncrementalAlterConfigOp{"set": 0, "delete": 1, "append": 2, "subtract": 3}
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Op: ops[words[0]], Name: words[1]}
		if len(words) > 2 {
			c.Value = &words[2]
		}
		resource.Configs = append(resource.Configs, c)
	}
	req.Resources = append(req.Resources, resource)
	return req
}

func (s *scenario) alterPartitionOf(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID = int32(number(d, "broker", 0))
	if b := s.m.hard.image.Broker(req.BrokerID); b != nil {
		req.BrokerEpoch = number(d, "broker-epoch", b.Epoch)
	}
	topic := kmsg.NewAlterPartitionRequestTopic()
	t := s.m.hard.image.Topic(text(d, "topic", ""))
	topic.TopicID = t.ID
	p := kmsg.NewAlterPartitionRequestTopicPartition()
	p.Partition = int32(number(d, "partition", 0))
	now := t.Partitions[p.Partition]
	p.LeaderEpoch = int32(number(d, "leader-epoch", int64(now.LeaderEpoch)))
	p.PartitionEpoch = int32(number(d, "partition-epoch", int64(now.PartitionEpoch)))
	p.LeaderRecoveryState = int8(number(d, "recovery", 0))
	for _, id := range numbers(d, "isr") {
		member := kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1}
		if b := s.m.hard.image.Broker(id); b != nil {
			member.BrokerEpoch = b.Epoch + number(d, "stale", 0)
		}
		p.NewEpochISR = append(p.NewEpochISR, member)
	}
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

func (s *scenario) assignDirOf(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID = int32(number(d, "id", 0))
	req.BrokerEpoch = s.epochOf(d, req.BrokerID)
	dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
	dir.ID = dirID(int32(number(d, "dir", 0)))
	topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
	topic.TopicID = s.m.hard.image.Topic(text(d, "topic", "")).ID
	topic.Partitions = []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: int32(number(d, "partition", 0))}}
	dir.Topics = append(dir.Topics, topic)
	req.Directories = append(req.Directories, dir)
	return req
}

// quotaOf reads user=, client=, ip= (default: "<default>") and lines `key value` or `key` to remove.
func quotaOf(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version = 1
	req.ValidateOnly = flagged(d, "validate-only")
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	for _, part := range []string{"user", "client-id", "ip", "planet"} {
		if name := text(d, part, ""); name != "" {
			e := kmsg.AlterClientQuotasRequestEntryEntity{Type: part, Name: &name}
			if name == "default" {
				e.Name = nil
			}
			entry.Entity = append(entry.Entity, e)
		}
	}
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		op := kmsg.AlterClientQuotasRequestEntryOp{Key: words[0], Remove: len(words) == 1}
		if len(words) > 1 {
			op.Value, _ = strconv.ParseFloat(words[1], 64)
		}
		entry.Ops = append(entry.Ops, op)
	}
	req.Entries = append(req.Entries, entry)
	return req
}

// reassignOf reads lines `0: 1,2`; a line `0:` cancels.
func reassignOf(d *datadriven.TestData) kmsg.Request {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version, req.AllowReplicationFactorChange = 1, !flagged(d, "same-factor")
	topic := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	topic.Topic = text(d, "topic", "")
	for line := range strings.Lines(d.Input) {
		id, brokers, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.Atoi(id)
		topic.Partitions = append(topic.Partitions, kmsg.AlterPartitionAssignmentsRequestTopicPartition{Partition: int32(n), Replicas: brokerList(brokers)})
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// cluster registers and unfences brokers=(1,2,3), with no word of what is in the log.
func (s *scenario) cluster(t *testing.T, d *datadriven.TestData) string {
	for _, id := range numbers(d, "brokers") {
		args := &datadriven.TestData{CmdArgs: []datadriven.CmdArg{{Key: "id", Vals: []string{strconv.Itoa(int(id))}}}}
		s.decide(t, s.m.request(s.e, Caller{}, s.registration(args)))
		s.decide(t, s.m.request(s.e, Caller{}, s.heartbeat(args)))
	}
	return ""
}
