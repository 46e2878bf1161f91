package admin

import (
	"encoding/hex"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scene is a sequence of requests on one connection. Topics that it makes have its name in theirs.
type scene struct {
	name string
	play func(*script)
}

var scenes = []scene{
	{"create-topics", createTopics},
	{"metadata", metadata},
	{"create-partitions", createPartitions},
	{"delete-topics", deleteTopics},
	{"describe-configs", describeConfigs},
	{"alter-configs", alterConfigs},
	{"cluster", cluster},
	{"describe-topic-partitions", describeTopicPartitions},
	{"log-dirs", logDirs},
	{"elect-leaders", electLeaders},
	{"reassign", reassign},
	{"quotas", quotas},
	{"features", features},
	{"min-isr", minISR},
}

func p[T any](v T) *T { return &v }

// newTopic describes a topic; configs are key, value, key, value.
func newTopic(name string, partitions int32, replicas int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	return t
}

func create(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	req.Topics = topics
	return req
}

// have makes topics without a word about it, and gives their ids names.
func (s *script) have(topics ...kmsg.CreateTopicsRequestTopic) {
	s.t.Helper()
	for _, t := range s.ask(7, create(topics...)).(*kmsg.CreateTopicsResponse).Topics {
		s.ids[hex.EncodeToString(t.TopicID[:])] = "id of " + t.Topic
	}
	// Kafka's brokers hear of a new topic a moment after its controller has answered.
	for _, t := range topics {
		for {
			m := s.ask(12, metadataOf(t.Topic)).(*kmsg.MetadataResponse)
			if m.Topics[0].ErrorCode == 0 && len(m.Topics[0].Partitions) > 0 && m.Topics[0].Partitions[0].Leader >= 0 {
				break
			}
		}
	}
}

func (s *script) idOf(topic string) (id [16]byte) {
	m := s.ask(12, metadataOf(topic)).(*kmsg.MetadataResponse)
	return m.Topics[0].TopicID
}

func createTopics(s *script) {
	assigned := func(name string, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
		t := newTopic(name, -1, -1)
		for i, r := range replicas {
			t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: r})
		}
		return t
	}
	gap := newTopic("ct-gap", -1, -1)
	gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{1}}}
	both := assigned("ct-both", []int32{1})
	both.NumPartitions = 1
	null := newTopic("ct-null", 1, 1)
	null.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
	s.have(newTopic("ct-exists", 1, 1), newTopic("ct.dotted", 1, 1))
	for v := int16(2); v <= 7; v++ {
		dry := create(newTopic("ct-dry", 2, 1, "retention.ms", "1000"))
		dry.ValidateOnly = true
		s.say("only validated", v, dry)
		s.say("what cannot be", v, create(
			newTopic("ct-exists", 1, 1), newTopic("in valid", 1, 1), newTopic("", 1, 1), newTopic(".", 1, 1),
			newTopic("ct-replicas", 1, 2), newTopic("ct-no-replicas", 1, 0), newTopic("ct-no-partitions", 0, 1),
			newTopic("ct_dotted", 1, 1), assigned("ct-unknown-broker", []int32{9}), assigned("ct-twice", []int32{1, 1}),
			assigned("ct-empty", []int32{}), gap, both, null,
			newTopic("ct-config", 1, 1, "retention.ms", "soon"), newTopic("ct-config-unknown", 1, 1, "no.such.key", "1"),
			newTopic("ct-config-range", 1, 1, "max.message.bytes", "-1"), newTopic("ct-config-list", 1, 1, "cleanup.policy", "shred"),
			newTopic("ct-lag", 1, 1, "min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5"),
		))
		s.say("the same topic twice", v, create(newTopic("ct-dup", 1, 1), newTopic("ct-dup", 2, 1)))
		s.say("no topic", v, create())
	}
	s.say("defaults need version 4", 3, create(newTopic("ct-default-3", -1, -1)))
	s.say("defaults", 4, create(newTopic("ct-default-4", -1, -1)))
	dry := create(newTopic("ct-dry-bad", 1, 9))
	dry.ValidateOnly = true
	s.say("only validated, and wrong", 7, dry)
}

func metadataOf(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func metadata(s *script) {
	s.have(newTopic("md-a", 2, 1), newTopic("md-b", 1, 1))
	for v := int16(0); v <= 13; v++ {
		s.say("one topic", v, metadataOf("md-a"))
		if v >= 4 {
			s.say("several topics", v, metadataOf("md-b", "md-a", "md-b", "md-none", "in valid"))
		}
		if v >= 1 {
			s.say("no topics", v, metadataOf())
		}
		if v >= 8 {
			req := metadataOf("md-a")
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, v <= 10
			s.say("with operations", v, req)
		}
		if v >= 10 {
			req := metadataOf("md-a")
			req.Topics[0].TopicID, req.Topics[0].Topic = s.idOf("md-a"), nil
			unknown := kmsg.NewMetadataRequestTopic()
			unknown.TopicID = [16]byte{9, 9, 9}
			s.ids["09090900000000000000000000000000"] = "an unknown id"
			req.Topics = append(req.Topics, unknown)
			if v >= 12 {
				s.say("by id", v, req)
				req.Topics = append(req.Topics, metadataOf("md-b").Topics...)
				s.say("by id and by name", v, req)
			}
		}
	}
}

func createPartitions(s *script) {
	s.have(newTopic("cp-a", 1, 1), newTopic("cp-b", 1, 1))
	ask := func(name string, count int32, dry bool, assign ...[]int32) *kmsg.CreatePartitionsRequest {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = 10000, dry
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		for _, r := range assign {
			t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: r})
		}
		req.Topics = append(req.Topics, t)
		return req
	}
	for v := int16(0); v <= 3; v++ {
		s.say("only validated", v, ask("cp-b", 5, true))
		s.say("more", v, ask("cp-a", 2+int32(v), false))
		s.say("as many as there are", v, ask("cp-b", 1, false))
		s.say("fewer", v, ask("cp-a", 1, false))
		s.say("none", v, ask("cp-a", 0, false))
		s.say("unknown topic", v, ask("cp-none", 3, false))
		s.say("too few assignments", v, ask("cp-b", 3, true, []int32{1}))
		s.say("unknown broker", v, ask("cp-b", 2, true, []int32{7}))
		s.say("assigned", v, ask("cp-b", 2, true, []int32{1}))
		twice := ask("cp-b", 3, true)
		twice.Topics = append(twice.Topics, twice.Topics[0])
		s.say("the same topic twice", v, twice)
	}
}

func deleteTopics(s *script) {
	ask := func(v int16, names ...string) *kmsg.DeleteTopicsRequest {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 10000
		if v < 6 {
			req.TopicNames = names
			return req
		}
		for _, name := range names {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = &name
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	for v := int16(1); v <= 6; v++ {
		s.have(newTopic("dt-a", 1, 1), newTopic("dt-b", 1, 1))
		s.say("one", v, ask(v, "dt-a"))
		s.say("two, one is not there", v, ask(v, "dt-b", "dt-none"))
		s.say("a name that is not valid", v, ask(v, "in valid"))
		s.say("nothing", v, ask(v))
	}
	s.have(newTopic("dt-c", 1, 1), newTopic("dt-d", 1, 1))
	req := ask(6)
	for _, id := range [][16]byte{s.idOf("dt-c"), {8, 8}} {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.TopicID = id
		req.Topics = append(req.Topics, t)
	}
	s.ids["08080000000000000000000000000000"] = "an unknown id"
	s.say("by id", 6, req)
	req = ask(6, "dt-d")
	req.Topics[0].TopicID = s.idOf("dt-d")
	s.say("by name and id", 6, req)
	s.say("twice", 6, ask(6, "dt-d", "dt-d"))
}

// keysOf asks for a few keys only: what a key's default is says another test.
func describe(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	return req
}

const (
	topic   = kmsg.ConfigResourceTypeTopic
	broker  = kmsg.ConfigResourceTypeBroker
	logger  = kmsg.ConfigResourceTypeBrokerLogger
	group   = kmsg.ConfigResourceTypeGroupConfig
	metrics = kmsg.ConfigResourceTypeClientMetrics
)

func describeConfigs(s *script) {
	s.have(newTopic("dc-a", 1, 1, "retention.ms", " 1000", "cleanup.policy", "compact, delete"))
	for v := int16(1); v <= 4; v++ {
		s.say("topic", v, describe(topic, "dc-a", "retention.ms", "cleanup.policy", "segment.bytes", "segment.ms", "flush.ms", "min.cleanable.dirty.ratio", "no.such", "internal.segment.bytes"))
		req := describe(topic, "dc-a", "retention.ms")
		req.IncludeSynonyms = false
		s.say("topic, no synonyms", v, req)
		s.say("unknown topic", v, describe(topic, "dc-none"))
		s.say("a name that is not valid", v, describe(topic, "in valid"))
		s.say("broker", v, describe(broker, "1", "node.id", "broker.id", "log.retention.ms", "log.retention.hours", "num.io.threads", "ssl.key.password", "log.cleaner.io.max.bytes.per.second", "principal.builder.class", "advertised.listeners"))
		s.say("another broker", v, describe(broker, "2"))
		s.say("no broker", v, describe(broker, "one"))
		s.say("no logger", v, describe(logger, ""))
		s.say("another broker's loggers", v, describe(logger, "2"))
		s.say("a kind that is not there", v, describe(3, "x"))
		if v == 4 {
			s.say("group", v, describe(group, "dc-g", "consumer.session.timeout.ms", "share.isolation.level"))
			s.say("no group", v, describe(group, ""))
			s.say("client metrics", v, describe(metrics, "dc-m"))
			s.say("no client metrics", v, describe(metrics, ""))
		}
	}
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	del      = kmsg.IncrementalAlterConfigOpDelete
	add      = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

func alterConfigs(s *script) {
	s.have(newTopic("ac-a", 1, 1))
	inc := func(kind kmsg.ConfigResourceType, name string, op kmsg.IncrementalAlterConfigOp, key string, value *string) *kmsg.IncrementalAlterConfigsRequest {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: op, Value: value})
		req.Resources = append(req.Resources, r)
		return req
	}
	old := func(kind kmsg.ConfigResourceType, name, key string, value *string) *kmsg.AlterConfigsRequest {
		req := kmsg.NewPtrAlterConfigsRequest()
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: key, Value: value})
		req.Resources = append(req.Resources, r)
		return req
	}
	for v := int16(0); v <= 1; v++ {
		s.say("set", v, inc(topic, "ac-a", set, "retention.ms", p("5000")))
		s.say("append", v, inc(topic, "ac-a", add, "cleanup.policy", p("compact")))
		s.say("subtract", v, inc(topic, "ac-a", subtract, "cleanup.policy", p("delete")))
		s.say("delete", v, inc(topic, "ac-a", del, "retention.ms", nil))
		s.say("delete what is not set", v, inc(topic, "ac-a", del, "segment.ms", nil))
		s.say("append to a number", v, inc(topic, "ac-a", add, "retention.ms", p("5")))
		s.say("subtract from a number", v, inc(topic, "ac-a", subtract, "retention.ms", p("5")))
		s.say("null", v, inc(topic, "ac-a", set, "retention.ms", nil))
		s.say("not a number", v, inc(topic, "ac-a", set, "retention.ms", p("soon")))
		s.say("out of range", v, inc(topic, "ac-a", set, "max.message.bytes", p("-1")))
		s.say("no boolean", v, inc(topic, "ac-a", set, "preallocate", p("maybe")))
		s.say("unknown key", v, inc(topic, "ac-a", set, "no.such", p("1")))
		s.say("unknown topic", v, inc(topic, "ac-none", set, "retention.ms", p("1")))
		s.say("no topic", v, inc(topic, "", set, "retention.ms", p("1")))
		s.say("unknown kind", v, inc(77, "x", set, "y", p("1")))
		s.say("broker", v, inc(broker, "1", set, "log.cleaner.threads", p("1")))
		s.say("all brokers", v, inc(broker, "", set, "log.cleaner.threads", p("1")))
		s.say("broker, not dynamic", v, inc(broker, "1", set, "node.id", p("2")))
		s.say("broker, not a number", v, inc(broker, "1", set, "log.cleaner.threads", p("x")))
		s.say("broker, out of range", v, inc(broker, "1", set, "num.io.threads", p("0")))
		s.say("another broker", v, inc(broker, "2", set, "log.cleaner.threads", p("1")))
		s.say("no broker", v, inc(broker, "one", set, "log.cleaner.threads", p("1")))
		s.say("listeners of all brokers", v, inc(broker, "", set, "listeners", p("PLAINTEXT://:1")))
		s.say("ssl without a listener", v, inc(broker, "1", set, "ssl.keystore.location", p("/x")))
		s.say("loggers of another broker", v, inc(logger, "2", set, "root", p("INFO")))
		s.say("logger that is not there", v, inc(logger, "1", set, "nobody", p("INFO")))
		s.say("group", v, inc(group, "ac-g", set, "consumer.session.timeout.ms", p("46000")))
		s.say("group, out of range", v, inc(group, "ac-g", set, "consumer.session.timeout.ms", p("1")))
		s.say("group, unknown key", v, inc(group, "ac-g", set, "no.such", p("1")))
		s.say("client metrics", v, inc(metrics, "ac-m", set, "interval.ms", p("1000")))
		s.say("what was set of client metrics", 4, describe(metrics, "ac-m"))
		s.say("what was set of the group", 4, describe(group, "ac-g", "consumer.session.timeout.ms"))
		s.say("client metrics, unknown key", v, inc(metrics, "ac-m", set, "no.such", p("1")))
		s.say("client metrics, out of range", v, inc(metrics, "ac-m", set, "interval.ms", p("1")))
		twice := inc(topic, "ac-a", set, "retention.ms", p("1"))
		twice.Resources = append(twice.Resources, twice.Resources[0])
		s.say("a topic twice", v, twice)
		twice = inc(topic, "ac-a", set, "retention.ms", p("1"))
		twice.Resources[0].Configs = append(twice.Resources[0].Configs, twice.Resources[0].Configs[0])
		s.say("a key twice", v, twice)
		dry := inc(topic, "ac-a", set, "retention.ms", p("77"))
		dry.ValidateOnly = true
		s.say("only validated", v, dry)
	}
	for v := int16(0); v <= 2; v++ {
		s.say("set", v, old(topic, "ac-a", "retention.ms", p("5000")))
		s.say("not a number", v, old(topic, "ac-a", "retention.ms", p("soon")))
		s.say("null", v, old(topic, "ac-a", "retention.ms", nil))
		s.say("unknown topic", v, old(topic, "ac-none", "retention.ms", p("1")))
		s.say("broker, not dynamic", v, old(broker, "1", "node.id", p("2")))
		s.say("logger", v, old(logger, "1", "root", p("INFO")))
		s.say("another broker", v, old(broker, "2", "log.cleaner.threads", p("1")))
	}
	s.ask(1, inc(broker, "1", del, "log.cleaner.threads", nil))
	s.ask(1, inc(broker, "", del, "log.cleaner.threads", nil))
}

func cluster(s *script) {
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		s.say("brokers", v, req)
		req.IncludeClusterAuthorizedOperations = true
		s.say("with operations", v, req)
		if v >= 1 {
			req = kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType = 2
			s.say("controllers", v, req)
			req.EndpointType = 3
			s.say("an unknown type", v, req)
		}
	}
	list := kmsg.NewPtrListConfigResourcesRequest()
	s.say("client metrics", 0, list)
	list.ResourceTypes = []int8{4}
	s.say("brokers", 1, list)
	list.ResourceTypes = []int8{8, 16}
	s.say("loggers and client metrics", 1, list)
	list.ResourceTypes = []int8{32}
	s.say("groups", 1, list)
	list.ResourceTypes = []int8{77}
	s.say("an unknown type", 1, list)
}

func describeTopicPartitions(s *script) {
	s.have(newTopic("dp-a", 3, 1), newTopic("dp-b", 3, 1))
	ask := func(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, names ...string) *kmsg.DescribeTopicPartitionsRequest {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range names {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
		}
		return req
	}
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
	}
	s.say("two", 0, ask(100, nil, "dp-b", "dp-a"))
	s.say("one, twice", 0, ask(100, nil, "dp-a", "dp-a"))
	s.say("limit", 0, ask(4, nil, "dp-b", "dp-a"))
	s.say("limit at the end of a topic", 0, ask(3, nil, "dp-b", "dp-a"))
	s.say("cursor", 0, ask(4, at("dp-b", 1), "dp-b", "dp-a"))
	s.say("cursor at the end", 0, ask(4, at("dp-b", 3), "dp-b"))
	s.say("cursor between topics", 0, ask(4, at("dp-aa", 1), "dp-b", "dp-a"))
	s.say("unknown", 0, ask(100, nil, "dp-none", "dp-a"))
	s.say("a name that is not valid", 0, ask(100, nil, "in valid"))
	s.say("no limit", 0, ask(0, nil, "dp-a"))
}

func logDirs(s *script) {
	s.have(newTopic("ld-a", 2, 1))
	all := kmsg.NewPtrDescribeLogDirsRequest()
	all.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "ld-a", Partitions: []int32{0, 1}}}
	for {
		dirs := s.ask(4, all).(*kmsg.DescribeLogDirsResponse).Dirs
		if len(dirs[0].Topics) == 1 && len(dirs[0].Topics[0].Partitions) == 2 {
			break
		}
	}
	for v := int16(1); v <= 5; v++ {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "ld-a", Partitions: []int32{0, 1, 7}}, {Topic: "ld-none", Partitions: []int32{0}}}
		s.say("one topic", v, req)
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		s.say("nothing", v, req)
	}
}
