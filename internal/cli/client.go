package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Connection is the pair of options that every tool talking to a cluster has.
type Connection struct {
	flags       *Flags
	Bootstrap   *Flag
	Controllers *Flag // --bootstrap-controller, nil if the tool does not have it
	Config      *Flag
}

// Connection declares --bootstrap-server and --command-config (and the names that single tools have for the latter).
func (f *Flags) Connection(configAliases ...string) *Connection {
	c := &Connection{flags: f}
	c.Bootstrap = f.String("bootstrap-server", "host:port,...", "The brokers to connect to first.")
	c.Config = f.String("command-config", "file", "A properties file with the client's settings: security.protocol, sasl.*, ssl.*, request.timeout.ms, default.api.timeout.ms, client.id, ...")
	f.Alias(c.Config, configAliases...)
	return c
}

// Properties are the settings of --command-config.
func (c *Connection) Properties() (map[string]string, error) {
	if !c.Config.Seen() {
		return map[string]string{}, nil
	}
	return LoadProperties(c.Config.Value())
}

// Dial makes the client of an administrative tool, with a context that ends at default.api.timeout.ms. The function
// that it returns closes both.
func (c *Connection) Dial(ctx context.Context, io IO) (context.Context, *kgo.Client, func(), error) {
	props, err := c.Properties()
	if err != nil {
		return nil, nil, nil, err
	}
	timeout, err := apiTimeout(props)
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := NewClient(io, c.Bootstrap.Value(), props)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, client, func() { cancel(); client.Close() }, nil
}

// defaultUnreachable is how long a tool tries to reach any broker before it gives up, if default.api.timeout.ms does
// not say otherwise. Kafka's tools try for 60 s; a broker that has just been started answers within this time.
const defaultUnreachable = 10 * time.Second

func apiTimeout(props map[string]string) (time.Duration, error) {
	return durationProperty(props, "default.api.timeout.ms", time.Minute)
}

func durationProperty(props map[string]string, key string, fallback time.Duration) (time.Duration, error) {
	v, ok := props[key]
	if !ok {
		return fallback, nil
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32)
	if err != nil || ms < 0 {
		return 0, fmt.Errorf("%s is %q, but must be a number of milliseconds from 0 to 2147483647", key, v)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// NewClient makes a client from Kafka's client properties; opts come last and win. It connects with the first request.
func NewClient(io IO, bootstrap string, props map[string]string, opts ...kgo.Opt) (*kgo.Client, error) {
	return newClient(io, bootstrapServer, bootstrap, props, opts...)
}

// The options that name where to connect first.
const (
	bootstrapServer     = "--bootstrap-server"
	bootstrapController = "--bootstrap-controller"
)

// newClient is NewClient for addresses that came from the named option.
func newClient(io IO, option, bootstrap string, props map[string]string, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := parseSeeds(option, bootstrap)
	if err != nil {
		return nil, err
	}
	tls, err := tlsConfig(props)
	if err != nil {
		return nil, err
	}
	patience, err := durationProperty(props, "default.api.timeout.ms", defaultUnreachable)
	if err != nil {
		return nil, err
	}
	dial := &dialer{warnings: io.Err, option: option, seeds: seeds, tls: tls, patience: patience}
	// A tool is one short conversation: what metadata it needs it asks for, and a retry comes soon.
	all := []kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.Dialer(dial.DialContext), kgo.ClientID("adminclient-1"),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
	fromProps, err := clientOptions(props)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(append(all, fromProps...), opts...)...)
}

// parseBootstrap checks the list of addresses as Kafka does: every one needs a port.
func parseBootstrap(list string) ([]string, error) { return parseSeeds(bootstrapServer, list) }

func parseSeeds(option, list string) ([]string, error) {
	var seeds []string
	for _, address := range strings.Split(list, ",") {
		address = strings.TrimSpace(address)
		if address == "" {
			continue
		}
		// Kafka allows a protocol in front: PLAINTEXT://host:port.
		if _, rest, ok := strings.Cut(address, "://"); ok {
			address = rest
		}
		host, port, err := net.SplitHostPort(address)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("Invalid address %q in %s: give host:port, for example localhost:9092", address, option) //nolint:staticcheck // shown to the user as it is
		}
		seeds = append(seeds, address)
	}
	if len(seeds) == 0 {
		return nil, fmt.Errorf("No address given: set %s, for example %[1]s localhost:9092", option) //nolint:staticcheck // shown to the user as it is
	}
	return seeds, nil
}

// clientOptions are the settings that every kind of client has.
func clientOptions(props map[string]string) ([]kgo.Opt, error) {
	mechanism, err := saslMechanism(props)
	if err != nil {
		return nil, err
	}
	var opts []kgo.Opt
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	if id := props["client.id"]; id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	for key, opt := range map[string]func(time.Duration) kgo.Opt{
		"request.timeout.ms":      func(d time.Duration) kgo.Opt { return kgo.RequestTimeoutOverhead(d) },
		"connections.max.idle.ms": func(d time.Duration) kgo.Opt { return kgo.ConnIdleTimeout(d) },
		"metadata.max.age.ms":     func(d time.Duration) kgo.Opt { return kgo.MetadataMaxAge(max(d, 50*time.Millisecond)) },
	} {
		if props[key] == "" {
			continue
		}
		d, err := durationProperty(props, key, 0)
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt(d))
	}
	return opts, nil
}
