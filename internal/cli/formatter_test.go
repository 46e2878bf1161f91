package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDefaultFormatter(t *testing.T) {
	record := &kgo.Record{
		Topic: "orders", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1795369071537),
		Key: []byte("k"), Value: []byte("v"),
		Headers: []kgo.RecordHeader{{Key: "h1", Value: []byte("a")}, {Key: "h2"}},
	}
	for _, test := range []struct{ props, want string }{
		{"", "v\n"},
		{"print.key=true", "k\tv\n"},
		{"print.key=TRUE key.separator=:", "k:v\n"},
		{"print.value=false", ""},
		{"print.key=true print.value=false", "k\n"},
		{"print.timestamp=true print.partition=true print.offset=true print.delivery=true print.epoch=true print.headers=true print.key=true",
			"CreateTime:1795369071537\tPartition:2\tOffset:7\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\th1:a,h2:null\tk\tv\n"},
		{"print.headers=true headers.separator=| null.literal=NIL", "h1:a|h2:NIL\tv\n"},
		{"line.separator=;", "v;"},
	} {
		if got := format(t, "org.apache.kafka.tools.consumer.DefaultMessageFormatter", test.props, record); got != test.want {
			t.Errorf("%s: %q, want %q", test.props, got, test.want)
		}
	}
	empty := &kgo.Record{Topic: "orders", Value: nil}
	if got := format(t, "kafka.tools.DefaultMessageFormatter", "print.headers=true print.key=true", empty); got != "NO_HEADERS\tnull\tnull\n" {
		t.Errorf("nulls: %q", got)
	}
}

// format prints records with the formatter of a class.
func format(t *testing.T, class, props string, records ...*kgo.Record) string {
	t.Helper()
	f, err := newFormatter(class, KeyValues(strings.Fields(props)), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, r := range records {
		if err := f.Write(&out, r); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestUnknownFormatterIsNamed(t *testing.T) {
	_, err := newFormatter("foo.Bar", nil, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "foo.Bar") || !strings.Contains(err.Error(), "OffsetsMessageFormatter") {
		t.Error(err)
	}
}

func TestDeserializers(t *testing.T) {
	for _, test := range []struct {
		class string
		in    []byte
		want  string
	}{
		{"org.apache.kafka.common.serialization.StringDeserializer", []byte("abc"), "abc"},
		{"IntegerDeserializer", []byte{0xff, 0xff, 0xff, 0xfe}, "-2"},
		{"LongDeserializer", []byte{0, 0, 0, 0, 0, 0, 1, 0}, "256"},
		{"ShortDeserializer", []byte{0x80, 0}, "-32768"},
		{"DoubleDeserializer", []byte{0x3f, 0xf0, 0, 0, 0, 0, 0, 0}, "1.0"},
		{"DoubleDeserializer", []byte{0x42, 0x0b, 0xf0, 0x8e, 0xb0, 0, 0, 0}, "1.5E10"},
		{"FloatDeserializer", []byte{0x3d, 0xcc, 0xcc, 0xcd}, "0.1"},
		{"BooleanDeserializer", []byte{1}, "true"},
	} {
		d, err := findDeserializer(test.class)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d(test.in); err != nil || string(got) != test.want {
			t.Errorf("%s %v: %q %v, want %q", test.class, test.in, got, err, test.want)
		}
	}
	d, _ := findDeserializer("IntegerDeserializer")
	if _, err := d([]byte{1}); err == nil || err.Error() != "Size of data received by IntegerDeserializer is not 4" {
		t.Error(err)
	}
	if _, err := findDeserializer("com.example.Avro"); err == nil {
		t.Error("an unknown class was accepted")
	}
}

// TestCoordinatorFormatters compares with lines that Apache Kafka 4.3.0 printed.
func TestCoordinatorFormatters(t *testing.T) {
	offsetKey := (&kmsg.OffsetCommitKey{Version: 1, Group: "g1", Topic: "t3", Partition: 1}).AppendTo(nil)
	id, err := parseTopicID("g2Dqfjd9SWiqRlBPbtb2QA")
	if err != nil {
		t.Fatal(err)
	}
	offsetValue := (&kmsg.OffsetCommitValue{Version: 4, Offset: 3, CommitTimestamp: 1795369091408, TopicID: id}).AppendTo(nil)
	groupKey := (&kmsg.GroupMetadataKey{Version: 2, Group: "g1"}).AppendTo(nil)
	range_ := "range"
	leader := "m1"
	member := kmsg.NewGroupMetadataValueMember()
	member.MemberID, member.ClientID, member.ClientHost = "m1", "console-consumer", "/127.0.0.1"
	member.RebalanceTimeoutMillis, member.SessionTimeoutMillis = 300000, 45000
	member.Subscription, member.Assignment = []byte{0, 3}, []byte{0, 3, 255}
	groupValue := (&kmsg.GroupMetadataValue{
		Version: 3, ProtocolType: "consumer", Generation: 1, Protocol: &range_, Leader: &leader,
		CurrentStateTimestamp: 1795369082783, Members: []kmsg.GroupMetadataValueMember{member},
	}).AppendTo(nil)
	records := []*kgo.Record{
		{Topic: "__consumer_offsets", Key: offsetKey, Value: offsetValue},
		{Topic: "__consumer_offsets", Key: groupKey, Value: groupValue},
		{Topic: "__consumer_offsets", Key: offsetKey},
		{Topic: "__consumer_offsets", Key: []byte{0, 3, 1}},
	}
	got := format(t, "org.apache.kafka.tools.consumer.OffsetsMessageFormatter", "", records...)
	want := `{"key":{"type":1,"data":{"group":"g1","topic":"t3","partition":1}},"value":{"version":4,"data":{"offset":3,"leaderEpoch":0,"metadata":"","commitTimestamp":1795369091408,"topicId":"g2Dqfjd9SWiqRlBPbtb2QA"}}}` +
		`{"key":{"type":1,"data":{"group":"g1","topic":"t3","partition":1}},"value":null}`
	if got != want {
		t.Errorf("offsets:\n got %s\nwant %s", got, want)
	}
	got = format(t, "org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter", "", records...)
	want = `{"key":{"type":2,"data":{"group":"g1"}},"value":{"version":3,"data":{"protocolType":"consumer","generation":1,"protocol":"range","leader":"m1","currentStateTimestamp":1795369082783,"members":[{"memberId":"m1","groupInstanceId":null,"clientId":"console-consumer","clientHost":"/127.0.0.1","rebalanceTimeout":300000,"sessionTimeout":45000,"subscription":"AAM=","assignment":"AAP/"}]}}}`
	if got != want {
		t.Errorf("groups:\n got %s\nwant %s", got, want)
	}
}

// FuzzCoordinatorFormatters: what is in the log of a coordinator never makes the tool panic.
func FuzzCoordinatorFormatters(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, []byte{0, 3, 0, 0})
	f.Add([]byte{0, 2, 0, 1, 'g'}, []byte{0, 3, 0, 0})
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		var out bytes.Buffer
		_ = offsetsFormatter{}.Write(&out, &kgo.Record{Key: key, Value: value})
		_ = groupFormatter{}.Write(&out, &kgo.Record{Key: key, Value: value})
	})
}
