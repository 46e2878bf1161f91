package broker

import (
	"context"
	"errors"
	"time"

	"gregor/internal/journal"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataLog is the one topic of the controllers' listeners.
const metadataLog = "__cluster_metadata"

// metadataLogID is the topic id of every metadata log.
var metadataLogID = [16]byte{15: 1}

// maxMetadataFetch bounds the bytes of one answer, beyond its first batch.
const maxMetadataFetch = 8 << 20

// Fetch on the controllers' listeners: versions 4-18 (KIP-595, KIP-630 snapshots, KIP-853 directory ids): observers read
// the committed part of the metadata log from the active controller. Voters get the log from Raft.
func (b *Broker) fetchMetadata(ctx context.Context, r *Request) {
	req := r.park().(*kmsg.FetchRequest)
	if code := b.checkMetadataFetch(req); code != 0 {
		resp := kmsg.NewPtrFetchResponse()
		resp.ErrorCode = code
		r.Reply(resp)
		return
	}
	resp, wait := b.readMetadata(req)
	if !wait || req.MaxWaitMillis <= 0 {
		r.Reply(resp)
		return
	}
	above := req.Topics[0].Partitions[0].FetchOffset
	started := b.server.start(func() {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(req.MaxWaitMillis)*time.Millisecond)
		defer cancel()
		if b.quorum.WaitCommitted(ctx, above) == nil {
			resp, _ = b.readMetadata(req)
		}
		r.Reply(resp)
	})
	if !started {
		r.Reply(resp)
	}
}

func (b *Broker) checkMetadataFetch(req *kmsg.FetchRequest) int16 {
	switch {
	case req.ClusterID != nil && *req.ClusterID != b.clusterID:
		return kerr.InconsistentClusterID.Code
	case len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1:
		return kerr.InvalidRequest.Code
	}
	return 0
}

// readMetadata answers a fetch with what is there now. wait says that the reader has everything.
func (b *Broker) readMetadata(req *kmsg.FetchRequest) (resp *kmsg.FetchResponse, wait bool) {
	topic := &req.Topics[0]
	asked := &topic.Partitions[0]
	resp = kmsg.NewPtrFetchResponse()
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = asked.Partition, -1, -1, -1
	p.RecordBatches = []byte{} // Kafka's reader does not take null
	defer func() {
		answer := kmsg.NewFetchResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		answer.Partitions = append(answer.Partitions, p)
		resp.Topics = append(resp.Topics, answer)
	}()
	if asked.Partition != 0 || req.Version < 13 && topic.Topic != metadataLog || req.Version >= 13 && topic.TopicID != metadataLogID {
		p.ErrorCode = kerr.UnknownTopicOrPartition.Code
		if req.Version >= 13 && topic.TopicID != metadataLogID {
			p.ErrorCode = kerr.UnknownTopicID.Code
		}
		return resp, false
	}
	s := b.quorum.Status()
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = s.Leader, s.Epoch
	if p.ErrorCode = b.checkMetadataLeader(s, asked.CurrentLeaderEpoch); p.ErrorCode != 0 {
		for _, v := range b.quorum.Voters() {
			if v.ID == s.Leader && len(v.Endpoints) > 0 {
				n := kmsg.NewFetchResponseBroker()
				n.NodeID, n.Host, n.Port = v.ID, v.Endpoints[0].Host, int32(v.Endpoints[0].Port)
				resp.Brokers = append(resp.Brokers, n)
			}
		}
		return resp, false
	}
	from := journal.FetchPosition{Offset: asked.FetchOffset, LastEpoch: asked.LastFetchedEpoch}
	read, err := b.quorum.ReadLog(from, int(min(max(asked.PartitionMaxBytes, 1), max(req.MaxBytes, 1), maxMetadataFetch)))
	if err != nil {
		if p.ErrorCode = metadataReadError(err); p.ErrorCode == kerr.UnknownServerError.Code {
			b.log.Error("metadata log cannot be read for an observer", "offset", from.Offset, "error", err.Error())
		}
		return resp, false
	}
	replica := req.ReplicaID
	if req.Version >= 15 {
		replica = req.ReplicaState.ID
	}
	if replica >= 0 && read.Diverging == nil {
		b.quorum.ObserverFetched(replica, asked.ReplicaDirectoryID, asked.FetchOffset, b.now().UnixMilli())
	}
	p.HighWatermark, p.LogStartOffset = read.HighWatermark, read.StartOffset
	switch {
	case read.Diverging != nil:
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = read.Diverging.Epoch, read.Diverging.Offset
	case read.Snapshot != nil:
		p.SnapshotID.Epoch, p.SnapshotID.EndOffset = read.Snapshot.Epoch, read.Snapshot.End
	default:
		if read.Records != nil {
			p.RecordBatches = read.Records
		}
		return resp, len(read.Records) == 0
	}
	return resp, false
}

// checkMetadataLeader refuses a reader that is at the wrong node, or knows another epoch (KIP-595).
func (b *Broker) checkMetadataLeader(s journal.Status, epoch int32) int16 {
	switch {
	case epoch >= 0 && epoch < s.Epoch:
		return kerr.FencedLeaderEpoch.Code
	case epoch > s.Epoch:
		return kerr.UnknownLeaderEpoch.Code
	case s.Leader != b.nodeID:
		return kerr.NotLeaderForPartition.Code
	}
	return 0
}

func metadataReadError(err error) int16 {
	switch {
	case errors.Is(err, journal.ErrOffsetOutOfRange):
		return kerr.OffsetOutOfRange.Code
	case errors.Is(err, journal.ErrSnapshotNotFound):
		return kerr.SnapshotNotFound.Code
	case errors.Is(err, journal.ErrPositionOutOfRange):
		return kerr.PositionOutOfRange.Code
	case errors.Is(err, journal.ErrClosed), errors.Is(err, journal.ErrNotLeader):
		return kerr.NotLeaderForPartition.Code
	}
	return kerr.UnknownServerError.Code
}
