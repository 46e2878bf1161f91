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
	Min  int16  `json:"min"` // -1: the broker does not have it
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
		if known, ok := clientAPIs[k.ApiKey]; ok {
			name = known
		}
		versions = append(versions, apiVersion{Key: k.ApiKey, Name: name, Min: k.MinVersion, Max: k.MaxVersion})
	}
	for key, name := range clientAPIs {
		if !slices.ContainsFunc(versions, func(v apiVersion) bool { return v.Key == key }) {
			versions = append(versions, apiVersion{Key: key, Name: name, Min: -1, Max: -1})
		}
	}
	slices.SortFunc(versions, func(a, b apiVersion) int { return cmp.Compare(a.Key, b.Key) })
	return versions, nil
}

// clientAPIs are the requests that Kafka 4.3.0's clients know, by their names in Kafka; what a broker does not have of
// them is printed as UNSUPPORTED.
var clientAPIs = map[int16]string{
	0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch",
	10: "FindCoordinator", 11: "JoinGroup", 12: "Heartbeat", 13: "LeaveGroup", 14: "SyncGroup", 15: "DescribeGroups",
	16: "ListGroups", 17: "SaslHandshake", 18: "ApiVersions", 19: "CreateTopics", 20: "DeleteTopics",
	21: "DeleteRecords", 22: "InitProducerId", 23: "OffsetForLeaderEpoch", 24: "AddPartitionsToTxn",
	25: "AddOffsetsToTxn", 26: "EndTxn", 27: "WriteTxnMarkers", 28: "TxnOffsetCommit", 29: "DescribeAcls",
	30: "CreateAcls", 31: "DeleteAcls", 32: "DescribeConfigs", 33: "AlterConfigs", 34: "AlterReplicaLogDirs",
	35: "DescribeLogDirs", 36: "SaslAuthenticate", 37: "CreatePartitions", 38: "CreateDelegationToken",
	39: "RenewDelegationToken", 40: "ExpireDelegationToken", 41: "DescribeDelegationToken", 42: "DeleteGroups",
	43: "ElectLeaders", 44: "IncrementalAlterConfigs", 45: "AlterPartitionReassignments",
	46: "ListPartitionReassignments", 47: "OffsetDelete", 48: "DescribeClientQuotas", 49: "AlterClientQuotas",
	50: "DescribeUserScramCredentials", 51: "AlterUserScramCredentials", 55: "DescribeQuorum", 57: "UpdateFeatures",
	60: "DescribeCluster", 61: "DescribeProducers", 64: "UnregisterBroker", 65: "DescribeTransactions",
	66: "ListTransactions", 68: "ConsumerGroupHeartbeat", 69: "ConsumerGroupDescribe",
	71: "GetTelemetrySubscriptions", 72: "PushTelemetry", 74: "ListConfigResources", 75: "DescribeTopicPartitions",
	76: "ShareGroupHeartbeat", 77: "ShareGroupDescribe", 78: "ShareFetch", 79: "ShareAcknowledge",
	80: "AddRaftVoter", 81: "RemoveRaftVoter", 83: "InitializeShareGroupState", 84: "ReadShareGroupState",
	85: "WriteShareGroupState", 86: "DeleteShareGroupState", 87: "ReadShareGroupStateSummary",
	88: "StreamsGroupHeartbeat", 89: "StreamsGroupDescribe", 90: "DescribeShareGroupOffsets",
	91: "AlterShareGroupOffsets", 92: "DeleteShareGroupOffsets",
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
	if v.Max < 0 {
		return "UNSUPPORTED"
	}
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
