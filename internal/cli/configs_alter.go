package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configChange is what --add-config and --delete-config ask for, keys in order.
type configChange struct {
	add    []configValue
	delete []string
}

type configValue struct{ key, value string }

func (f *configsFlags) change() (configChange, error) {
	var c configChange
	if f.addFile.Seen() {
		props, err := LoadProperties(f.addFile.Value())
		if err != nil {
			return c, err
		}
		for key, value := range props {
			c.add = append(c.add, configValue{key, value})
		}
		slices.SortFunc(c.add, func(a, b configValue) int { return strings.Compare(a.key, b.key) })
	}
	if f.addConfig.Seen() {
		var err error
		if c.add, err = parseConfigList(f.addConfig.Value()); err != nil {
			return c, err
		}
	}
	for _, list := range f.deleteConfig.Values() {
		for _, key := range strings.Split(list, ",") {
			if key = strings.TrimSpace(key); key != "" {
				c.delete = append(c.delete, key)
			}
		}
	}
	return c, nil
}

// parseConfigList reads k=v,k=[v,v]: a comma inside brackets does not separate.
func parseConfigList(text string) ([]configValue, error) {
	var values []configValue
	depth, start := 0, 0
	for i := 0; i <= len(text); i++ {
		switch {
		case i < len(text) && text[i] == '[':
			depth++
			continue
		case i < len(text) && text[i] == ']':
			depth = max(depth-1, 0)
			continue
		case i < len(text) && (text[i] != ',' || depth > 0):
			continue
		}
		key, value, ok := strings.Cut(text[start:i], "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, errors.New(`requirement failed: Invalid entity config: all configs to be added must be in the format "key=val" or  "key=[val1,val2]" to group values which contain commas.`) //nolint:staticcheck // Kafka's words
		}
		value = strings.NewReplacer("[", "", "]", "").Replace(strings.TrimSpace(value))
		values = append(values, configValue{key, value})
		start = i + 1
	}
	return values, nil
}

func (c *configsClient) alter(ctx context.Context, entities []configEntity, change configChange) error {
	var err error
	if isQuotaKind(entities[0].kind) {
		err = c.alterQuotas(ctx, entities, change)
	} else {
		err = c.alterResource(ctx, entities[0], change)
	}
	if err != nil {
		return err
	}
	last := entities[len(entities)-1]
	if last.name == "" {
		fmt.Fprintf(c.io.Out, "Completed updating default config for %s in the cluster.\n", last.kind)
		return nil
	}
	fmt.Fprintf(c.io.Out, "Completed updating config for %s %s.\n", strings.TrimSuffix(last.kind, "s"), last.name)
	return nil
}

var resourceTypes = map[string]kmsg.ConfigResourceType{
	topicEntities: kmsg.ConfigResourceTypeTopic, brokerEntities: kmsg.ConfigResourceTypeBroker,
	loggerEntities: kmsg.ConfigResourceTypeBrokerLogger, metricEntities: kmsg.ConfigResourceTypeClientMetrics,
	groupEntities: kmsg.ConfigResourceTypeGroupConfig,
}

func (c *configsClient) alterResource(ctx context.Context, e configEntity, change configChange) error {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = resourceTypes[e.kind], e.name
	for _, add := range change.add {
		resource.Configs = append(resource.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: add.key, Op: kmsg.IncrementalAlterConfigOpSet, Value: &add.value})
	}
	for _, key := range change.delete {
		resource.Configs = append(resource.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: kmsg.IncrementalAlterConfigOpDelete})
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	answers, err := c.ask(ctx, req)
	if err != nil {
		return err
	}
	for _, resp := range answers {
		for _, r := range resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
		}
	}
	return nil
}

var quotaTypes = map[string]string{userEntities: "user", clientEntities: "client-id", ipEntities: "ip"}

// alterQuotas changes the quotas of users, clients and addresses, and the SCRAM credentials of a user.
func (c *configsClient) alterQuotas(ctx context.Context, entities []configEntity, change configChange) error {
	var entry kadm.AlterClientQuotaEntry
	for _, e := range entities {
		component := kadm.ClientQuotaEntityComponent{Type: quotaTypes[e.kind]}
		if e.name != "" {
			component.Name = &e.name
		}
		entry.Entity = append(entry.Entity, component)
	}
	var upsert []kadm.UpsertSCRAM
	var remove []kadm.DeleteSCRAM
	user := ""
	if len(entities) == 1 && entities[0].kind == userEntities {
		user = entities[0].name
	}
	for _, add := range change.add {
		if mechanism := scramMechanism(add.key); mechanism != 0 {
			if user == "" {
				return fmt.Errorf("%s belongs to one user: name it with --user", add.key)
			}
			u, err := parseScram(user, mechanism, add.value)
			if err != nil {
				return err
			}
			upsert = append(upsert, u)
			continue
		}
		value, err := strconv.ParseFloat(add.value, 64)
		if err != nil {
			return fmt.Errorf("Cannot parse quota configuration value for %s: %s", add.key, add.value) //nolint:staticcheck // Kafka's words
		}
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: add.key, Value: value})
	}
	for _, key := range change.delete {
		if mechanism := scramMechanism(key); mechanism != 0 {
			remove = append(remove, kadm.DeleteSCRAM{User: user, Mechanism: mechanism})
			continue
		}
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: key, Remove: true})
	}
	if len(entry.Ops) > 0 {
		results, err := c.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
		if err != nil {
			return unsupported(err, "quotas")
		}
		for _, r := range results {
			if r.Err != nil {
				return &brokerError{r.Err, &r.ErrMessage}
			}
		}
	}
	if len(upsert)+len(remove) > 0 {
		results, err := c.AlterUserSCRAMs(ctx, remove, upsert)
		if err != nil {
			return unsupported(err, "SCRAM credentials")
		}
		for _, r := range results {
			if r.Err != nil {
				return &brokerError{r.Err, &r.ErrMessage}
			}
		}
	}
	return nil
}

// unsupported says what a broker does not have.
func unsupported(err error, what string) error {
	if tooOld(err) {
		return fmt.Errorf("this broker does not support %s", what)
	}
	return err
}

func scramMechanism(key string) kadm.ScramMechanism {
	switch key {
	case "SCRAM-SHA-256":
		return kadm.ScramSha256
	case "SCRAM-SHA-512":
		return kadm.ScramSha512
	}
	return 0
}

// parseScram reads iterations=8192,password=secret.
func parseScram(user string, mechanism kadm.ScramMechanism, text string) (kadm.UpsertSCRAM, error) {
	u := kadm.UpsertSCRAM{User: user, Mechanism: mechanism, Iterations: 4096}
	for _, pair := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(pair, "=")
		switch strings.TrimSpace(key) {
		case "iterations":
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
			if err != nil {
				return u, fmt.Errorf("iterations is %q, but must be a number", value)
			}
			u.Iterations = int32(n)
		case "password":
			u.Password = value
		default:
			return u, fmt.Errorf("%q is no part of a SCRAM credential: give [iterations=8192,password=...]", pair)
		}
	}
	if u.Password == "" {
		return u, errors.New("a SCRAM credential needs a password: [iterations=8192,password=...]")
	}
	return u, nil
}
