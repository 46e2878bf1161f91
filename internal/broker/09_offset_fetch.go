package broker

import (
	"context"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetFetch: versions 1-10 (KIP-447 require stable in 7, KIP-709 several groups in 8, KIP-848 member epochs in 9,
// KIP-516 topic ids in 10). The member epoch of version 9 is for groups of the newer protocol and is not looked at.
func (b *Broker) offsetFetch(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.OffsetFetchRequest)
	switch {
	case r.Version < 8:
		b.offsetFetchOne(r, req)
	case r.Version < 10:
		b.groups.OffsetFetch(r.groupCaller(), req, func(resp *kmsg.OffsetFetchResponse) { r.Reply(resp) })
	default:
		b.offsetFetchByID(r, req)
	}
}

// offsetFetchOne asks for the one group of the older versions.
func (b *Broker) offsetFetchOne(r *Request, req *kmsg.OffsetFetchRequest) {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil {
		g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
		for i, t := range req.Topics {
			g.Topics[i].Topic, g.Topics[i].Partitions = t.Topic, t.Partitions
		}
	}
	ask := kmsg.NewPtrOffsetFetchRequest()
	ask.RequireStable = req.RequireStable && r.Version >= 7
	ask.Groups = append(ask.Groups, g)
	b.groups.OffsetFetch(r.groupCaller(), ask, func(answer *kmsg.OffsetFetchResponse) {
		got := &answer.Groups[0]
		resp := kmsg.NewPtrOffsetFetchResponse()
		resp.ErrorCode = got.ErrorCode
		if got.ErrorCode != 0 && r.Version < 2 {
			// There is no field for the group's error yet: every partition gets it.
			got.Topics = failedOffsets(g.Topics, got.ErrorCode)
		}
		for i := range got.Topics {
			t := kmsg.NewOffsetFetchResponseTopic()
			t.Topic = got.Topics[i].Topic
			for _, p := range got.Topics[i].Partitions {
				t.Partitions = append(t.Partitions, kmsg.OffsetFetchResponseTopicPartition{
					Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
				})
			}
			resp.Topics = append(resp.Topics, t)
		}
		r.Reply(resp)
	})
}

// offsetFetchByID turns ids into names for the coordinator, and back.
func (b *Broker) offsetFetchByID(r *Request, req *kmsg.OffsetFetchRequest) {
	image := b.image()
	unknown := make([][]kmsg.OffsetFetchRequestGroupTopic, len(req.Groups))
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil {
			continue
		}
		known := make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(g.Topics))
		for _, t := range g.Topics {
			if found := image.TopicByID(metadata.UUID(t.TopicID)); found != nil {
				t.Topic = found.Name
				known = append(known, t)
			} else {
				unknown[i] = append(unknown[i], t)
			}
		}
		g.Topics = known
	}
	b.groups.OffsetFetch(r.groupCaller(), req, func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode != 0 {
				continue
			}
			if req.Groups[i].Topics == nil {
				g.Topics = withIDs(image, g.Topics)
			}
			g.Topics = append(g.Topics, failedOffsets(unknown[i], kerr.UnknownTopicID.Code)...)
		}
		r.Reply(resp)
	})
}

// withIDs gives topics their ids. One that does not exist any more has none and cannot be named in the reply.
func withIDs(image *metadata.Image, topics []kmsg.OffsetFetchResponseGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	out := topics[:0]
	for _, t := range topics {
		if found := image.Topic(t.Topic); found != nil {
			t.TopicID = found.ID
			out = append(out, t)
		}
	}
	return out
}

// failedOffsets answers every partition with an error.
func failedOffsets(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) []kmsg.OffsetFetchResponseGroupTopic {
	return answerAll(topics, func(t *kmsg.OffsetFetchRequestGroupTopic) kmsg.OffsetFetchResponseGroupTopic {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = answerAll(t.Partitions, func(p *int32) kmsg.OffsetFetchResponseGroupTopicPartition {
			rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = *p, -1, -1, kmsg.StringPtr(""), code
			return rp
		})
		return rt
	})
}
