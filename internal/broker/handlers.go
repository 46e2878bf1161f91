package broker

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// handler is one row of the table: an API, the versions of it that are served, and its function.
type handler struct {
	key      kmsg.Key
	min, max int16
	serve    func(*Broker, context.Context, *Request)
	// pooled has the request's buffer used again after Reply, and strings of the body lie in it instead of being copied:
	// for the data path, whose handlers keep nothing. Everybody else may keep what Body holds.
	pooled bool
	// parks says that a request may wait for other clients. A shutdown does not wait for it.
	parks bool
}

// handlers is every API that this broker has. ApiVersions answers and docs/compatibility.md come from it, so a row
// appears when its handler works and never before. The versions are those of Apache Kafka 4.3.0.
func handlers() []handler {
	return []handler{
		{key: kmsg.Produce, min: 3, max: 13, serve: (*Broker).produce, pooled: true},
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
		{key: kmsg.ApiVersions, min: 0, max: 4, serve: (*Broker).apiVersions},
		{key: kmsg.CreateTopics, min: 2, max: 7, serve: (*Broker).createTopics},
		{key: kmsg.DeleteTopics, min: 1, max: 6, serve: (*Broker).deleteTopics},
		{key: kmsg.DeleteRecords, min: 0, max: 2, serve: (*Broker).deleteRecords},
		{key: kmsg.InitProducerID, min: 0, max: 5, serve: (*Broker).initProducerID},
		{key: kmsg.OffsetForLeaderEpoch, min: 2, max: 4, serve: (*Broker).offsetForLeaderEpoch},
		{key: kmsg.DescribeConfigs, min: 1, max: 4, serve: (*Broker).describeConfigs},
		{key: kmsg.AlterConfigs, min: 0, max: 2, serve: (*Broker).alterConfigs},
		{key: kmsg.DescribeLogDirs, min: 1, max: 5, serve: (*Broker).describeLogDirs},
		{key: kmsg.CreatePartitions, min: 0, max: 3, serve: (*Broker).createPartitions},
		{key: kmsg.DeleteGroups, min: 0, max: 2, serve: (*Broker).deleteGroups},
		{key: kmsg.IncrementalAlterConfigs, min: 0, max: 1, serve: (*Broker).incrementalAlterConfigs},
		{key: kmsg.OffsetDelete, min: 0, max: 0, serve: (*Broker).offsetDelete},
		{key: kmsg.DescribeCluster, min: 0, max: 2, serve: (*Broker).describeCluster},
		{key: kmsg.DescribeProducers, min: 0, max: 0, serve: (*Broker).describeProducers},
		{key: kmsg.ListConfigResources, min: 0, max: 1, serve: (*Broker).listConfigResources},
		{key: kmsg.DescribeTopicPartitions, min: 0, max: 0, serve: (*Broker).describeTopicPartitions},
	}
}

// table finds a handler by key.
type table struct {
	rows  []handler
	byKey []*handler
}

func newTable(rows []handler) table {
	slices.SortFunc(rows, func(a, b handler) int { return int(a.key) - int(b.key) })
	t := table{rows: rows}
	for i := range t.rows {
		k := int(rows[i].key)
		for len(t.byKey) <= k {
			t.byKey = append(t.byKey, nil)
		}
		t.byKey[k] = &t.rows[i]
	}
	return t
}

func (t *table) find(key int16) *handler {
	if key < 0 || int(key) >= len(t.byKey) {
		return nil
	}
	return t.byKey[key]
}
