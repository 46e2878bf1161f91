package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

// TestTopicDescription has a line of Apache Kafka 3.9 (Elr: N/A) and one of 4.3.
func TestTopicDescription(t *testing.T) {
	topic := topicDescription{
		Topic: "orders", TopicID: "oIpHN3jxQlen3YZEYjBHTA", PartitionCount: 3, ReplicationFactor: 2,
		Configs: map[string]string{"compression.type": "lz4", "retention.ms": "1000"}, configOrder: []string{"compression.type", "retention.ms"},
	}
	partitions := []partitionDescription{
		{Partition: 0, Leader: ptr(int32(2)), Replicas: []int32{2, 0}, ISR: []int32{2, 0}},
		{Partition: 1, Replicas: []int32{1, 2}, ISR: []int32{}, ELR: []int32{1}, LastKnownELR: []int32{}},
		{Partition: 2, Leader: ptr(int32(0)), Replicas: []int32{0, 1, 2}, ISR: []int32{0}, ELR: []int32{}, LastKnownELR: []int32{}, moving: true, Adding: []int32{2}},
	}
	var out bytes.Buffer
	topic.print(&out)
	for _, p := range partitions {
		p.print(&out, "orders")
	}
	want := "Topic: orders\tTopicId: oIpHN3jxQlen3YZEYjBHTA\tPartitionCount: 3\tReplicationFactor: 2\tConfigs: compression.type=lz4,retention.ms=1000\n" +
		"\tTopic: orders\tPartition: 0\tLeader: 2\tReplicas: 2,0\tIsr: 2,0\tElr: N/A\tLastKnownElr: N/A\n" +
		"\tTopic: orders\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: \tElr: 1\tLastKnownElr: \n" +
		"\tTopic: orders\tPartition: 2\tLeader: 0\tReplicas: 0,1,2\tIsr: 0\tAdding Replicas: 2\tRemoving Replicas: \tElr: \tLastKnownElr: \n"
	if out.String() != want {
		t.Errorf(" got\n%s\nwant\n%s", out.String(), want)
	}
	if n := partitions[2].replicationFactor(); n != 2 {
		t.Errorf("replication factor %d while a replica is being added", n)
	}
}

// TestJavaHashOrder: the order in which Apache Kafka 4.3.0 printed these settings of a topic, among all 33. Two that
// share a bucket stay in the order in which the broker sent them.
func TestJavaHashOrder(t *testing.T) {
	names := strings.Fields(`cleanup.policy compression.gzip.level compression.lz4.level compression.type compression.zstd.level
		delete.retention.ms file.delete.delay.ms flush.messages flush.ms follower.replication.throttled.replicas index.interval.bytes
		leader.replication.throttled.replicas local.retention.bytes local.retention.ms max.compaction.lag.ms max.message.bytes
		message.timestamp.after.max.ms message.timestamp.before.max.ms message.timestamp.type min.cleanable.dirty.ratio
		min.compaction.lag.ms min.insync.replicas preallocate remote.log.copy.disable remote.log.delete.on.disable
		remote.storage.enable segment.bytes segment.index.bytes segment.jitter.ms segment.ms retention.bytes retention.ms
		unclean.leader.election.enable`)
	sortJavaHash(names, func(s string) string { return s })
	var got []string
	for _, name := range names {
		if strings.Contains(" compression.type min.insync.replicas cleanup.policy segment.bytes retention.ms ", " "+name+" ") {
			got = append(got, name)
		}
	}
	if want := "compression.type min.insync.replicas cleanup.policy segment.bytes retention.ms"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestGroupTables compares with what Apache Kafka 4.3.0 printed for the same groups.
func TestGroupTables(t *testing.T) {
	member := groupMember{
		MemberID: "console-consumer-ec5ab084-283e-46c1-9acc-75c06fc5fdff", Host: "/127.0.0.1", ClientID: "console-consumer",
		Assignment: map[string][]int32{"t3": {2}},
	}
	live := groupDescription{
		Group: "live", State: "Stable", Assignor: "range", Coordinator: groupCoordinator{1, "localhost", 27000},
		Members: []groupMember{member},
		Offsets: []groupOffset{
			{Topic: "t3", Partition: 2, End: ptr(int64(3)), MemberID: member.MemberID, Host: member.Host, ClientID: member.ClientID},
		},
	}
	empty := groupDescription{
		Group: "g1", State: "Empty", Coordinator: groupCoordinator{1, "localhost", 27000},
		Offsets: []groupOffset{{Topic: "t3", Partition: 1, Committed: ptr(int64(2)), LeaderEpoch: ptr(int32(0)), End: ptr(int64(2)), Lag: ptr(int64(0)), MemberID: "-", Host: "-", ClientID: "-"}},
	}
	for _, test := range []struct {
		name      string
		print     func(io IO)
		out, errs string
	}{
		{"offsets", func(io IO) { live.printOffsets(io, false) }, `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
live            t3              2          -               3               -               console-consumer-ec5ab084-283e-46c1-9acc-75c06fc5fdff /127.0.0.1      console-consumer
`, ""},
		{"offsets, verbose, no members", func(io IO) { empty.printOffsets(io, true) }, `
GROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g1              t3              1          0               2               2               0               -               -               -
`, "\nConsumer group 'g1' has no active members.\n"},
		{"members", func(io IO) { live.printMembers(io, false) }, `
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     
live            console-consumer-ec5ab084-283e-46c1-9acc-75c06fc5fdff /127.0.0.1      console-consumer 1               
`, ""},
		{"members, verbose", func(io IO) { live.printMembers(io, true) }, `
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   
live            console-consumer-ec5ab084-283e-46c1-9acc-75c06fc5fdff /127.0.0.1      console-consumer 1               -               t3:2                 -               -                   
`, ""},
		{"state", func(io IO) { live.printState(io, false) }, `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
live            localhost:27000  (1)      range                Stable               1
`, ""},
		{"state, verbose, no members", func(io IO) { empty.printState(io, true) }, `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
g1              localhost:27000  (1)      -                    Empty                -               -                         0
`, "\nConsumer group 'g1' has no active members.\n"},
	} {
		var out, errs bytes.Buffer
		test.print(IO{Out: &out, Err: &errs})
		if out.String() != test.out || errs.String() != test.errs {
			t.Errorf("%s:\n got %s%s\nwant %s%s", test.name, out.String(), errs.String(), test.out, test.errs)
		}
	}
}

func TestJavaErrors(t *testing.T) {
	for err, want := range map[error]string{
		kerr.NonEmptyGroup:            "GroupNotEmptyException: The group is not empty.",
		kerr.GroupIDNotFound:          "GroupIdNotFoundException: The group id does not exist.",
		kerr.UnknownTopicOrPartition:  "UnknownTopicOrPartitionException: This server does not host this topic-partition.",
		kerr.TopicAuthorizationFailed: "TopicAuthorizationException: Topic authorization failed.",
		kerr.OffsetOutOfRange:         "OffsetOutOfRangeException: The requested offset is not within the range of offsets maintained by the server.",
	} {
		if got := javaError(err, nil); got != "org.apache.kafka.common.errors."+want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestConfigList(t *testing.T) {
	got, err := parseConfigList("retention.ms=1000, cleanup.policy=[compact,delete],x=,SCRAM-SHA-256=[iterations=8192,password=s=t]")
	if err != nil {
		t.Fatal(err)
	}
	want := []configValue{{"retention.ms", "1000"}, {"cleanup.policy", "compact,delete"}, {"x", ""}, {"SCRAM-SHA-256", "iterations=8192,password=s=t"}}
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %v, want %v", i, got[i], want[i])
		}
	}
	for _, bad := range []string{"", "foo", "a=b,foo", "=b"} {
		if _, err := parseConfigList(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestDescribedConfigLine(t *testing.T) {
	d := describedEntity{Type: topicEntities, Name: "orders", Configs: []describedConfig{describeConfig(kmsg.DescribeConfigsResponseResourceConfig{
		Name: "segment.bytes", Value: ptr("2000000"), Source: kmsg.ConfigSourceDynamicTopicConfig,
		ConfigSynonyms: []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
			{Name: "segment.bytes", Value: ptr("2000000"), Source: kmsg.ConfigSourceDynamicTopicConfig},
			{Name: "log.segment.bytes", Value: ptr("1073741824"), Source: kmsg.ConfigSourceDefaultConfig},
		},
	}), describeConfig(kmsg.DescribeConfigsResponseResourceConfig{Name: "secret", IsSensitive: true})}}
	var out bytes.Buffer
	d.print(IO{Out: &out}, false)
	want := "Dynamic configs for topic orders are:\n" +
		"  segment.bytes=2000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=2000000, DEFAULT_CONFIG:log.segment.bytes=1073741824}\n" +
		"  secret=null sensitive=true synonyms={}\n"
	if out.String() != want {
		t.Errorf(" got %s\nwant %s", out.String(), want)
	}
}

func TestPartitionRules(t *testing.T) {
	for _, test := range []struct {
		rule      string
		topic     string
		partition int32
		want      bool
	}{
		{"orders", "orders", 5, true}, {"orders", "orders2", 0, false}, {"ord.*:1", "orders", 1, true}, {"ord.*:1", "orders", 2, false},
		{"a:0-3", "a", 2, true}, {"a:0-3", "a", 3, false}, {"a:5-", "a", 5, true}, {"a:5-", "a", 4, false}, {"a:-3", "a", 2, true}, {"a:-3", "a", 3, false},
		{":0", "anything", 0, true}, {":0", "anything", 1, false}, {"a:", "a", 9, true},
	} {
		r, err := parsePartitionRule(test.rule)
		if err != nil {
			t.Errorf("%s: %v", test.rule, err)
		} else if r.match(test.topic, test.partition) != test.want {
			t.Errorf("%s matches %s-%d: want %v", test.rule, test.topic, test.partition, test.want)
		}
	}
	for _, bad := range []string{"a:b", "a:1:2", "a:1-2-3", "a:99999999999"} {
		if _, err := parsePartitionRule(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestDeletionFile(t *testing.T) {
	good := `{"partitions":[{"topic":"a","partition":1,"offset":-1},{"topic":"b","partition":0,"offset":7}],"version":1}`
	offsets, err := parseDeletions([]byte(good))
	if o, ok := offsets.Lookup("b", 0); err != nil || !ok || o.At != 7 {
		t.Error(offsets, err)
	}
	for text, want := range map[string]string{
		`{"partitions":`: "The input string is not a valid JSON",
		`{"version":2}`:  "Not supported version field value 2",
		`{"version":1}`:  "Missing partitions field",
		`{"partitions":[{"topic":"a","partition":0,"offset":1},{"topic":"a","partition":0,"offset":2}]}`: "Offset json file contains duplicate topic partitions: a-0",
		`{"partitions":[{"topic":"a","offset":1}]}`:                                                      "--offset-json-file: entry 1 needs topic, partition and offset",
	} {
		if _, err := parseDeletions([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
