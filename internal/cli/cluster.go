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
		"kafka-cluster.sh list-endpoints --bootstrap-server localhost:9092 --output json",
		"kafka-cluster.sh unregister --bootstrap-server localhost:9092 --id 3",
	}
	connection := f.Connection("config", "c")
	f.Alias(connection.Bootstrap, "b")
	controllers := f.String("bootstrap-controller", "host:port,...", "Not supported: use --bootstrap-server.")
	f.Alias(controllers, "C")
	id := f.Int("id", "broker id", "With unregister: the broker to forget.")
	f.Alias(id, "i")
	fenced := f.Switch("include-fenced-brokers", "With list-endpoints: fenced brokers too.")
	f.Output()
	return func(ctx context.Context, io IO) error {
		if len(f.Rest) != 1 {
			return Usagef("kafka-cluster: error: give one of cluster-id, list-endpoints, unregister")
		}
		run, ok := map[string]func(context.Context, topicsClient) error{
			"cluster-id":     func(ctx context.Context, c topicsClient) error { return c.printClusterID(ctx, f.JSON()) },
			"list-endpoints": func(ctx context.Context, c topicsClient) error { return c.printEndpoints(ctx, fenced.Seen(), f.JSON()) },
			"unregister":     func(ctx context.Context, c topicsClient) error { return c.unregister(ctx, int32(id.Int())) },
		}[f.Rest[0]]
		switch {
		case !ok:
			return Usagef("kafka-cluster: error: argument command: invalid choice: '%s' (choose from 'cluster-id', 'unregister', 'list-endpoints')", f.Rest[0])
		case controllers.Seen():
			return errors.New("--bootstrap-controller is not supported by this tool: name the brokers with --bootstrap-server")
		case !connection.Bootstrap.Seen():
			return Usagef("kafka-cluster: error: one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required")
		case f.Rest[0] == "unregister" && !id.Seen():
			return Usagef("kafka-cluster: error: argument --id/-i is required")
		}
		ctx, client, done, err := connection.Dial(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		return run(ctx, topicsClient{client, io})
	}
}

func (c topicsClient) describeCluster(ctx context.Context, fenced bool) (*kmsg.DescribeClusterResponse, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = 1
	req.IncludeFencedBrokers = fenced
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	return resp, answer(resp.ErrorCode, resp.ErrorMessage)
}

func (c topicsClient) printClusterID(ctx context.Context, asJSON bool) error {
	cluster, err := c.describeCluster(ctx, false)
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
}

func (c topicsClient) printEndpoints(ctx context.Context, fenced, asJSON bool) error {
	cluster, err := c.describeCluster(ctx, fenced)
	if err != nil {
		return err
	}
	found := []endpoint{}
	for _, b := range cluster.Brokers {
		found = append(found, endpoint{b.NodeID, b.Host, b.Port, b.Rack, b.IsFenced})
	}
	slices.SortFunc(found, func(a, b endpoint) int { return int(a.ID) - int(b.ID) })
	if asJSON {
		return PrintJSON(c.io.Out, found)
	}
	host, rack := 4, 10
	for _, e := range found {
		host = max(host, len(e.Host))
		if e.Rack != nil {
			rack = max(rack, len(*e.Rack))
		}
	}
	line := func(id, at, port, rackName, state, kind string) {
		fmt.Fprintf(c.io.Out, "%-10s %-*s %-10s %-*s %-10s %-15s\n", id, host, at, port, rack, rackName, state, kind)
	}
	line("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE")
	for _, e := range found {
		name, state := "null", "unfenced"
		if e.Rack != nil {
			name = *e.Rack
		}
		if e.Fenced {
			state = "fenced"
		}
		line(strconv.Itoa(int(e.ID)), e.Host, strconv.Itoa(int(e.Port)), name, state, "broker")
	}
	return nil
}

func (c topicsClient) unregister(ctx context.Context, id int32) error {
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
		return fmt.Errorf("Broker %d is not registered: %s", id, strings.TrimSpace(err.Error())) //nolint:staticcheck // shown to the user as it is
	default:
		return err
	}
	return nil
}
