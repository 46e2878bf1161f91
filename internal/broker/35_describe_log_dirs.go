package broker

import (
	"context"
	"slices"
	"strings"

	"gregor/internal/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeLogDirs: versions 1-5 (KIP-113, KIP-113 future logs, KIP-784 error code, KIP-827 volume sizes, KIP-1066 cordoned directories).
func (b *Broker) describeLogDirs(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeLogDirsRequest)
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	asked := map[partitionKey]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked[partitionKey{topic: t.Topic, partition: p}] = true
		}
	}
	logs := map[[16]byte]map[string][]kmsg.DescribeLogDirsResponseDirTopicPartition{}
	add := func(l *log.Log, lag int64, future bool) {
		if req.Topics != nil && !asked[partitionKey{topic: l.Topic(), partition: l.Partition()}] {
			return
		}
		dir := b.dirs.DirOf(l)
		if logs[dir] == nil {
			logs[dir] = map[string][]kmsg.DescribeLogDirsResponseDirTopicPartition{}
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = l.Partition(), l.Size(), max(lag, 0), future
		logs[dir][l.Topic()] = append(logs[dir][l.Topic()], p)
	}
	for l := range b.dirs.All() {
		add(l, l.HighWatermark()-l.EndOffset(), false)
	}
	for _, f := range b.dirs.Futures() { // on their way to another directory, behind the log that they are copied from
		if l := b.dirs.Get(f.Topic(), f.Partition()); l != nil {
			add(f, l.EndOffset()-f.EndOffset(), true)
		}
	}
	for _, d := range b.dirs.Dirs() {
		resp.Dirs = append(resp.Dirs, describeDir(d, logs[d.ID]))
	}
	r.Reply(resp)
}

func describeDir(d log.Dir, topics map[string][]kmsg.DescribeLogDirsResponseDirTopicPartition) kmsg.DescribeLogDirsResponseDir {
	m := kmsg.NewDescribeLogDirsResponseDir()
	m.Dir, m.TotalBytes, m.UsableBytes = d.Path, d.Total, d.Free
	if d.Err != nil {
		m.ErrorCode = kerr.KafkaStorageError.Code
		return m
	}
	for name, partitions := range topics {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		slices.SortFunc(partitions, func(a, b kmsg.DescribeLogDirsResponseDirTopicPartition) int {
			return int(a.Partition) - int(b.Partition)
		})
		t.Topic, t.Partitions = name, partitions
		m.Topics = append(m.Topics, t)
	}
	slices.SortFunc(m.Topics, func(a, b kmsg.DescribeLogDirsResponseDirTopic) int { return strings.Compare(a.Topic, b.Topic) })
	return m
}
