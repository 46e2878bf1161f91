package broker

import (
	"context"
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
	times := map[configResource]int{}
	for i := range req.Resources {
		times[configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}
	for i := range req.Resources {
		res := &req.Resources[i]
		answers[i] = alterAnswer{configResource: configResource{res.ResourceType, res.ResourceName}}
		err := errResourceTwice
		if times[answers[i].configResource] == 1 {
			err = b.checkAlter(res)
		}
		if err != nil {
			answers[i].fail(err)
			continue
		}
		forward.Resources = append(forward.Resources, *res)
	}
	reply := func(resp *kmsg.AlterConfigsResponse) {
		out := kmsg.NewPtrAlterConfigsResponse()
		out.ThrottleMillis = resp.ThrottleMillis
		said := make(map[configResource]*kmsg.AlterConfigsResponseResource, len(resp.Resources))
		for i := range resp.Resources {
			said[configResource{resp.Resources[i].ResourceType, resp.Resources[i].ResourceName}] = &resp.Resources[i]
		}
		for i := range answers {
			a := &answers[i]
			if res := said[a.configResource]; !a.done && res != nil {
				a.code, a.message = res.ErrorCode, res.ErrorMessage
			} else if !a.done {
				a.code = kerr.UnknownServerError.Code
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

func (b *Broker) checkAlter(res *kmsg.AlterConfigsRequestResource) error {
	props := map[string]string{}
	var null []string
	seen := map[string]bool{}
	for _, c := range res.Configs {
		if seen[c.Name] {
			return invalidRequest("Error due to duplicate config keys")
		}
		seen[c.Name] = true
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
