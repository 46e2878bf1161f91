package controller

import (
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dirsOffline takes the replicas in log directories that failed out of their ISRs (KIP-858).
func (m *machine) dirsOffline(e env, b *metadata.Broker, offline [][16]byte) []metadata.Record {
	if len(offline) == 0 || !m.hard.image.HasDirectories() {
		return nil
	}
	var failed, left []metadata.UUID
	for _, dir := range b.Dirs {
		if slices.Contains(offline, [16]byte(dir)) {
			failed = append(failed, dir)
		} else {
			left = append(left, dir)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	var records []metadata.Record
	for at := range m.partitions(e, m.hard.replicasOn[b.ID]) {
		if at.p.InISR(b.ID) && slices.Contains(failed, at.p.Dir(b.ID)) {
			records = m.withoutReplica(e, at, b.ID).appendTo(records)
		}
	}
	return append(records, &metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, LogDirs: left})
}

// withDir narrows those who can lead a partition to the brokers whose log directory with its replica works.
func (m *machine) withDir(p *metadata.Partition, canLead func(broker int32) bool) func(broker int32) bool {
	return func(id int32) bool {
		return canLead(id) && m.hard.image.Broker(id).IsOnlineDir(p.Dir(id))
	}
}

// cordon notes which log directories take no new replicas (KIP-1066).
func (m *machine) cordon(b *metadata.Broker, cordoned [][16]byte) []metadata.Record {
	if cordoned == nil {
		return nil
	}
	dirs := make([]metadata.UUID, len(cordoned))
	for i, dir := range cordoned {
		dirs[i] = dir
	}
	slices.SortFunc(dirs, func(a, b metadata.UUID) int { return slices.Compare(a[:], b[:]) })
	if slices.Equal(dirs, b.CordonedDirs) {
		return nil
	}
	return []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, CordonedLogDirs: dirs}}
}

// assignReplicasToDirs decides AssignReplicasToDirs: a broker tells where it put its replicas (KIP-858).
func (m *machine) assignReplicasToDirs(e env, req *kmsg.AssignReplicasToDirsRequest) decision {
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	b, err := m.checkEpoch(req.BrokerID, req.BrokerEpoch)
	if err != nil {
		resp.ErrorCode = err.number()
		return decision{reply: resp}
	}
	var records []metadata.Record
	for _, dir := range req.Directories {
		d := kmsg.NewAssignReplicasToDirsResponseDirectory()
		d.ID = dir.ID
		for _, t := range dir.Topics {
			topic := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
			topic.TopicID = t.TopicID
			for _, p := range t.Partitions {
				result := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
				result.Partition = p.Partition
				r, err := m.assignDir(e, b, dir.ID, t.TopicID, p.Partition)
				result.ErrorCode = err.number()
				if r != nil {
					records = append(records, r)
				}
				topic.Partitions = append(topic.Partitions, result)
			}
			d.Topics = append(d.Topics, topic)
		}
		resp.Directories = append(resp.Directories, d)
	}
	return decision{records: records, apart: true, reply: resp}
}

func (m *machine) assignDir(e env, b *metadata.Broker, dir, topicID metadata.UUID, id int32) (metadata.Record, *apiError) {
	topic := m.hard.image.TopicByID(topicID)
	if topic == nil {
		return nil, plain(kerr.UnknownTopicID)
	}
	at, ok := m.at(e, topic, id)
	if !ok {
		return nil, plain(kerr.UnknownTopicOrPartition)
	}
	if !at.p.IsReplica(b.ID) {
		return nil, plain(kerr.NotLeaderForPartition)
	}
	c := m.changeOf(e, at)
	// A directory that is offline, or lost: the replica in it is gone from the ISR too.
	if !b.IsOnlineDir(dir) && at.p.InISR(b.ID) {
		c = m.withoutReplica(e, at, b.ID)
	}
	c.dir = func(id int32) metadata.UUID {
		if id == b.ID {
			return dir
		}
		return at.p.Dir(id)
	}
	if r := c.record(); r != nil {
		return r, nil
	}
	return nil, nil
}

// defaultDir is the log directory of a new replica as far as the controller can tell: a broker with one directory has
// no choice, one with several tells it later (KIP-858).
func (m *machine) defaultDir(id int32) metadata.UUID {
	b := m.hard.image.Broker(id)
	if b == nil {
		return metadata.DirUnassigned
	}
	if len(b.Dirs) == 0 {
		return metadata.DirMigrating
	}
	if open := openDirs(b); len(open) == 1 {
		return open[0]
	}
	return metadata.DirUnassigned
}

// openDirs are the log directories that take new replicas (KIP-1066).
func openDirs(b *metadata.Broker) []metadata.UUID {
	if len(b.CordonedDirs) == 0 {
		return b.Dirs
	}
	var open []metadata.UUID
	for _, dir := range b.Dirs {
		if !slices.Contains(b.CordonedDirs, dir) {
			open = append(open, dir)
		}
	}
	return open
}
