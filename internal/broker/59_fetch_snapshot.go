package broker

import (
	"context"

	"gregor/internal/journal"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxSnapshotChunk bounds the bytes of a snapshot in one answer.
const maxSnapshotChunk = 1 << 20

// FetchSnapshot: versions 0-1, on the controllers' listeners (KIP-630): who is behind the begin of the metadata log reads
// a snapshot in chunks.
func (b *Broker) fetchSnapshot(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.FetchSnapshotRequest)
	resp := kmsg.NewPtrFetchSnapshotResponse()
	switch {
	case req.ClusterID != nil && *req.ClusterID != b.clusterID:
		resp.ErrorCode = kerr.InconsistentClusterID.Code
	case len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1:
		resp.ErrorCode = kerr.InvalidRequest.Code
	default:
		t := kmsg.NewFetchSnapshotResponseTopic()
		t.Topic = req.Topics[0].Topic
		t.Partitions = append(t.Partitions, b.readSnapshot(req, resp))
		resp.Topics = append(resp.Topics, t)
	}
	r.Reply(resp)
}

func (b *Broker) readSnapshot(req *kmsg.FetchSnapshotRequest, resp *kmsg.FetchSnapshotResponse) kmsg.FetchSnapshotResponseTopicPartition {
	asked := &req.Topics[0].Partitions[0]
	p := kmsg.NewFetchSnapshotResponseTopicPartition()
	p.Partition, p.Bytes = asked.Partition, []byte{}
	p.SnapshotID.EndOffset, p.SnapshotID.Epoch = asked.SnapshotID.EndOffset, asked.SnapshotID.Epoch
	if asked.Partition != 0 || req.Topics[0].Topic != metadataLog {
		p.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return p
	}
	s := b.quorum.Status()
	if p.ErrorCode = b.checkMetadataLeader(s, asked.CurrentLeaderEpoch); p.ErrorCode != 0 {
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = s.Leader, s.Epoch
		for _, v := range b.quorum.Voters() {
			if v.ID == s.Leader && len(v.Endpoints) > 0 {
				n := kmsg.NewFetchSnapshotResponseNodeEndpoint()
				n.NodeID, n.Host, n.Port = v.ID, v.Endpoints[0].Host, v.Endpoints[0].Port
				resp.NodeEndpoints = append(resp.NodeEndpoints, n)
			}
		}
		return p
	}
	if asked.Position < 0 {
		p.ErrorCode = kerr.PositionOutOfRange.Code
		return p
	}
	id := journal.SnapshotID{End: asked.SnapshotID.EndOffset, Epoch: asked.SnapshotID.Epoch}
	data, size, err := b.quorum.ReadSnapshot(id, asked.Position, int(min(max(req.MaxBytes, 1), maxSnapshotChunk)))
	if err != nil {
		if p.ErrorCode = metadataReadError(err); p.ErrorCode == kerr.UnknownServerError.Code {
			b.log.Error("snapshot of the metadata cannot be read", "end_offset", id.End, "epoch", id.Epoch, "error", err.Error())
		}
		return p
	}
	p.Position, p.Size, p.Bytes = asked.Position, size, data
	return p
}
