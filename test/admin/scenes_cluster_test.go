package admin

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func electLeaders(s *script) {
	s.have(newTopic("el-a", 2, 1))
	elect := func(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis, req.ElectionType = 10000, kind
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: partitions}}
		return req
	}
	for v := int16(0); v <= 2; v++ {
		s.say("who leads already", v, elect(0, "el-a", 0, 1))
		s.say("no such partition", v, elect(0, "el-a", 0, 7, -1))
		s.say("no such topic", v, elect(0, "el-none", 0))
		all := kmsg.NewPtrElectLeadersRequest()
		all.TimeoutMillis = 10000
		s.say("all", v, all)
		if v >= 1 {
			s.say("unclean, with a leader", v, elect(1, "el-a", 0))
		}
	}
}

func reassign(s *script) {
	s.have(newTopic("ra-a", 2, 1))
	alter := func(topic string, partition int32, replicas []int32) *kmsg.AlterPartitionAssignmentsRequest {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = 10000
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = partition, replicas
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}}}
		return req
	}
	for v := int16(0); v <= 1; v++ {
		s.say("where it is", v, alter("ra-a", 0, []int32{1}))
		s.say("to nobody", v, alter("ra-a", 0, []int32{}))
		s.say("to an unknown broker", v, alter("ra-a", 0, []int32{1, 9}))
		s.say("twice to one", v, alter("ra-a", 0, []int32{1, 1}))
		s.say("back from nothing", v, alter("ra-a", 0, nil))
		s.say("no such partition", v, alter("ra-a", 7, []int32{1}))
		s.say("no such topic", v, alter("ra-none", 0, []int32{1}))
	}
	same := alter("ra-a", 0, []int32{1, 9})
	same.AllowReplicationFactorChange = false
	s.say("to an unknown broker, with as many", 1, same)
	list := kmsg.NewPtrListPartitionReassignmentsRequest()
	list.TimeoutMillis = 10000
	s.say("all", 0, list)
	list.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "ra-a", Partitions: []int32{0, 7}}, {Topic: "ra-none", Partitions: []int32{0}}}
	s.say("some", 0, list)
}

func quotas(s *script) {
	part := func(kind, name string) kmsg.AlterClientQuotasRequestEntryEntity {
		e := kmsg.AlterClientQuotasRequestEntryEntity{Type: kind, Name: &name}
		if name == "<default>" {
			e.Name = nil
		}
		return e
	}
	entry := func(entity ...kmsg.AlterClientQuotasRequestEntryEntity) kmsg.AlterClientQuotasRequestEntry {
		return kmsg.AlterClientQuotasRequestEntry{Entity: entity}
	}
	set := func(e kmsg.AlterClientQuotasRequestEntry, key string, value float64) kmsg.AlterClientQuotasRequestEntry {
		e.Ops = append(e.Ops, kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value})
		return e
	}
	alter := func(entries ...kmsg.AlterClientQuotasRequestEntry) *kmsg.AlterClientQuotasRequest {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Entries = entries
		return req
	}
	describe := func(strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) *kmsg.DescribeClientQuotasRequest {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Components, req.Strict = components, strict
		return req
	}
	component := func(kind string, match kmsg.QuotasMatchType, name *string) kmsg.DescribeClientQuotasRequestComponent {
		return kmsg.DescribeClientQuotasRequestComponent{EntityType: kind, MatchType: match, Match: name}
	}
	alice := "alice"
	for v := int16(0); v <= 1; v++ {
		s.say("one user", v, alter(set(entry(part("user", "alice")), "producer_byte_rate", 1000)))
		s.say("a user's client", v, alter(set(entry(part("user", "alice"), part("client-id", "app")), "consumer_byte_rate", 2000)))
		s.say("the default", v, alter(set(entry(part("user", "<default>")), "request_percentage", 12.5)))
		s.say("an address", v, alter(set(entry(part("ip", "1.2.3.4")), "connection_creation_rate", 5)))
		s.say("no such key", v, alter(set(entry(part("user", "alice")), "speed", 5)))
		s.say("a key of addresses", v, alter(set(entry(part("user", "alice")), "connection_creation_rate", 5)))
		s.say("negative", v, alter(set(entry(part("user", "alice")), "producer_byte_rate", -5)))
		s.say("a fraction", v, alter(set(entry(part("user", "alice")), "producer_byte_rate", 1.5)))
		s.say("too much", v, alter(set(entry(part("ip", "1.2.3.4")), "connection_creation_rate", 1e12)))
		s.say("nobody", v, alter(set(entry(), "producer_byte_rate", 5)))
		s.say("an empty name", v, alter(set(entry(part("user", "")), "producer_byte_rate", 5)))
		s.say("a planet", v, alter(set(entry(part("planet", "mars")), "producer_byte_rate", 5)))
		s.say("an address and a user", v, alter(set(entry(part("ip", "1.2.3.4"), part("user", "alice")), "producer_byte_rate", 5)))
		s.say("no address", v, alter(set(entry(part("ip", "not an address")), "connection_creation_rate", 5)))
		dry := alter(set(entry(part("user", "bob")), "producer_byte_rate", 5))
		dry.ValidateOnly = true
		s.say("only validated", v, dry)
		remove := entry(part("user", "<default>"))
		remove.Ops = []kmsg.AlterClientQuotasRequestEntryOp{{Key: "request_percentage", Remove: true}, {Key: "producer_byte_rate", Remove: true}}
		s.say("one gone, and one that was not there", v, alter(remove))
		s.say("one user, exactly", v, describe(true, component("user", kmsg.QuotasMatchTypeExact, &alice)))
		s.say("any client", v, describe(false, component("client-id", kmsg.QuotasMatchTypeAny, nil)))
		s.say("the default user", v, describe(false, component("user", kmsg.QuotasMatchTypeDefault, nil)))
		s.say("addresses", v, describe(false, component("ip", kmsg.QuotasMatchTypeAny, nil)))
		s.say("planets", v, describe(false, component("planet", kmsg.QuotasMatchTypeAny, nil)))
		s.say("a kind without a name", v, describe(false, component("", kmsg.QuotasMatchTypeAny, nil)))
		s.say("a kind twice", v, describe(false, component("user", kmsg.QuotasMatchTypeAny, nil), component("user", kmsg.QuotasMatchTypeDefault, nil)))
		s.say("addresses of users", v, describe(false, component("ip", kmsg.QuotasMatchTypeAny, nil), component("user", kmsg.QuotasMatchTypeDefault, nil)))
	}
}

func features(s *script) {
	update := func(validate bool, name string, level int16, kind int8) *kmsg.UpdateFeaturesRequest {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis, req.ValidateOnly = 10000, validate
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType, u.AllowDowngrade = name, level, kind, kind > 1
		req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{u}
		return req
	}
	for v := int16(0); v <= 2; v++ {
		s.say("no such feature", v, update(false, "no.such.feature", 1, 1))
		s.say("an older level, not said", v, update(false, "metadata.version", 29, 1))
		s.say("an older level", v, update(false, "metadata.version", 29, 2))
		s.say("the future", v, update(false, "metadata.version", 99, 1))
		s.say("the same", v, update(v > 0, "metadata.version", 30, 1))
		s.say("negative", v, update(false, "metadata.version", -1, 2))
		s.say("upwards and downwards", v, update(false, "eligible.leader.replicas.version", 2, 2))
		if v > 0 {
			s.say("an older level, unsafely", v, update(false, "metadata.version", 29, 3))
			s.say("a way that is none", v, update(false, "metadata.version", 30, 9))
			s.say("only validated", v, update(true, "eligible.leader.replicas.version", 0, 2))
		}
		s.say("nothing", v, kmsg.NewPtrUpdateFeaturesRequest())
	}
	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	unregister.BrokerID = 77
	s.say("a broker that is not", 0, unregister)
}

func minISR(s *script) {
	alter := func(name string, op kmsg.IncrementalAlterConfigOp, value *string) *kmsg.IncrementalAlterConfigsRequest {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
		r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "min.insync.replicas", Op: op, Value: value}}
		req.Resources = append(req.Resources, r)
		return req
	}
	s.say("of the cluster, away", 1, alter("", kmsg.IncrementalAlterConfigOpDelete, nil))
	s.say("of a broker", 1, alter("1", kmsg.IncrementalAlterConfigOpSet, p("2")))
	s.say("of a broker, away", 1, alter("1", kmsg.IncrementalAlterConfigOpDelete, nil))
	s.say("of the cluster", 1, alter("", kmsg.IncrementalAlterConfigOpSet, p("1")))
}
