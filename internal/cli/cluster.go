package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func clusterCommand() Command {
	return Command{Name: "cluster", Script: "kafka-cluster", Summary: "Show the cluster's id and endpoints; unregister a broker.", Build: buildCluster}
}

func buildCluster(f *Flags) Action {
	f.About = "The Kafka cluster tool.\nUsage: kafka-cluster.sh {cluster-id | list-endpoints | unregister} [options]"
	f.Examples = []string{
		"kafka-cluster.sh cluster-id --bootstrap-server localhost:9092",
		"kafka-cluster.sh list-endpoints --bootstrap-server localhost:9092 --include-fenced-brokers",
		"kafka-cluster.sh list-endpoints --bootstrap-controller localhost:9093 --output json",
		"kafka-cluster.sh unregister --bootstrap-server localhost:9092 --id 3",
	}
	f.Words = []string{"cluster-id", "list-endpoints", "unregister"}
	connection := f.Connection("c", "config").WithControllers()
	f.Alias(connection.Bootstrap, "b")
	f.Alias(connection.Controllers, "C")
	id := f.Int("id", "broker id", "With unregister: the broker to forget.")
	f.Alias(id, "i")
	fenced := f.Switch("include-fenced-brokers", "With list-endpoints: fenced brokers too.")
	f.Output()
	return func(ctx context.Context, io IO) error {
		if len(f.Rest) != 1 {
			return Usagef("kafka-cluster: error: give one of cluster-id, list-endpoints, unregister")
		}
		run, ok := map[string]func(context.Context, *clusterClient) error{
			"cluster-id": func(ctx context.Context, c *clusterClient) error { return c.printClusterID(ctx, f.JSON()) },
			"list-endpoints": func(ctx context.Context, c *clusterClient) error {
				return c.printEndpoints(ctx, fenced.Seen(), f.JSON())
			},
			"unregister": func(ctx context.Context, c *clusterClient) error { return c.unregister(ctx, int32(id.Int())) },
		}[f.Rest[0]]
		switch {
		case !ok:
			return Usagef("kafka-cluster: error: argument command: invalid choice: '%s' (choose from 'cluster-id', 'unregister', 'list-endpoints')", f.Rest[0])
		case connection.Bootstrap.Seen() && connection.Controllers.Seen():
			return Usagef("kafka-cluster: error: argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b")
		case !connection.Bootstrap.Seen() && !connection.Controllers.Seen():
			return Usagef("kafka-cluster: error: one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required")
		case f.Rest[0] == "unregister" && !id.Seen():
			return Usagef("kafka-cluster: error: argument --id/-i is required")
		case fenced.Seen() && connection.direct():
			return errors.New("The option --include-fenced-brokers is only supported with --bootstrap-server option")
		}
		ctx, cluster, done, err := connection.DialCluster(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		return run(ctx, cluster)
	}
}

func (c *clusterClient) printClusterID(ctx context.Context, asJSON bool) error {
	cluster, err := c.describe(ctx, false)
	if err != nil {
		return err
	}
	if asJSON {
		return PrintJSON(c.io.Out, map[string]any{"clusterId": cluster.ClusterID, "controllerId": cluster.ControllerID})
	}
	fmt.Fprintln(c.io.Out, "Cluster ID: "+cluster.ClusterID)
	return nil
}

// endpoint is one line of list-endpoints, and its form with --output json.
type endpoint struct {
	ID     int32   `json:"id"`
	Host   string  `json:"host"`
	Port   int32   `json:"port"`
	Rack   *string `json:"rack"`
	Fenced bool    `json:"fenced"`
	Type   string  `json:"endpointType"`
}

func (c *clusterClient) printEndpoints(ctx context.Context, fenced, asJSON bool) error {
	cluster, err := c.describe(ctx, fenced)
	if err != nil {
		return err
	}
	kind := "broker"
	if c.direct {
		kind = "controller"
	}
	found := []endpoint{}
	for _, b := range cluster.Brokers {
		found = append(found, endpoint{b.NodeID, b.Host, b.Port, b.Rack, b.IsFenced, kind})
	}
	slices.SortFunc(found, func(a, b endpoint) int { return int(a.ID) - int(b.ID) })
	if asJSON {
		return PrintJSON(c.io.Out, found)
	}
	printEndpoints(c.io, found, !c.direct)
	return nil
}

// printEndpoints prints the columns as wide as Kafka has them: a host as its longest, a rack as its longest or 10 if
// there is none. Controllers have no state.
func printEndpoints(io IO, found []endpoint, withState bool) {
	host, rack := 0, 0
	for _, e := range found {
		host = max(host, len(e.Host))
		if e.Rack != nil {
			rack = max(rack, len(*e.Rack))
		}
	}
	if rack == 0 {
		rack = 10
	}
	line := func(id, at, port, rackName, state, kind string) {
		if withState {
			state = fmt.Sprintf("%-10s ", state)
		}
		fmt.Fprintf(io.Out, "%-10s %-*s %-10s %-*s %s%-15s\n", id, host, at, port, rack, rackName, state, kind)
	}
	heads, unfenced, fenced := "STATE", "unfenced", "fenced"
	if !withState {
		heads, unfenced, fenced = "", "", ""
	}
	line("ID", "HOST", "PORT", "RACK", heads, "ENDPOINT_TYPE")
	for _, e := range found {
		name, state := "null", unfenced
		if e.Rack != nil {
			name = *e.Rack
		}
		if e.Fenced {
			state = fenced
		}
		line(strconv.Itoa(int(e.ID)), e.Host, strconv.Itoa(int(e.Port)), name, state, e.Type)
	}
}

func (c *clusterClient) unregister(ctx context.Context, id int32) error {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	resp, err := req.RequestWith(ctx, c)
	if err == nil {
		err = answer(resp.ErrorCode, resp.ErrorMessage)
	}
	switch {
	case err == nil:
		fmt.Fprintf(c.io.Out, "Broker %d is no longer registered.\n", id)
	case tooOld(err):
		fmt.Fprintln(c.io.Out, "The target cluster does not support the broker unregistration API.")
	case errors.Is(err, kerr.BrokerIDNotRegistered):
		return fmt.Errorf("Broker %d is not registered: %s", id, strings.TrimSpace(err.Error()))
	default:
		return err
	}
	return nil
}
