package controller

import (
	"maps"
	"slices"
	"strconv"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterConfigs decides AlterConfigs: what the request does not name is reset. Kafka keeps it for old clients.
func (m *machine) alterConfigs(e env, req *kmsg.AlterConfigsRequest) decision {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	var records []metadata.Record
	seen := map[metadata.ConfigResource]bool{}
	for _, r := range req.Resources {
		resource := metadata.ConfigResource{Kind: metadata.ConfigKind(r.ResourceType), Name: r.ResourceName}
		next := map[string]string{}
		err := duplicate(seen, resource)
		for _, c := range r.Configs {
			if c.Value == nil {
				err = refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
			} else {
				next[c.Name] = *c.Value
			}
		}
		if err == nil {
			var made []metadata.Record
			made, err = m.changeConfig(e, resource, next, slices.Collect(maps.Keys(next)))
			records = append(records, made...)
		}
		if len(records) > maxRecordsPerRequest {
			return decision{reply: failAll(req, errTooManyRecords)}
		}
		result := kmsg.NewAlterConfigsResponseResource()
		result.ResourceType, result.ResourceName = r.ResourceType, r.ResourceName
		err.put(&result.ErrorCode, &result.ErrorMessage)
		resp.Resources = append(resp.Resources, result)
	}
	return m.configsAltered(e, req, resp, req.ValidateOnly, records)
}

// incrementalAlterConfigs decides IncrementalAlterConfigs (KIP-339).
func (m *machine) incrementalAlterConfigs(e env, req *kmsg.IncrementalAlterConfigsRequest) decision {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	var records []metadata.Record
	seen := map[metadata.ConfigResource]bool{}
	for _, r := range req.Resources {
		resource := metadata.ConfigResource{Kind: metadata.ConfigKind(r.ResourceType), Name: r.ResourceName}
		err := duplicate(seen, resource)
		if err == nil {
			var made []metadata.Record
			made, err = m.alterResource(e, resource, r.Configs)
			records = append(records, made...)
		}
		if len(records) > maxRecordsPerRequest {
			return decision{reply: failAll(req, errTooManyRecords)}
		}
		result := kmsg.NewIncrementalAlterConfigsResponseResource()
		result.ResourceType, result.ResourceName = r.ResourceType, r.ResourceName
		err.put(&result.ErrorCode, &result.ErrorMessage)
		resp.Resources = append(resp.Resources, result)
	}
	return m.configsAltered(e, req, resp, req.ValidateOnly, records)
}

// configsAltered decides what follows from altered configurations, beside the records that say so.
func (m *machine) configsAltered(e env, req kmsg.Request, resp kmsg.Response, validateOnly bool, records []metadata.Record) decision {
	if validateOnly {
		records = nil
	}
	m.hurryUnclean(e, records)
	records = append(records, m.clearELR(records)...)
	if len(records) > maxRecordsPerRequest {
		return decision{reply: failAll(req, errTooManyRecords)}
	}
	return decision{records: records, reply: resp}
}

func duplicate(seen map[metadata.ConfigResource]bool, resource metadata.ConfigResource) *apiError {
	if seen[resource] {
		return refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
	}
	seen[resource] = true
	return nil
}

func (m *machine) alterResource(e env, resource metadata.ConfigResource, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]metadata.Record, *apiError) {
	scope, err := configScope(resource)
	if err != nil {
		return nil, err
	}
	next := map[string]string{}
	maps.Copy(next, m.hard.image.Config(resource.Kind, resource.Name))
	named := map[string]bool{}
	for _, op := range ops {
		if named[op.Name] {
			return nil, refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		named[op.Name] = true
		if op.Value == nil && op.Op != kmsg.IncrementalAlterConfigOpDelete {
			return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", op.Name)
		}
		value := ""
		if op.Value != nil {
			value = *op.Value
		}
		if cerr := config.Apply(scope, next, config.Op(op.Op), op.Name, value); cerr != nil {
			return nil, configError(cerr)
		}
	}
	return m.changeConfig(e, resource, next, slices.Collect(maps.Keys(named)))
}

// changeConfig returns the records that bring a resource's configuration to next. named are the keys that the request
// named: a broker's are written even if they stay, so that it loads files anew that they point to (KAFKA-14136).
func (m *machine) changeConfig(e env, resource metadata.ConfigResource, next map[string]string, named []string) ([]metadata.Record, *apiError) {
	if err := m.checkResource(e, resource, next); err != nil {
		return nil, err
	}
	old := m.hard.image.Config(resource.Kind, resource.Name)
	keys := maps.Clone(old)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, next)
	force := map[string]bool{}
	for _, name := range named {
		keys[name] = ""
		force[name] = resource.Kind == metadata.BrokerConfig
	}
	var records []metadata.Record
	for _, name := range sortedNames(keys) {
		was, had := old[name]
		value, has := next[name]
		if had == has && was == value && !force[name] {
			continue
		}
		r := &metadata.ConfigRecord{ResourceType: int8(resource.Kind), ResourceName: resource.Name, Name: name}
		if has {
			r.Value = &value
		}
		if err := m.checkMinISR(r); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func configScope(resource metadata.ConfigResource) (config.Scope, *apiError) {
	switch resource.Kind {
	case metadata.TopicConfig:
		return config.ScopeTopic, nil
	case metadata.BrokerConfig:
		return config.ScopeBroker, nil
	case metadata.GroupConfig:
		return config.ScopeGroup, nil
	case metadata.ClientMetricsConfig:
		return config.ScopeClientMetrics, nil
	}
	return 0, refuse(kerr.InvalidRequest, "Unexpected resource type %s.", resource.Kind)
}

// checkResource makes sure that a resource is there and may be configured so.
func (m *machine) checkResource(e env, resource metadata.ConfigResource, next map[string]string) *apiError {
	var err error
	switch resource.Kind {
	case metadata.TopicConfig:
		if resource.Name == "" {
			return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
		if nerr := metadata.ValidateTopicName(resource.Name); nerr != nil {
			return refuse(kerr.InvalidTopicException, "%v", nerr)
		}
		if err = config.ValidateTopic(e.config, next); err == nil && m.hard.image.Topic(resource.Name) == nil {
			return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", resource.Name)
		}
	case metadata.BrokerConfig:
		if resource.Name != "" {
			id, perr := strconv.ParseInt(resource.Name, 10, 32)
			if perr != nil {
				return refuse(kerr.InvalidRequest, "Unable to parse broker name as a base 10 number.")
			}
			if id < 0 {
				return refuse(kerr.InvalidRequest, "Invalid negative broker ID.")
			}
			if m.hard.image.Broker(int32(id)) == nil {
				return refuse(kerr.BrokerIDNotRegistered, "No broker with id %d found.", id)
			}
		}
		err = config.ValidateBrokerUpdate(e.config, next, resource.Name != "")
	case metadata.GroupConfig:
		if resource.Name == "" {
			return refuse(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
		err = config.ValidateGroup(e.config, next)
	case metadata.ClientMetricsConfig:
		if resource.Name == "" {
			return refuse(kerr.InvalidRequest, "Default client metrics resources are not allowed.")
		}
		err = config.ValidateClientMetrics(next)
	default:
		_, serr := configScope(resource)
		return serr
	}
	if err != nil {
		return configError(err)
	}
	return nil
}

func sortedNames(configs map[string]string) []string { return slices.Sorted(maps.Keys(configs)) }
