package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describedEntity is one entity's settings, and its form with --output json.
type describedEntity struct {
	Type    string            `json:"entityType"`
	Name    string            `json:"entityName"` // "" is the default
	Configs []describedConfig `json:"configs"`
}

type describedConfig struct {
	Name      string          `json:"name"`
	Value     *string         `json:"value"`
	Source    string          `json:"source"`
	Sensitive bool            `json:"sensitive"`
	ReadOnly  bool            `json:"readOnly"`
	Synonyms  []configSynonym `json:"synonyms"`
}

type configSynonym struct {
	Source string  `json:"source"`
	Name   string  `json:"name"`
	Value  *string `json:"value"`
}

func (f *configsFlags) runDescribe(ctx context.Context, c *configsClient, entities []configEntity) error {
	if isQuotaKind(entities[0].kind) {
		return c.describeQuotas(ctx, entities, f.JSON())
	}
	e := entities[0]
	names := []string{e.name}
	if !e.hasName {
		var err error
		if names, err = c.entityNames(ctx, e.kind); err != nil {
			return err
		}
	} else if e.name != "" {
		known, err := c.exists(ctx, e)
		if err != nil {
			return err
		}
		if !known {
			if f.JSON() {
				return PrintJSON(c.io.Out, []describedEntity{})
			}
			fmt.Fprintf(c.io.Out, "The %s '%s' doesn't exist and doesn't have dynamic config.\n", strings.TrimSuffix(e.kind, "s"), e.name)
			return nil
		}
	}
	described := []describedEntity{}
	for _, name := range names {
		d, err := c.describeEntity(ctx, e.kind, name, f.all.Seen())
		if err != nil {
			return err
		}
		described = append(described, d)
	}
	if f.JSON() {
		return PrintJSON(c.io.Out, described)
	}
	for _, d := range described {
		d.print(c.io, f.all.Seen())
	}
	return nil
}

// entityNames are all entities of a kind; among brokers "" stands for their common default.
func (c *configsClient) entityNames(ctx context.Context, kind string) ([]string, error) {
	var names []string
	switch kind {
	case topicEntities:
		topics, err := c.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, err
		}
		return topics.Names(), nil
	case brokerEntities, loggerEntities:
		brokers, err := c.ListBrokers(ctx)
		if err != nil {
			return nil, err
		}
		for _, b := range brokers {
			names = append(names, strconv.Itoa(int(b.NodeID)))
		}
		return append(names, ""), nil
	}
	if kind == groupEntities {
		listed, err := (&groupsClient{c.Client, c.kafka, c.io}).listAllGroups(ctx, nil, nil)
		if err != nil {
			return nil, err
		}
		for _, g := range listed {
			names = append(names, g.Group)
		}
	}
	resources, err := c.ListConfigResources(ctx, kadm.ConfigResourceType(resourceTypes[kind]))
	if err == nil {
		err = resources.Err
	}
	switch {
	case err == nil:
		names = append(names, resources.Names()...)
	case !tooOld(err):
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (c *configsClient) exists(ctx context.Context, e configEntity) (bool, error) {
	if c.cluster.direct {
		return true, nil // a controller says so itself when it is asked for the settings
	}
	if e.kind == topicEntities {
		topics, err := c.ListTopicsWithInternal(ctx, e.name)
		if err != nil {
			return false, err
		}
		return !errors.Is(topics[e.name].Err, kerr.UnknownTopicOrPartition) && !errors.Is(topics[e.name].Err, kerr.InvalidTopicException), nil
	}
	names, err := c.entityNames(ctx, e.kind)
	return slices.Contains(names, e.name), err
}

func (c *configsClient) describeEntity(ctx context.Context, kind, name string, all bool) (describedEntity, error) {
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = resourceTypes[kind], name
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources, req.IncludeSynonyms = append(req.Resources, resource), true
	d := describedEntity{Type: kind, Name: name, Configs: []describedConfig{}}
	answers, err := c.ask(ctx, req)
	if err != nil {
		return d, err
	}
	for _, resp := range answers {
		for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
			if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
				return d, err
			}
			for _, entry := range r.Configs {
				if all || dynamicHere(kind, name, entry.Source) {
					d.Configs = append(d.Configs, describeConfig(entry))
				}
			}
		}
	}
	slices.SortFunc(d.Configs, func(a, b describedConfig) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

// dynamicHere tells whether a setting was made for this very entity.
func dynamicHere(kind, name string, source kmsg.ConfigSource) bool {
	switch kind {
	case topicEntities:
		return source == kmsg.ConfigSourceDynamicTopicConfig
	case brokerEntities:
		if name == "" {
			return source == kmsg.ConfigSourceDynamicDefaultBrokerConfig
		}
		return source == kmsg.ConfigSourceDynamicBrokerConfig
	case metricEntities:
		return source == kmsg.ConfigSourceClientMetricsConfig
	case groupEntities:
		return source == kmsg.ConfigSourceGroupConfig
	}
	return true
}

func describeConfig(entry kmsg.DescribeConfigsResponseResourceConfig) describedConfig {
	d := describedConfig{Name: entry.Name, Value: entry.Value, Source: sourceName(entry.Source), Sensitive: entry.IsSensitive, ReadOnly: entry.ReadOnly, Synonyms: []configSynonym{}}
	for _, s := range entry.ConfigSynonyms {
		d.Synonyms = append(d.Synonyms, configSynonym{sourceName(s.Source), s.Name, s.Value})
	}
	return d
}

func sourceName(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "DYNAMIC_TOPIC_CONFIG"
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return "DYNAMIC_BROKER_CONFIG"
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case kmsg.ConfigSourceStaticBrokerConfig:
		return "STATIC_BROKER_CONFIG"
	case kmsg.ConfigSourceDefaultConfig:
		return "DEFAULT_CONFIG"
	case kmsg.ConfigSourceDynamicBrokerLoggerConfig:
		return "DYNAMIC_BROKER_LOGGER_CONFIG"
	case kmsg.ConfigSourceClientMetricsConfig:
		return "DYNAMIC_CLIENT_METRICS_CONFIG"
	case kmsg.ConfigSourceGroupConfig:
		return "DYNAMIC_GROUP_CONFIG"
	}
	return "UNKNOWN"
}

func (d describedEntity) print(io IO, all bool) {
	switch {
	case d.Name == "":
		fmt.Fprintf(io.Out, "Default configs for %s in the cluster are:\n", d.Type)
	case all:
		fmt.Fprintf(io.Out, "All configs for %s %s are:\n", strings.TrimSuffix(d.Type, "s"), d.Name)
	default:
		fmt.Fprintf(io.Out, "Dynamic configs for %s %s are:\n", strings.TrimSuffix(d.Type, "s"), d.Name)
	}
	null := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	for _, entry := range d.Configs {
		synonyms := make([]string, 0, len(entry.Synonyms))
		for _, s := range entry.Synonyms {
			synonyms = append(synonyms, s.Source+":"+s.Name+"="+null(s.Value))
		}
		fmt.Fprintf(io.Out, "  %s=%s sensitive=%t synonyms={%s}\n", entry.Name, null(entry.Value), entry.Sensitive, strings.Join(synonyms, ", "))
	}
}
