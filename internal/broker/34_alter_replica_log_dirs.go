package broker

import (
	"context"
	"errors"
	"path/filepath"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs: versions 1-2 (KIP-113): moves this broker's replicas to other log directories. The answer says that
// the move has begun; DescribeLogDirs shows how far it is. A replica that is not here yet is answered with
// REPLICA_NOT_AVAILABLE, and made in that directory when it comes.
func (b *Broker) alterReplicaLogDirs(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	at := map[string]int{}
	for _, d := range req.Dirs {
		dir, err := b.logDir(d.Dir)
		for _, t := range d.Topics {
			i, ok := at[t.Topic]
			if !ok {
				i = len(resp.Topics)
				at[t.Topic] = i
				topic := kmsg.NewAlterReplicaLogDirsResponseTopic()
				topic.Topic = t.Topic
				resp.Topics = append(resp.Topics, topic)
			}
			for _, index := range t.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition = index
				if err != nil {
					p.ErrorCode = err.Code
				} else {
					p.ErrorCode = b.moveReplica(t.Topic, index, dir)
				}
				resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
			}
		}
	}
	r.Reply(resp)
}

// logDir finds a log directory by its path.
func (b *Broker) logDir(path string) (log.Dir, *kerr.Error) {
	for _, d := range b.dirs.Dirs() {
		if samePath(d.Path, path) {
			if d.Err != nil {
				return d, kerr.KafkaStorageError
			}
			return d, nil
		}
	}
	return log.Dir{}, kerr.LogDirNotFound
}

func samePath(a, b string) bool {
	x, xerr := filepath.Abs(a)
	y, yerr := filepath.Abs(b)
	return xerr == nil && yerr == nil && filepath.IsAbs(b) && x == y
}

func (b *Broker) moveReplica(topic string, partition int32, dir log.Dir) int16 {
	if topic == "__cluster_metadata" {
		return kerr.InvalidTopicException.Code
	}
	if partition < 0 {
		return kerr.UnknownTopicOrPartition.Code
	}
	err := b.replicas.MoveReplica(cloneString(topic), partition, metadata.UUID(dir.ID))
	switch {
	case err == nil:
		return 0
	case errors.Is(err, replica.ErrReplicaNotHere):
		return kerr.ReplicaNotAvailable.Code
	}
	code := errorCode(err)
	if code == kerr.UnknownServerError.Code {
		b.log.Error("request failed", "request", "AlterReplicaLogDirs", "topic", topic, "partition", partition, "error", err.Error())
	}
	return code
}
