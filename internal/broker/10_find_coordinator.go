package broker

import (
	"context"

	"gregor/internal/coordinator"
	"gregor/internal/coordinator/group"
	"gregor/internal/coordinator/txn"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of coordinators.
const (
	groupCoordinator = 0
	txnCoordinator   = 1
	shareCoordinator = 2 // from version 6
)

// FindCoordinator: versions 0-6 (KIP-98 kinds in 1, KIP-699 several keys in 4, KIP-932 share groups in 6).
//
// The coordinator of a group leads its partition of __consumer_offsets, that of a transactional id its partition of
// __transaction_state. The first request makes that topic, and is answered when it exists; Kafka answers
// COORDINATOR_NOT_AVAILABLE and lets the client ask again.
//
// Share groups have no coordinator yet. Their requests get INVALID_REQUEST and a message that says so: a client that is
// told to wait would wait until it gives up, without learning why.
func (b *Broker) findCoordinator(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.FindCoordinatorRequest)
	topic := coordinatorTopics[req.CoordinatorType]
	if topic.name == "" || b.image().Topic(topic.name) != nil {
		r.Reply(b.coordinators(r, req))
		return
	}
	b.autoCreate(ctx, r.caller(), []string{topic.name}, func(failed map[string]int16) {
		if err := kerr.ErrorForCode(failed[topic.name]); err != nil && err != kerr.LeaderNotAvailable {
			b.log.Error("the topic of the coordinator cannot be made", "topic", topic.name, "error", err.Error(), "settings", topic.settings)
		}
		r.Reply(b.coordinators(r, req))
	})
}

// coordinatorTopics are the internal topics that coordinators keep their state in, by their kinds.
var coordinatorTopics = map[int8]struct{ name, settings string }{
	groupCoordinator: {group.Topic, "offsets.topic.replication.factor, offsets.topic.num.partitions, offsets.topic.segment.bytes"},
	txnCoordinator: {txn.Topic, "transaction.state.log.replication.factor, transaction.state.log.min.isr, " +
		"transaction.state.log.num.partitions, transaction.state.log.segment.bytes"},
}

// coordinators answers from what this broker knows now.
func (b *Broker) coordinators(r *Request, req *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if r.Version >= 4 {
		for _, key := range req.CoordinatorKeys {
			resp.Coordinators = append(resp.Coordinators, b.coordinator(r, req.CoordinatorType, key))
		}
		return resp
	}
	c := b.coordinator(r, req.CoordinatorType, req.CoordinatorKey)
	resp.ErrorCode, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.NodeID, c.Host, c.Port
	resp.ErrorMessage = c.ErrorMessage
	if c.ErrorCode == 0 {
		resp.ErrorMessage = kmsg.StringPtr("NONE") // as Kafka words it
	}
	return resp
}

func (b *Broker) coordinator(r *Request, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port, c.ErrorMessage = key, -1, -1, kmsg.StringPtr("")
	fail := func(err *kerr.Error, message string) kmsg.FindCoordinatorResponseCoordinator {
		c.ErrorCode, c.ErrorMessage = err.Code, &message
		return c
	}
	where := coordinatorTopics[kind].name
	switch kind {
	case groupCoordinator, txnCoordinator:
	case shareCoordinator:
		return fail(kerr.InvalidRequest, "share groups are not supported by this broker yet")
	default:
		return fail(kerr.InvalidRequest, "unknown kind of coordinator")
	}
	image := b.image()
	topic := image.Topic(where)
	if topic == nil {
		return fail(kerr.CoordinatorNotAvailable, where+" does not exist yet")
	}
	leader := topic.Partitions[coordinator.PartitionOf(key, int32(len(topic.Partitions)))].Leader
	broker := image.Broker(leader)
	if leader == metadata.NoLeader || broker == nil || broker.Fenced {
		return fail(kerr.CoordinatorNotAvailable, "the partition of "+where+" has no leader")
	}
	e, ok := broker.Endpoint(r.Conn.Listener())
	if !ok {
		return fail(kerr.CoordinatorNotAvailable, "the coordinator has no listener "+r.Conn.Listener())
	}
	c.NodeID, c.Host, c.Port = leader, e.Host, int32(e.Port)
	return c
}
