package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// IncrementalAlterConfigs: versions 0-1 (KIP-339, KIP-412 loggers, KIP-714 client metrics, KIP-848 groups).
//
// What only this broker can judge is checked here: its loggers, whose levels are not kept, and its own keys. The
// controller checks and stores the rest.
func (b *Broker) incrementalAlterConfigs(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.IncrementalAlterConfigsRequest)
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
		switch {
		case times[answers[i].configResource] > 1:
			answers[i].fail(errResourceTwice)
		case res.ResourceType == kmsg.ConfigResourceTypeBrokerLogger:
			err := checkIncremental(res)
			if err == nil {
				err = b.alterLoggers(res, req.ValidateOnly)
			}
			answers[i].fail(err)
			answers[i].done = true
		default:
			err := checkIncremental(res)
			if err == nil && res.ResourceType == kmsg.ConfigResourceTypeBroker {
				err = b.checkBrokerAlteration(res)
			}
			if answers[i].fail(err); err == nil {
				forward.Resources = append(forward.Resources, *res)
			}
		}
	}
	reply := func(resp *kmsg.IncrementalAlterConfigsResponse) {
		said := make(map[configResource]*kmsg.IncrementalAlterConfigsResponseResource, len(resp.Resources))
		for i := range resp.Resources {
			said[configResource{resp.Resources[i].ResourceType, resp.Resources[i].ResourceName}] = &resp.Resources[i]
		}
		for i := range answers {
			a := &answers[i]
			if res := said[a.configResource]; !a.done && res != nil {
				a.code, a.message = res.ErrorCode, res.ErrorMessage
			} else if !a.done {
				a.code, a.message = kerr.UnknownServerError.Code, nil
			}
		}
		out := kmsg.NewPtrIncrementalAlterConfigsResponse()
		out.ThrottleMillis = resp.ThrottleMillis
		for _, a := range answers {
			m := kmsg.NewIncrementalAlterConfigsResponseResource()
			m.ResourceType, m.ResourceName, m.ErrorCode, m.ErrorMessage = a.kind, a.name, a.code, a.message
			out.Resources = append(out.Resources, m)
		}
		r.Reply(out)
	}
	if len(forward.Resources) == 0 {
		reply(kmsg.NewPtrIncrementalAlterConfigsResponse())
		return
	}
	b.controller.Do(context.WithoutCancel(ctx), r.caller(), &forward, func(resp kmsg.Response) {
		reply(resp.(*kmsg.IncrementalAlterConfigsResponse))
	})
}

// configResource names what is configured. A request may name a million, so they are looked up and not searched for.
type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

var errResourceTwice = invalidRequest("Each resource must appear at most once.")

// alterAnswer is the answer for one resource; done when this broker has settled it by itself.
type alterAnswer struct {
	configResource
	code    int16
	message *string
	done    bool
}

func (a *alterAnswer) fail(err error) {
	if err == nil {
		return
	}
	a.done = true
	a.code, a.message = codeOf(err), ptr(messageOf(err))
}

// checkIncremental checks the form of one resource's changes.
func checkIncremental(res *kmsg.IncrementalAlterConfigsRequestResource) error {
	var null []string
	seen := map[string]bool{}
	for _, c := range res.Configs {
		if seen[c.Name] {
			return invalidRequest("Error due to duplicate config keys")
		}
		seen[c.Name] = true
		if c.Value == nil && config.Op(c.Op) != config.OpDelete {
			null = append(null, c.Name)
		}
	}
	if len(null) > 0 {
		return invalidRequest("Null value not supported for : %s", strings.Join(null, ", "))
	}
	return knownResource(res.ResourceType)
}

func knownResource(kind kmsg.ConfigResourceType) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
		kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return nil
	}
	return invalidRequest("Unknown resource type %d", kind)
}

// checkBrokerAlteration checks what a broker, or with an empty name all of them, would run with after the change.
func (b *Broker) checkBrokerAlteration(res *kmsg.IncrementalAlterConfigsRequestResource) error {
	props := map[string]string{}
	maps.Copy(props, b.image().Config(metadata.BrokerConfig, res.ResourceName))
	for _, c := range res.Configs {
		value := ""
		if c.Value != nil {
			value = *c.Value
		}
		if err := config.Apply(config.ScopeBroker, props, config.Op(c.Op), c.Name, value); err != nil {
			return brokerProblem(err)
		}
	}
	return b.checkBrokerProps(res.ResourceName, props)
}

func (b *Broker) checkBrokerProps(name string, props map[string]string) error {
	if name != "" && b.quorum == nil { // a controller takes them for every broker
		if err := b.isThisBroker(name, "Node", "Unexpected broker id, expected %d, but received %s"); err != nil {
			return err
		}
	}
	if err := config.ValidateBrokerUpdate(b.config.Load(), props, name != ""); err != nil {
		return brokerProblem(err)
	}
	return nil
}

// brokerProblem is INVALID_REQUEST, as Kafka answers what is wrong with a broker's configuration (KAFKA-13609).
func brokerProblem(err error) error {
	text := err.Error()
	for _, e := range []error{config.ErrNotDynamic, config.ErrUnknownKey} {
		text = strings.TrimPrefix(text, e.Error()+": ")
	}
	return &requestError{kerr.InvalidRequest, text}
}

func invalidConfig(format string, args ...any) error {
	return &requestError{kerr.InvalidConfig, fmt.Sprintf(format, args...)}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
