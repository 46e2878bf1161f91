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
	m.eachPartition(m.hard.topicsOn[b.ID], func(topic *metadata.Topic, id int32, p *metadata.Partition) {
		if p.InISR(b.ID) && slices.Contains(failed, p.Dir(b.ID)) {
			records = m.appendChange(e, records, topic, id, p, without(p.ISR, b.ID), m.otherThan(b.ID))
		}
	})
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
	if id < 0 || int(id) >= len(topic.Partitions) {
		return nil, plain(kerr.UnknownTopicOrPartition)
	}
	p := topic.Partitions[id]
	at := slices.Index(p.Replicas, b.ID)
	if at < 0 {
		return nil, plain(kerr.NotLeaderForPartition)
	}
	dirs := make([]metadata.UUID, len(p.Replicas))
	copy(dirs, p.Dirs)
	dirs[at] = dir
	c := changeOf(topicID, id, p)
	c.dirs, c.canLead, c.bumpEpoch = dirs, m.withDir(p, m.hard.isActive), m.hard.image.HasISRShrinkEpoch()
	// A directory that is offline, or lost: the replica in it is gone from the ISR too.
	if !b.IsOnlineDir(dir) && p.InISR(b.ID) {
		c.isr, c.canLead = without(p.ISR, b.ID), m.withDir(p, m.otherThan(b.ID))
		if m.isUnclean(e, topic.Name) {
			c.election = electUnclean
		}
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
