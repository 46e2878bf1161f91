package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteTopics: versions 1-6 (KIP-516: by topic id from version 6). The controller answers, unless delete.topic.enable
// is false.
func (b *Broker) deleteTopics(ctx context.Context, r *Request) {
	if b.config.Load().Bool("delete.topic.enable") {
		b.forward(ctx, r)
		return
	}
	code := kerr.TopicDeletionDisabled.Code
	if r.Version < 3 {
		code = kerr.InvalidRequest.Code
	}
	req := r.Body.(*kmsg.DeleteTopicsRequest)
	resp := kmsg.NewPtrDeleteTopicsResponse()
	add := func(name *string, id [16]byte) {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID, t.ErrorCode = name, id, code
		message := "delete.topic.enable is false"
		t.ErrorMessage = &message
		resp.Topics = append(resp.Topics, t)
	}
	for i := range req.TopicNames {
		add(&req.TopicNames[i], [16]byte{})
	}
	for _, t := range req.Topics {
		add(t.Topic, t.TopicID)
	}
	r.Reply(resp)
}
