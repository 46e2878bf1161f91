package broker

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listeners says on which kind of listener an API is served.
type listeners uint8

const (
	onBroker     listeners = iota // also what a row that says nothing means
	onController                  // the quorum's, for brokers, other controllers, and tools with --bootstrap-controller
	onBoth
)

// handler is one row of the table: an API, the versions of it that are served, where, and its function.
type handler struct {
	key      kmsg.Key
	min, max int16
	on       listeners
	serve    func(*Broker, context.Context, *Request)
	// pooled has the request's buffer used again after Reply, and strings of the body lie in it instead of being copied:
	// for the data path, whose handlers keep nothing. Everybody else may keep what Body holds.
	pooled bool
	// reused has the decoded request used again, too: a Produce request is a [producing].
	reused bool
	// parks says that a request may wait for other clients. A shutdown does not wait for it.
	parks bool
	// enveloped says that a controller takes the request in an Envelope (KIP-590).
	enveloped bool
	// quorum says that a broker whose metadata is in ZooKeeper does not serve the API, as Apache Kafka 3.9 does not: it is
	// about the quorum of controllers, or came with it.
	quorum bool
	// plane says that such a broker serves the API to the other brokers, which ask the active controller: see controlplane.go.
	plane bool
	// early says that the request is answered before the broker is ready: see isEarly.
	early bool
	// private makes an empty request of an API that is not Kafka's. It is not advertised, and its own decoder is trusted to
	// bound what it allocates.
	private func() kmsg.Request
}

// request is an empty request.
func (h *handler) request() kmsg.Request {
	if h.private != nil {
		return h.private()
	}
	return h.key.Request()
}

// handlers is every API of Kafka that is served here. ApiVersions answers and docs/compatibility.md come from it, so a row
// appears when its handler works and never before. The versions are those of Apache Kafka 4.3.0.
func handlers() []handler {
	return []handler{
		{key: kmsg.Produce, min: 3, max: 13, serve: (*Broker).produce, pooled: true, reused: true},
		{key: kmsg.Fetch, min: 4, max: 18, serve: (*Broker).fetch, pooled: true},
		{key: kmsg.ListOffsets, min: 1, max: 11, serve: (*Broker).listOffsets},
		{key: kmsg.Metadata, min: 0, max: 13, serve: (*Broker).metadata},
		{key: kmsg.OffsetCommit, min: 2, max: 10, serve: (*Broker).offsetCommit},
		{key: kmsg.OffsetFetch, min: 1, max: 10, serve: (*Broker).offsetFetch},
		{key: kmsg.FindCoordinator, min: 0, max: 6, serve: (*Broker).findCoordinator},
		{key: kmsg.JoinGroup, min: 0, max: 9, serve: (*Broker).joinGroup, parks: true},
		{key: kmsg.Heartbeat, min: 0, max: 4, serve: (*Broker).heartbeat},
		{key: kmsg.LeaveGroup, min: 0, max: 5, serve: (*Broker).leaveGroup},
		{key: kmsg.SyncGroup, min: 0, max: 5, serve: (*Broker).syncGroup, parks: true},
		{key: kmsg.DescribeGroups, min: 0, max: 6, serve: (*Broker).describeGroups},
		{key: kmsg.ListGroups, min: 0, max: 5, serve: (*Broker).listGroups},
		{key: kmsg.ApiVersions, min: 0, max: 4, on: onBoth, serve: (*Broker).apiVersions},
		{key: kmsg.CreateTopics, min: 2, max: 7, on: onBoth, enveloped: true, serve: (*Broker).createTopics},
		{key: kmsg.DeleteTopics, min: 1, max: 6, on: onBoth, enveloped: true, serve: (*Broker).deleteTopics},
		{key: kmsg.DeleteRecords, min: 0, max: 2, serve: (*Broker).deleteRecords},
		{key: kmsg.InitProducerID, min: 0, max: 5, serve: (*Broker).initProducerID},
		{key: kmsg.AddPartitionsToTxn, min: 0, max: 5, serve: (*Broker).addPartitionsToTxn},
		{key: kmsg.AddOffsetsToTxn, min: 0, max: 4, serve: (*Broker).addOffsetsToTxn},
		{key: kmsg.EndTxn, min: 0, max: 5, serve: (*Broker).endTxn},
		{key: kmsg.WriteTxnMarkers, min: 1, max: 2, serve: (*Broker).writeTxnMarkers},
		{key: kmsg.TxnOffsetCommit, min: 0, max: 5, serve: (*Broker).txnOffsetCommit},
		{key: kmsg.OffsetForLeaderEpoch, min: 2, max: 4, serve: (*Broker).offsetForLeaderEpoch},
		{key: kmsg.DescribeConfigs, min: 1, max: 4, on: onBoth, serve: (*Broker).describeConfigs},
		{key: kmsg.AlterConfigs, min: 0, max: 2, on: onBoth, enveloped: true, serve: (*Broker).alterConfigs},
		{key: kmsg.AlterReplicaLogDirs, min: 1, max: 2, serve: (*Broker).alterReplicaLogDirs},
		{key: kmsg.DescribeLogDirs, min: 1, max: 5, serve: (*Broker).describeLogDirs},
		{key: kmsg.CreatePartitions, min: 0, max: 3, on: onBoth, enveloped: true, serve: (*Broker).createPartitions},
		{key: kmsg.DeleteGroups, min: 0, max: 2, serve: (*Broker).deleteGroups},
		{key: kmsg.IncrementalAlterConfigs, min: 0, max: 1, on: onBoth, enveloped: true, serve: (*Broker).incrementalAlterConfigs},
		{key: kmsg.OffsetDelete, min: 0, max: 0, serve: (*Broker).offsetDelete},
		{key: kmsg.DescribeCluster, min: 0, max: 2, serve: (*Broker).describeCluster},
		{key: kmsg.DescribeProducers, min: 0, max: 0, serve: (*Broker).describeProducers},
		{key: kmsg.DescribeTransactions, min: 0, max: 0, serve: (*Broker).describeTransactions},
		{key: kmsg.ListTransactions, min: 0, max: 2, serve: (*Broker).listTransactions},
		{key: kmsg.ListConfigResources, min: 0, max: 1, serve: (*Broker).listConfigResources},
		{key: kmsg.DescribeTopicPartitions, min: 0, max: 0, quorum: true, serve: (*Broker).describeTopicPartitions},
		{key: kmsg.ElectLeaders, min: 0, max: 2, on: onBoth, enveloped: true, serve: (*Broker).electLeaders},
		{key: kmsg.AlterPartitionAssignments, min: 0, max: 1, on: onBoth, enveloped: true, serve: (*Broker).alterPartitionReassignments},
		{key: kmsg.ListPartitionReassignments, min: 0, max: 0, on: onBoth, enveloped: true, serve: (*Broker).listPartitionReassignments},
		{key: kmsg.DescribeClientQuotas, min: 0, max: 1, serve: (*Broker).describeClientQuotas},
		{key: kmsg.AlterClientQuotas, min: 0, max: 1, on: onBoth, enveloped: true, serve: (*Broker).alterClientQuotas},
		{key: kmsg.UpdateFeatures, min: 0, max: 2, on: onBoth, enveloped: true, serve: (*Broker).updateFeatures},
		{key: kmsg.UnregisterBroker, min: 0, max: 0, on: onBoth, enveloped: true, serve: (*Broker).unregisterBroker},
		{key: kmsg.DescribeQuorum, min: 0, max: 2, on: onBoth, enveloped: true, quorum: true, serve: (*Broker).describeQuorum},
		{key: kmsg.AddRaftVoter, min: 0, max: 1, on: onBoth, enveloped: true, quorum: true, serve: (*Broker).addRaftVoter},
		{key: kmsg.RemoveRaftVoter, min: 0, max: 0, on: onBoth, enveloped: true, quorum: true, serve: (*Broker).removeRaftVoter},

		{key: kmsg.Fetch, min: 4, max: 18, on: onController, serve: (*Broker).fetchMetadata, parks: true},
		{key: kmsg.AlterPartition, min: 2, max: 3, on: onController, plane: true, serve: (*Broker).alterPartition},
		{key: kmsg.Envelope, min: 0, max: 0, on: onController, plane: true, serve: (*Broker).envelope},
		{key: kmsg.FetchSnapshot, min: 0, max: 1, on: onController, serve: (*Broker).fetchSnapshot},
		{key: kmsg.DescribeCluster, min: 0, max: 2, on: onController, serve: (*Broker).describeControllers},
		{key: kmsg.BrokerRegistration, min: 0, max: 4, on: onController, plane: true, serve: (*Broker).brokerRegistration},
		{key: kmsg.BrokerHeartbeat, min: 0, max: 2, on: onController, plane: true, serve: (*Broker).brokerHeartbeat},
		{key: kmsg.AllocateProducerIDs, min: 0, max: 0, on: onController, plane: true, serve: (*Broker).grantProducerIDs},
		{key: kmsg.ControllerRegistration, min: 0, max: 0, on: onController, serve: (*Broker).controllerRegistration},
		{key: kmsg.AssignReplicasToDirs, min: 0, max: 0, on: onController, plane: true, serve: (*Broker).assignReplicasToDirs},
		{key: kmsg.UpdateRaftVoter, min: 0, max: 0, on: onController, serve: (*Broker).updateRaftVoter},
	}
}

// table finds a handler by key.
type table struct {
	rows  []handler // Kafka's, in the order of their keys
	byKey []*handler
	other map[int16]*handler // private ones
}

// newTable takes the rows that one kind of listener serves.
func newTable(rows []handler, on listeners, private ...handler) table {
	t := table{other: make(map[int16]*handler)}
	for _, h := range rows {
		if h.on == on || h.on == onBoth {
			t.rows = append(t.rows, h)
		}
	}
	slices.SortFunc(t.rows, func(a, b handler) int { return int(a.key) - int(b.key) })
	for i := range t.rows {
		k := int(t.rows[i].key)
		for len(t.byKey) <= k {
			t.byKey = append(t.byKey, nil)
		}
		t.byKey[k] = &t.rows[i]
	}
	for i := range private {
		t.other[int16(private[i].key)] = &private[i]
	}
	return t
}

func (t *table) find(key int16) *handler {
	if key >= 0 && int(key) < len(t.byKey) {
		return t.byKey[key]
	}
	return t.other[key]
}
