package group

import (
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// groupNotFoundFrom is the version of OffsetCommit from which a group that does not exist is called that (KIP-848).
const groupNotFoundFrom = 9

// commitOffsets stores offsets. It is the hot path of this package: nothing here looks at more than what is committed.
func (m *Machine) commitOffsets(t coordinator.Token, c Caller, req *kmsg.OffsetCommitRequest) {
	if err := m.mayCommit(c, req); err != nil {
		m.out.ReplyNow(t, refuseCommit(req, err))
		return
	}
	config := m.config()
	expiresMs := int64(-1)
	if req.RetentionTimeMillis >= 0 {
		expiresMs = m.now + req.RetentionTimeMillis
	}
	r := kmsg.NewPtrOffsetCommitResponse()
	r.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	size := 0
	for i := range req.Topics {
		topic := &req.Topics[i]
		rt := &r.Topics[i]
		rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(topic.Partitions))
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			rt.Partitions[j].Partition = p.Partition
			o := offset{at: p.Offset, leaderEpoch: p.LeaderEpoch, committedMs: m.now, expiresMs: expiresMs, topicID: topic.TopicID}
			record, bytes, ok := offsetToStore(req.Group, topic.Topic, p.Partition, &o, p.Metadata, config.OffsetMetadataMaxBytes)
			if !ok {
				rt.Partitions[j].ErrorCode = kerr.OffsetMetadataTooLarge.Code
				continue
			}
			size += bytes
			m.out.Append(record)
		}
	}
	if size > m.maxRecordBytes() {
		m.out.Records = m.out.Records[:0]
		m.out.ReplyNow(t, refuseCommit(req, kerr.InvalidCommitOffsetSize))
		return
	}
	m.out.Reply(t, r)
}

// offsetToStore makes the record of an offset with its metadata, and tells what it takes in a batch; false if the metadata is too
// long.
func offsetToStore(group, topic string, partition int32, o *offset, metadata *string, limit int) (r coordinator.Record, bytes int, ok bool) {
	if metadata != nil {
		o.metadata = *metadata
	}
	if longerThan(o.metadata, limit) {
		return r, 0, false
	}
	r = offsetRecord(group, topic, partition, o)
	return r, len(r.Key) + len(r.Value) + 32, true
}

// longerThan compares as Kafka does, which counts UTF-16 code units, not bytes.
func longerThan(s string, limit int) bool {
	if len(s) <= limit {
		return false
	}
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n > limit
}

// mayCommit tells whether the sender may commit offsets of the group, and counts the commit as a sign of life.
func (m *Machine) mayCommit(c Caller, req *kmsg.OffsetCommitRequest) *kerr.Error {
	_, foreign := m.occupied(req.Group)
	g := m.groups[req.Group]
	switch {
	case foreign:
		return kerr.UnknownMemberID
	case req.Generation < 0 && (g == nil || g.live.state == Empty):
		return nil // a consumer that assigns partitions itself, or an administrator
	case g == nil && c.Version >= groupNotFoundFrom:
		return kerr.GroupIDNotFound
	case g == nil:
		return kerr.IllegalGeneration
	}
	l := g.live
	mb, err := l.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return err
	case req.Generation != l.generation:
		return kerr.IllegalGeneration
	case l.state == CompletingRebalance:
		return kerr.RebalanceInProgress
	}
	m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
	return nil
}

// refuseCommit answers an OffsetCommit with one error for all partitions.
func refuseCommit(req *kmsg.OffsetCommitRequest, err *kerr.Error) *kmsg.OffsetCommitResponse {
	r := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		for j := range req.Topics[i].Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = req.Topics[i].Partitions[j].Partition, err.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
