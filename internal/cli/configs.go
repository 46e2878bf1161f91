package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configsFlags are the options of kafka-configs.
type configsFlags struct {
	*Flags
	connection                            *Connection
	describe, alter, all                  *Flag
	entityType, entityName, entityDefault *Flag
	addConfig, addFile, deleteConfig      *Flag
	short                                 []entityFlag
}

// entityFlag is a shortcut such as --topic (named) or --broker-defaults.
type entityFlag struct {
	*Flag
	kind  string
	named bool
}

// configEntity is what settings belong to: a kind, and a name, the default ("" and hasName), or all of the kind.
type configEntity struct {
	kind    string
	name    string
	hasName bool
}

// The kinds of entities, as --entity-type names them.
const (
	topicEntities  = "topics"
	clientEntities = "clients"
	userEntities   = "users"
	brokerEntities = "brokers"
	ipEntities     = "ips"
	metricEntities = "client-metrics"
	groupEntities  = "groups"
	loggerEntities = "broker-loggers"
)

var entityKinds = []string{topicEntities, clientEntities, userEntities, brokerEntities, ipEntities, metricEntities, groupEntities, loggerEntities}

func configsCommand() Command {
	return Command{Name: "configs", Script: "kafka-configs", Summary: "Show and change settings of topics, brokers, groups, users, clients.", Build: buildConfigs}
}

func buildConfigs(flags *Flags) Action {
	flags.About = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group."
	flags.Examples = []string{
		"kafka-configs.sh --bootstrap-server localhost:9092 --describe --topic orders --all",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic orders --add-config retention.ms=3600000,cleanup.policy=[compact,delete]",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic orders --delete-config retention.ms",
		"kafka-configs.sh --bootstrap-server localhost:9092 --describe --broker 1 --output json",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --broker-defaults --add-config log.retention.ms=86400000",
		"kafka-configs.sh --bootstrap-controller localhost:9093 --alter --broker 2 --delete-config leader.replication.throttled.rate,follower.replication.throttled.rate",
	}
	f := &configsFlags{Flags: flags, connection: flags.Connection().WithControllers()}
	f.describe = f.Switch("describe", "Show settings.")
	f.alter = f.Switch("alter", "Change settings.")
	f.all = f.Switch("all", "With --describe: defaults too.")
	f.addConfig = f.String("add-config", "k=v,k=[v,v]", "Settings to make. Brackets group values with commas.")
	f.addFile = f.String("add-config-file", "file", "A properties file with settings to make.")
	f.deleteConfig = f.String("delete-config", "k,k", "Settings to remove.")
	f.entityType = f.String("entity-type", "type", "One of "+strings.Join(entityKinds, ", ")+".")
	f.entityName = f.String("entity-name", "name", "The name of the entity.")
	f.entityDefault = f.Switch("entity-default", "The default for all clients, users, brokers or ips.")
	for _, s := range []struct{ name, kind, help string }{
		{"topic", topicEntities, "A topic."}, {"client", clientEntities, "A client id."}, {"user", userEntities, "A user's name."},
		{"broker", brokerEntities, "A broker's id."}, {"broker-logger", loggerEntities, "A broker's id, for its log levels."},
		{"ip", ipEntities, "An address."}, {"client-metrics", metricEntities, "A subscription to client metrics."}, {"group", groupEntities, "A group."},
	} {
		f.short = append(f.short, entityFlag{f.String(s.name, "name", s.help), s.kind, true})
	}
	for _, kind := range []string{clientEntities, userEntities, brokerEntities, ipEntities} {
		name := strings.TrimSuffix(kind, "s") + "-defaults"
		f.short = append(f.short, entityFlag{f.Switch(name, "The default for all "+kind+"."), kind, false})
	}
	f.Output()
	return f.run
}

// entities are what the command line names. Kafka pairs the n-th type with the n-th name.
func (f *configsFlags) entities() ([]configEntity, error) {
	var found []configEntity
	for _, s := range f.short {
		if !s.Seen() {
			continue
		}
		if f.entityType.Seen() || f.entityName.Seen() || f.entityDefault.Seen() {
			return nil, errors.New("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
		}
		e := configEntity{kind: s.kind, hasName: true}
		if s.named {
			e.name = s.Value()
		}
		found = append(found, e)
	}
	names := f.entityName.Values()
	for i, kind := range f.entityType.Values() {
		if !slices.Contains(entityKinds, kind) {
			return nil, fmt.Errorf("Invalid entity type %s, the entity type must be one of %s with a --bootstrap-server or --bootstrap-controller argument", kind, strings.Join(entityKinds, ", ")) //nolint:staticcheck // Kafka's words
		}
		e := configEntity{kind: kind}
		switch {
		case i < len(names):
			e.name, e.hasName = names[i], true
		case f.entityDefault.Seen():
			e.hasName = true
		}
		found = append(found, e)
	}
	// Users come before their clients.
	slices.SortStableFunc(found, func(a, b configEntity) int {
		if a.kind == userEntities && b.kind == clientEntities {
			return -1
		}
		if a.kind == clientEntities && b.kind == userEntities {
			return 1
		}
		return 0
	})
	return found, nil
}

func isQuotaKind(kind string) bool {
	return kind == userEntities || kind == clientEntities || kind == ipEntities
}

// check repeats Kafka's rules of which options go together.
func (f *configsFlags) check(entities []configEntity) error {
	switch {
	case len(entities) == 0:
		return errors.New("At least one entity type must be specified") //nolint:staticcheck // Kafka's words
	case len(entities) > 2 || len(entities) == 2 && (entities[0].kind != userEntities || entities[1].kind != clientEntities):
		return errors.New("Only 'users' and 'clients' entity types may be specified together") //nolint:staticcheck // Kafka's words
	}
	e := entities[0]
	if (e.kind == brokerEntities || e.kind == loggerEntities) && e.name != "" {
		if _, err := strconv.ParseInt(e.name, 10, 32); err != nil {
			return fmt.Errorf("The entity name for %s must be a valid integer broker id, but it is: %s", e.kind, e.name) //nolint:staticcheck // Kafka's words
		}
	}
	hasDefaults := isQuotaKind(e.kind) || e.kind == brokerEntities
	if f.describe.Seen() {
		if e.hasName && e.name == "" && !hasDefaults {
			return fmt.Errorf("--entity-default must not be specified with --describe of %s", e.kind)
		}
		if e.kind == loggerEntities && e.name == "" {
			return fmt.Errorf("An entity name must be specified with --describe of %s", e.kind) //nolint:staticcheck // Kafka's words
		}
		return nil
	}
	for _, e := range entities {
		if hasDefaults && !e.hasName {
			return errors.New("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips") //nolint:staticcheck // Kafka's words
		}
		if !hasDefaults && e.name == "" {
			return fmt.Errorf("An entity name must be specified with --alter of %s", e.kind) //nolint:staticcheck // Kafka's words
		}
	}
	if f.addConfig.Seen() && f.addFile.Seen() {
		return errors.New("Only one of --add-config or --add-config-file must be specified") //nolint:staticcheck // Kafka's words
	}
	if !f.addConfig.Seen() && !f.addFile.Seen() && !f.deleteConfig.Seen() {
		return errors.New("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter") //nolint:staticcheck // Kafka's words
	}
	return nil
}

func (f *configsFlags) run(ctx context.Context, io IO) error {
	if !ExactlyOne(f.describe, f.alter) {
		return Usagef("Command must include exactly one action: --describe, --alter")
	}
	if err := Exclude(f.describe, f.addConfig, f.addFile, f.deleteConfig); err != nil {
		return err
	}
	entities, err := f.entities()
	if err != nil {
		return err
	}
	switch both := f.connection.Bootstrap.Seen() && f.connection.direct(); {
	case both:
		return errors.New("Only one of --bootstrap-server or --bootstrap-controller can be specified")
	case !f.connection.Bootstrap.Seen() && !f.connection.direct():
		return errors.New("Either --bootstrap-server or --bootstrap-controller must be specified.") //nolint:staticcheck // Kafka's words
	}
	if err := f.check(entities); err != nil {
		return err
	}
	if e := entities[0]; f.connection.direct() && (e.name == "" && !e.hasName || e.kind != topicEntities && e.kind != brokerEntities) {
		return errors.New("With --bootstrap-controller, name one topic or broker, or the default of the brokers; all else is known to the brokers: use --bootstrap-server")
	}
	var change configChange
	if f.alter.Seen() {
		if change, err = f.change(); err != nil {
			return err
		}
	}
	ctx, cluster, done, err := f.connection.DialCluster(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	c := &configsClient{kadm.NewClient(cluster.client), cluster.client, cluster, io}
	if f.alter.Seen() {
		err = c.alter(ctx, entities, change)
	} else {
		err = f.runDescribe(ctx, c, entities)
	}
	if err != nil && strings.Contains(err.Error(), "unknown broker") { // the client library has no value for this error
		return fmt.Errorf("Error while executing config command: broker %s is not in the cluster, or not now; kafka-cluster list-endpoints shows which are", entities[0].name) //nolint:staticcheck // Kafka's words
	}
	if err != nil && isBrokerAnswer(err) {
		return fmt.Errorf("Error while executing config command: %s", KafkaMessage(err, messageOf(err))) //nolint:staticcheck // Kafka's words
	}
	return err
}

// messageOf is the broker's own text, if the error carries one.
func messageOf(err error) *string {
	var answered *brokerError
	if errors.As(err, &answered) {
		return answered.message
	}
	return nil
}

// configsClient does what the tool needs of a cluster.
type configsClient struct {
	*kadm.Client
	kafka   *kgo.Client
	cluster *clusterClient
	io      IO
}

// ask sends a request about configs to whom it concerns: a broker's own go to that broker, unless the controllers are
// asked directly.
func (c *configsClient) ask(ctx context.Context, req kmsg.Request) ([]kmsg.Response, error) {
	if c.cluster.direct {
		resp, err := c.cluster.Request(ctx, req)
		return []kmsg.Response{resp}, err
	}
	var answers []kmsg.Response
	for _, shard := range c.kafka.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		answers = append(answers, shard.Resp)
	}
	return answers, nil
}
