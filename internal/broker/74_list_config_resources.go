package broker

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListConfigResources: versions 0-1 (KIP-1142; version 0 is ListClientMetricsResources of KIP-714).
func (b *Broker) listConfigResources(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	kinds := req.ResourceTypes
	supported := []int8{int8(metadata.TopicConfig), int8(metadata.BrokerConfig), int8(metadata.BrokerLoggerConfig), int8(metadata.ClientMetricsConfig), int8(metadata.GroupConfig)}
	if r.Version == 0 {
		kinds = []int8{int8(metadata.ClientMetricsConfig)}
	} else if len(kinds) == 0 {
		kinds = supported
	}
	for _, k := range kinds {
		if !slices.Contains(supported, k) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			r.Reply(resp)
			return
		}
	}
	image := b.image()
	add := func(kind int8, name string) {
		c := kmsg.NewListConfigResourcesResponseConfigResource()
		c.Name, c.Type = name, kind
		resp.ConfigResources = append(resp.ConfigResources, c)
	}
	// What exists anyway is listed whether or not something is set on it, the others when something is.
	set := map[metadata.ConfigKind][]string{}
	for res := range maps.Collect(image.Configs()) {
		set[res.Kind] = append(set[res.Kind], res.Name)
	}
	for _, k := range kinds {
		switch metadata.ConfigKind(k) {
		case metadata.TopicConfig:
			for t := range image.Topics() {
				add(k, t.Name)
			}
		case metadata.BrokerConfig, metadata.BrokerLoggerConfig:
			for broker := range image.Brokers() {
				add(k, strconv.Itoa(int(broker.ID)))
			}
		default:
			for _, name := range slices.Sorted(slices.Values(set[metadata.ConfigKind(k)])) {
				add(k, name)
			}
		}
	}
	r.Reply(resp)
}

func itoa(n int) string { return strconv.Itoa(n) }
