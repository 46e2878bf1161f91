package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteRecords: versions 0-2 (KIP-107). Offset -1 is the high watermark. The answer waits until every replica has moved
// its log start, at most for the request's timeout.
func (b *Broker) deleteRecords(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DeleteRecordsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	d := &deleting{r: r, resp: resp, deadline: time.Now().Add(time.Duration(max(req.TimeoutMillis, 0)) * time.Millisecond)}
	d.open.Store(1)
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, out := &req.Topics[i], &resp.Topics[i]
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			b.deletePartitionRecords(d, t.Topic, &t.Partitions[j], &out.Partitions[j])
		}
	}
	d.done()
}

// deleting is one DeleteRecords request on its way.
type deleting struct {
	r        *Request
	resp     *kmsg.DeleteRecordsResponse
	deadline time.Time
	open     atomic.Int32 // partitions whose replicas have not all followed, and one while the request is being read
}

func (d *deleting) done() {
	if d.open.Add(-1) == 0 {
		d.r.Reply(d.resp)
	}
}

func (b *Broker) deletePartitionRecords(d *deleting, topic string, in *kmsg.DeleteRecordsRequestTopicPartition, out *kmsg.DeleteRecordsResponseTopicPartition) {
	out.Default()
	out.Partition, out.LowWatermark = in.Partition, -1
	part, err := b.replicas.Partition(topic, in.Partition)
	switch {
	case err != nil:
	case isInternal(topic):
		err = kerr.InvalidTopicException
	default:
		d.open.Add(1)
		part.DeleteRecords(in.Offset, time.Until(d.deadline), func(low int64, err error) {
			out.LowWatermark, out.ErrorCode = low, b.errorCode("DeleteRecords", err)
			d.done()
		})
		return
	}
	out.ErrorCode = b.errorCode("DeleteRecords", err)
}
