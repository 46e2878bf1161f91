package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func brokerAPIVersionsCommand() Command {
	return Command{Name: "broker-api-versions", Script: "kafka-broker-api-versions", Summary: "Show which requests each broker understands.", Build: buildAPIVersions}
}

func buildAPIVersions(f *Flags) Action {
	f.About = "This tool helps to retrieve broker version information."
	f.Examples = []string{
		"kafka-broker-api-versions.sh --bootstrap-server localhost:9092",
		"kafka-broker-api-versions.sh --bootstrap-server localhost:9092 --output json",
	}
	connection := f.Connection()
	f.Output()
	return func(ctx context.Context, io IO) error {
		if err := Require(connection.Bootstrap); err != nil {
			return err
		}
		ctx, client, done, err := connection.Dial(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		brokers, err := brokerVersions(ctx, client)
		if err != nil {
			return err
		}
		if f.JSON() {
			return PrintJSON(io.Out, brokers)
		}
		for _, b := range brokers {
			b.print(io)
		}
		return nil
	}
}

// brokerAPIs is what one broker understands, and its form with --output json.
type brokerAPIs struct {
	ID     int32        `json:"id"`
	Host   string       `json:"host"`
	Port   int32        `json:"port"`
	Rack   *string      `json:"rack"`
	Fenced bool         `json:"fenced"`
	APIs   []apiVersion `json:"apis"`
	Error  string       `json:"error,omitempty"`
}

type apiVersion struct {
	Key  int16  `json:"key"`
	Name string `json:"name"`
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

func brokerVersions(ctx context.Context, client *kgo.Client) ([]brokerAPIs, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	brokers := []brokerAPIs{}
	for _, m := range resp.Brokers {
		b := brokerAPIs{ID: m.NodeID, Host: m.Host, Port: m.Port, Rack: m.Rack, APIs: []apiVersion{}}
		versions, err := askVersions(ctx, client, m.NodeID)
		if err != nil {
			b.Error = explain(err)
		}
		b.APIs = append(b.APIs, versions...)
		brokers = append(brokers, b)
	}
	slices.SortFunc(brokers, func(a, b brokerAPIs) int { return cmp.Compare(a.ID, b.ID) })
	return brokers, nil
}

func askVersions(ctx context.Context, client *kgo.Client, id int32) ([]apiVersion, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "gregor", KafkaVersion
	raw, err := client.Broker(int(id)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.ApiVersionsResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	var versions []apiVersion
	for _, k := range resp.ApiKeys {
		name := kmsg.NameForKey(k.ApiKey)
		if name == "Unknown" || name == "" {
			name = "UNKNOWN"
		}
		if fixed, ok := kafkaNames[k.ApiKey]; ok {
			name = fixed
		}
		versions = append(versions, apiVersion{k.ApiKey, name, k.MinVersion, k.MaxVersion})
	}
	slices.SortFunc(versions, func(a, b apiVersion) int { return cmp.Compare(a.Key, b.Key) })
	return versions, nil
}

// kafkaNames are the requests that the client library calls by another name than Kafka does.
var kafkaNames = map[int16]string{
	22: "InitProducerId", 29: "DescribeAcls", 30: "CreateAcls", 31: "DeleteAcls", 50: "DescribeUserScramCredentials", 51: "AlterUserScramCredentials",
}

func (b brokerAPIs) print(io IO) {
	rack := "null"
	if b.Rack != nil {
		rack = *b.Rack
	}
	fmt.Fprintf(io.Out, "%s:%d (id: %d rack: %s isFenced: %t) -> ", b.Host, b.Port, b.ID, rack, b.Fenced)
	if b.Error != "" {
		fmt.Fprintf(io.Out, "ERROR: %s\n", b.Error)
		return
	}
	fmt.Fprintln(io.Out, "(")
	for i, v := range b.APIs {
		end := ",\n"
		if i == len(b.APIs)-1 {
			end = "\n"
		}
		fmt.Fprintf(io.Out, "\t%s(%d): %s%s", v.Name, v.Key, v.usable(), end)
	}
	fmt.Fprintln(io.Out, ")")
}

// usable is the range and the highest version that this tool speaks too.
func (v apiVersion) usable() string {
	text := strconv.Itoa(int(v.Min))
	if v.Max > v.Min {
		text += " to " + strconv.Itoa(int(v.Max))
	}
	req := kmsg.RequestForKey(v.Key)
	if req == nil || req.MaxVersion() < v.Min {
		return text + " [usable: UNSUPPORTED]"
	}
	return fmt.Sprintf("%s [usable: %d]", text, min(req.MaxVersion(), v.Max))
}
