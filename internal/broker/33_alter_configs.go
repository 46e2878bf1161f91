package broker

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterConfigs: versions 0-2 (KIP-133). It replaces all of a resource's configurations; KIP-339 came after it.
func (b *Broker) alterConfigs(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.AlterConfigsRequest)
	answers := make([]alterAnswer, len(req.Resources))
	forward := *req
	forward.Resources = nil
	for i := range req.Resources {
		res := &req.Resources[i]
		answers[i] = alterAnswer{kind: res.ResourceType, name: res.ResourceName}
		if err := b.checkAlter(req, res); err != nil {
			answers[i].fail(err)
			continue
		}
		forward.Resources = append(forward.Resources, *res)
	}
	reply := func(resp *kmsg.AlterConfigsResponse) {
		out := kmsg.NewPtrAlterConfigsResponse()
		out.ThrottleMillis = resp.ThrottleMillis
		for i := range answers {
			a := &answers[i]
			if !a.done {
				a.code = kerr.UnknownServerError.Code
				for _, res := range resp.Resources {
					if res.ResourceType == a.kind && res.ResourceName == a.name {
						a.code, a.message = res.ErrorCode, res.ErrorMessage
					}
				}
			}
			m := kmsg.NewAlterConfigsResponseResource()
			m.ResourceType, m.ResourceName, m.ErrorCode, m.ErrorMessage = a.kind, a.name, a.code, a.message
			out.Resources = append(out.Resources, m)
		}
		r.Reply(out)
	}
	if len(forward.Resources) == 0 {
		reply(kmsg.NewPtrAlterConfigsResponse())
		return
	}
	b.controller.Do(context.WithoutCancel(ctx), r.caller(), &forward, func(resp kmsg.Response) {
		reply(resp.(*kmsg.AlterConfigsResponse))
	})
}

func (b *Broker) checkAlter(req *kmsg.AlterConfigsRequest, res *kmsg.AlterConfigsRequestResource) error {
	n := 0
	for i := range req.Resources {
		if req.Resources[i].ResourceType == res.ResourceType && req.Resources[i].ResourceName == res.ResourceName {
			n++
		}
	}
	if n > 1 {
		return invalidRequest("Each resource must appear at most once.")
	}
	props := map[string]string{}
	var null []string
	for _, c := range res.Configs {
		if _, twice := props[c.Name]; twice || slices.Contains(null, c.Name) {
			return invalidRequest("Error due to duplicate config keys")
		}
		if c.Value == nil {
			null = append(null, c.Name)
			continue
		}
		props[c.Name] = *c.Value
	}
	if len(null) > 0 {
		return invalidRequest("Null value not supported for : %s", strings.Join(null, ", "))
	}
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeBroker:
		return b.checkBrokerProps(res.ResourceName, props)
	case kmsg.ConfigResourceTypeBrokerLogger:
		return invalidRequest("Unknown resource type %d", res.ResourceType) // only the incremental request knows loggers
	}
	return knownResource(res.ResourceType)
}
