package replica

import (
	"errors"

	"gregor/internal/log"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file drives an Inline Manager without goroutines and connections: a simulation asks for the requests of its
// followers, carries them to other Managers as it likes, and brings back the answers. ISR changes leave by Options.Alter
// and are driven by Tick.

// Remotes lists the brokers that this one fetches from, or did.
func (m *Manager) Remotes() []int32 {
	var ids []int32
	for _, l := range m.followers.all() {
		ids = append(ids, l.machine.broker)
	}
	return ids
}

// NextFetch makes the next request to a broker, nil if there is none to be sent now. Requests are to be answered in the
// order in which they were made.
func (m *Manager) NextFetch(broker int32) kmsg.Request {
	l := m.followers.of(broker)
	if l == nil {
		return nil
	}
	l.changes()
	if !l.machine.wanted() {
		return nil
	}
	return l.machine.next(m.now())
}

// TakeFetched takes the answer to the oldest request to a broker that has none. After an error FetchBroken has to be
// called.
func (m *Manager) TakeFetched(broker int32, resp kmsg.Response) error {
	l := m.followers.of(broker)
	if l == nil {
		return errProtocol
	}
	l.changes()
	return l.machine.received(resp, m.now())
}

// FetchBroken says that the connection to a broker has ended: requests that have no answer will get none.
func (m *Manager) FetchBroken(broker int32) {
	if l := m.followers.of(broker); l != nil {
		l.changes()
		l.machine.broken()
	}
}

func (fs *fetchers) of(broker int32) *fetchLoop {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byKey[fetcherKey{broker, 0}]
}

// Serve answers what followers ask a leader: Fetch, outside of sessions and at once, and ListOffsets. Records are copied.
func (m *Manager) Serve(req kmsg.Request) kmsg.Response {
	switch r := req.(type) {
	case *kmsg.FetchRequest:
		return m.serveFetch(r)
	case *kmsg.ListOffsetsRequest:
		return m.serveListOffsets(r)
	}
	return nil
}

func (m *Manager) serveFetch(req *kmsg.FetchRequest) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	left := int(req.MaxBytes)
	for i := range req.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		for j := range req.Topics[i].Partitions {
			in := &req.Topics[i].Partitions[j]
			out := kmsg.NewFetchResponseTopicPartition()
			out.Partition = in.Partition
			out.DivergingEpoch = kmsg.NewFetchResponseTopicPartitionDivergingEpoch()
			err := m.servePartition(req, t.TopicID, in, &out, left)
			out.ErrorCode = servedCode(err)
			left -= len(out.RecordBatches)
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func (m *Manager) servePartition(req *kmsg.FetchRequest, topic metadata.UUID, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition, left int) error {
	p, err := m.PartitionByID(topic, in.Partition)
	if err != nil {
		return err
	}
	res, err := p.Read(ReadOptions{
		Offset: in.FetchOffset, MaxBytes: min(int(in.PartitionMaxBytes), left), AtLeastOne: left > 0,
		LeaderEpoch: in.CurrentLeaderEpoch, LastFetchedEpoch: in.LastFetchedEpoch,
		Replica: &ReplicaRead{ID: req.ReplicaState.ID, BrokerEpoch: req.ReplicaState.Epoch, LogStartOffset: in.LogStartOffset},
	})
	if err != nil {
		return err
	}
	defer res.Slice.Close()
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = res.HighWatermark, res.LastStableOffset, res.LogStartOffset
	if res.Diverging != nil {
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = res.Diverging.Epoch, res.Diverging.EndOffset
	}
	if res.Slice.Len() > 0 {
		out.RecordBatches, err = res.Slice.Bytes()
	}
	return err
}

func (m *Manager) serveListOffsets(req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for i := range req.Topics {
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, in := range req.Topics[i].Partitions {
			out := kmsg.NewListOffsetsResponseTopicPartition()
			out.Partition = in.Partition
			p, err := m.Partition(t.Topic, in.Partition)
			if err == nil {
				var found OffsetInfo
				found, err = p.ListOffset(in.Timestamp, ReadAll, in.CurrentLeaderEpoch)
				out.Offset, out.Timestamp, out.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
			}
			out.ErrorCode = servedCode(err)
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// servedCode maps the errors of the calls above, as package broker does for real requests.
func servedCode(err error) int16 {
	if err == nil {
		return 0
	}
	for _, e := range []struct {
		err  error
		code *kerr.Error
	}{
		{ErrUnknownPartition, kerr.UnknownTopicOrPartition},
		{ErrUnknownTopicID, kerr.UnknownTopicID},
		{ErrNotLeader, kerr.NotLeaderForPartition},
		{ErrFencedEpoch, kerr.FencedLeaderEpoch},
		{ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
		{ErrStorage, kerr.KafkaStorageError},
		{ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
		{log.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
		{log.ErrDirOffline, kerr.KafkaStorageError},
		{log.ErrDamaged, kerr.KafkaStorageError},
	} {
		if errors.Is(err, e.err) {
			return e.code.Code
		}
	}
	return kerr.UnknownServerError.Code
}
