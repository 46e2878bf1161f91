package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs: versions 1-4 (KIP-226 sources and synonyms, KIP-412 loggers, KIP-569 types and documentation,
// KIP-714 client metrics, KIP-1043 groups).
//
// A resource that is named again gets no second answer: an answer is ten thousand times as long as its question. Kafka
// answers each.
//
// The documentation of a key is its type, its valid values and what this broker does with it, not Kafka's text.
func (b *Broker) describeConfigs(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	seen := make(map[configResource]bool, len(req.Resources))
	for i := range req.Resources {
		asked := &req.Resources[i]
		if key := (configResource{asked.ResourceType, asked.ResourceName}); !seen[key] {
			seen[key] = true
		} else {
			continue
		}
		m := kmsg.NewDescribeConfigsResponseResource()
		m.ResourceType, m.ResourceName, m.ErrorMessage = asked.ResourceType, asked.ResourceName, ptr("")
		entries, err := b.describe(asked)
		if err != nil {
			m.ErrorCode, m.ErrorMessage = codeOf(err), ptr(messageOf(err))
			resp.Resources = append(resp.Resources, m)
			continue
		}
		for _, e := range entries {
			if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, e.Name) {
				continue
			}
			m.Configs = append(m.Configs, configEntry(e, req))
		}
		resp.Resources = append(resp.Resources, m)
	}
	r.Reply(resp)
}

// describe finds the entries of one resource.
func (b *Broker) describe(asked *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	image, name := b.image(), asked.ResourceName
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := metadata.ValidateTopicName(name); err != nil {
			return nil, &requestError{kerr.InvalidTopicException, err.Error()}
		}
		if image.Topic(name) == nil {
			return nil, &requestError{kerr.UnknownTopicOrPartition, ""}
		}
		v, err := config.Topic(b.config.Load(), image.Config(metadata.TopicConfig, name))
		if err != nil {
			return nil, err
		}
		return v.Describe(), nil
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			return b.config.DescribeDefaults(), nil
		}
		if err := b.isThisBroker(name, "Broker", "Unexpected broker id, expected %d or empty string, but received %s"); err != nil {
			return nil, err
		}
		return b.config.DescribeBroker(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name == "" {
			return nil, invalidRequest("Broker id must not be empty")
		}
		if err := b.isThisBroker(name, "Broker", "Unexpected broker id, expected %d but received %s"); err != nil {
			return nil, err
		}
		return b.loggerEntries(), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, invalidRequest("Client metrics subscription name must not be empty")
		}
		v, err := config.ClientMetrics(image.Config(metadata.ClientMetricsConfig, name))
		if err != nil {
			return nil, err
		}
		return v.Describe(), nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, invalidRequest("Group name must not be empty")
		}
		v, err := config.Group(b.config.Load(), image.Config(metadata.GroupConfig, name))
		if err != nil {
			return nil, err
		}
		return v.Describe(), nil
	}
	return nil, kerr.InvalidRequest
}

// isThisBroker checks that a resource name is the id of this broker: only it knows what it runs with. what and other are
// the words of the message, which differ from one request of Kafka to the next.
func (b *Broker) isThisBroker(name, what, other string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return invalidRequest("%s id must be an integer, but it is: %s", what, name)
	}
	if int32(id) != b.nodeID {
		return invalidRequest(other, b.nodeID, name)
	}
	return nil
}

func configEntry(e config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Sensitive
	c.Source, c.ConfigType = kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Type)
	c.IsDefault = e.Source == config.SourceDefault
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, syn)
		}
	}
	if req.IncludeDocumentation {
		c.Documentation = &e.Doc
	}
	return c
}

// requestError is a Kafka error with a message of its own.
type requestError struct {
	code    *kerr.Error
	message string
}

func (e *requestError) Error() string { return e.message }
func (e *requestError) Unwrap() error { return e.code }

func invalidRequest(format string, args ...any) error {
	return &requestError{kerr.InvalidRequest, fmt.Sprintf(format, args...)}
}

// codeOf is the code of a Kafka error; a configuration that cannot be read is INVALID_CONFIG.
func codeOf(err error) int16 {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return kerr.InvalidConfig.Code
}

// messageOf is what the client gets to read.
func messageOf(err error) string {
	var k *kerr.Error
	if errors.As(err, &k) && err == error(k) {
		return k.Description
	}
	return controller.ClipText(err.Error())
}

func ptr[T any](v T) *T { return &v }
