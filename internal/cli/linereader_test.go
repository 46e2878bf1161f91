package cli

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lines reads all records of a text and prints them.
func lines(t *testing.T, text string, props map[string]string) (string, error) {
	t.Helper()
	prompts := 0
	r, err := newLineReader(strings.NewReader(text), "orders", props, func() { prompts++ })
	if err != nil {
		return "", err
	}
	var out strings.Builder
	n := 0
	for {
		record, err := r.Next()
		if err == io.EOF {
			if prompts != n+1 {
				t.Errorf("%d prompts for %d lines", prompts, n)
			}
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		n++
		out.WriteString(show(record) + "\n")
	}
}

func show(r *kgo.Record) string {
	null := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	text := null(r.Key) + "=" + null(r.Value)
	for _, h := range r.Headers {
		text += " " + h.Key + ":" + null(h.Value)
	}
	return text
}

func TestLineReader(t *testing.T) {
	both := map[string]string{"parse.key": "true", "parse.headers": "true", "null.marker": "NULL"}
	for _, test := range []struct {
		text  string
		props map[string]string
		want  string
	}{
		{"a\nb", nil, "null=\"a\"\nnull=\"b\"\n"},
		{"a\r\nb\rc\n\nd\n", nil, "null=\"a\"\nnull=\"b\"\nnull=\"c\"\nnull=\"\"\nnull=\"d\"\n"},
		{"", nil, ""},
		{"\n", nil, "null=\"\"\n"},
		{"k\tv\tw", map[string]string{"parse.key": "true"}, "\"k\"=\"v\\tw\"\n"},
		{"k:v", map[string]string{"parse.key": "true", "key.separator": ":"}, "\"k\"=\"v\"\n"},
		{"h1:v1,h2:NULL\tNULL\tNULL", both, "null=null h1:\"v1\" h2:null\n"},
		{"NULL\tk\tv", both, "\"k\"=\"v\"\n"},
		{"no separator", map[string]string{"parse.key": "true", "ignore.error": "true"}, "null=\"no separator\"\n"},
		{"h\tv", map[string]string{"parse.headers": "true", "ignore.error": "true"}, "null=\"v\" h:null\n"},
		{"\xff\xfe\n", nil, "null=\"\\xff\\xfe\"\n"}, // bytes stay bytes
	} {
		got, err := lines(t, test.text, test.props)
		if err != nil || got != test.want {
			t.Errorf("%q %v: %v\n got %s\nwant %s", test.text, test.props, err, got, test.want)
		}
	}
}

func TestLineReaderRefuses(t *testing.T) {
	for _, test := range []struct {
		text  string
		props map[string]string
		want  string
	}{
		{"k\tv\nabc", map[string]string{"parse.key": "true"}, "No key separator found on line number 2: 'abc'"},
		{"abc", map[string]string{"parse.headers": "true"}, "No headers delimiter found on line number 1: 'abc'"},
		{"h\tv", map[string]string{"parse.headers": "true"}, "No header key separator found in pair 'h' on line number 1"},
		{"N:v\tv", map[string]string{"parse.headers": "true", "null.marker": "N"}, "Header keys should not be equal to the null marker 'N' as they can't be null"},
		{"", map[string]string{"headers.delimiter": ","}, "headers.delimiter and headers.separator may not be equal"},
		{"", map[string]string{"null.marker": "\t"}, "null.marker and key.separator may not be equal"},
	} {
		if _, err := lines(t, test.text, test.props); err == nil || err.Error() != test.want {
			t.Errorf("%q %v: %v, want %s", test.text, test.props, err, test.want)
		}
	}
}

func TestPartitionerTakesTurns(t *testing.T) {
	p, err := partitionerFor(nil)
	if err != nil {
		t.Fatal(err)
	}
	topic := p.ForTopic("orders")
	var got []int
	for range 5 {
		got = append(got, topic.Partition(&kgo.Record{}, 3))
	}
	if fmt.Sprint(got) != "[0 1 2 0 1]" {
		t.Errorf("keyless records go to %v", got)
	}
	// murmur2 of Kafka's Java client: hello -> 2132663229, toPositive, mod 3.
	keyed := &kgo.Record{Key: []byte("hello")}
	first := topic.Partition(keyed, 3)
	for range 3 {
		if p := topic.Partition(keyed, 3); p != first {
			t.Errorf("one key went to %d and %d", first, p)
		}
	}
	if topic.RequiresConsistency(&kgo.Record{}) || !topic.RequiresConsistency(keyed) {
		t.Error("only a key binds a record to a partition")
	}
	all, _ := partitionerFor(map[string]string{"partitioner.class": "org.apache.kafka.clients.producer.RoundRobinPartitioner"})
	topic = all.ForTopic("orders")
	if a, b := topic.Partition(keyed, 3), topic.Partition(keyed, 3); a == b {
		t.Errorf("RoundRobinPartitioner put one key into %d twice", a)
	}
	if _, err := partitionerFor(map[string]string{"partitioner.class": "com.example.Mine"}); err == nil || !strings.Contains(err.Error(), "partitioner.class") {
		t.Error(err)
	}
}
