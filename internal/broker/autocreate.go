package broker

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// autoCreate asks the controller for topics that somebody uses before they exist, with the broker's defaults, or for
// Kafka's internal topics with the settings they need. done gets the error codes of those that could not be made.
func (b *Broker) autoCreate(ctx context.Context, from Caller, names []string, done func(failed map[string]int16)) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	req.TimeoutMillis = int32(b.config.Load().Int("request.timeout.ms"))
	failed := map[string]int16{}
	for _, name := range names {
		if !validTopicName(name) {
			failed[name] = kerr.InvalidTopicException.Code
			continue
		}
		req.Topics = append(req.Topics, b.newTopic(name))
	}
	if len(req.Topics) == 0 {
		done(failed)
		return
	}
	b.controller.Do(context.WithoutCancel(ctx), from, req, func(resp kmsg.Response) {
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			switch t.ErrorCode {
			case 0, kerr.TopicAlreadyExists.Code:
				// Until this broker has heard of the topic, its leader is not available.
				failed[t.Topic] = kerr.LeaderNotAvailable.Code
			case kerr.RequestTimedOut.Code, kerr.NotController.Code:
				failed[t.Topic] = kerr.LeaderNotAvailable.Code
			default:
				failed[t.Topic] = t.ErrorCode
			}
		}
		done(failed)
	})
}

// newTopic describes a topic that is made on demand.
func (b *Broker) newTopic(name string) kmsg.CreateTopicsRequestTopic {
	v := b.config.Load()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = name
	set := func(key, value string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		t.Configs = append(t.Configs, c)
	}
	switch name {
	case "__consumer_offsets":
		t.NumPartitions, t.ReplicationFactor = v.Int32("offsets.topic.num.partitions"), int16(v.Int("offsets.topic.replication.factor"))
		set("compression.type", "producer")
		set("cleanup.policy", "compact")
		set("segment.bytes", strconv.Itoa(v.Int("offsets.topic.segment.bytes")))
	case "__transaction_state":
		t.NumPartitions, t.ReplicationFactor = v.Int32("transaction.state.log.num.partitions"), int16(v.Int("transaction.state.log.replication.factor"))
		set("compression.type", "uncompressed")
		set("cleanup.policy", "compact")
		set("min.insync.replicas", strconv.Itoa(v.Int("transaction.state.log.min.isr")))
		set("segment.bytes", strconv.Itoa(v.Int("transaction.state.log.segment.bytes")))
		set("unclean.leader.election.enable", "false")
	default:
		t.NumPartitions, t.ReplicationFactor = v.Int32("num.partitions"), int16(v.Int("default.replication.factor"))
	}
	return t
}
