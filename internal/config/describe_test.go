package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The files in testdata are what kafka-configs --describe --all of Apache Kafka 4.3 printed of one broker, of a topic
// with retention.ms=1000 and of a group.

func lines(entries []Entry) string {
	null := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	var b strings.Builder
	for _, e := range entries {
		var syn []string
		for _, s := range e.Synonyms {
			syn = append(syn, fmt.Sprintf("%s:%s=%s", s.Source, s.Name, null(s.Value)))
		}
		fmt.Fprintf(&b, "%s=%s sensitive=%v synonyms={%s}\n", e.Name, null(e.Value), e.Sensitive, strings.Join(syn, ", "))
	}
	return b.String()
}

func kafkaProps() map[string]string {
	return map[string]string{
		"process.roles": "broker,controller", "node.id": "1", "controller.quorum.voters": "1@localhost:26101",
		"controller.listener.names": "CONTROLLER", "listeners": "PLAINTEXT://localhost:26100,CONTROLLER://localhost:26101",
		"log.dirs": "/data", "offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr": "1", "share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr": "1", "group.initial.rebalance.delay.ms": "0",
	}
}

func kafkaLive(t *testing.T) *Live {
	t.Helper()
	v, warnings, err := ParseBroker(kafkaProps())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if strings.Contains(w.Message, "no such") {
			t.Errorf("warning about a key of Kafka: %s", w)
		}
	}
	l := NewLive(v)
	// A new cluster of Kafka 4.3 sets this one, for eligible leader replicas.
	if err := l.Update(map[string]string{"min.insync.replicas": "1"}, nil); err != nil {
		t.Fatal(err)
	}
	return l
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	want, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for line := range strings.Lines(got) {
		has[line] = true
	}
	wanted := map[string]bool{}
	for line := range strings.Lines(string(want)) {
		wanted[line] = true
		if !has[line] {
			t.Errorf("%s: missing %s", file, line)
		}
	}
	for line := range strings.Lines(got) {
		if !wanted[line] {
			t.Errorf("%s: unexpected %s", file, line)
		}
	}
}

func TestDescribeAsKafka(t *testing.T) {
	l := kafkaLive(t)
	compare(t, "kafka-broker.txt", lines(l.DescribeBroker()))
	topic, err := Topic(l.Load(), map[string]string{"retention.ms": "1000"})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "kafka-topic.txt", lines(topic.Describe()))
	group, err := Group(l.Load(), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "kafka-group.txt", lines(group.Describe()))
}

func TestSecretsAreNotShown(t *testing.T) {
	props := kafkaProps()
	props["ssl.keystore.password"] = "opensesame"
	props["my.plugin.password"] = "opensesame"
	v, _, err := ParseBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	l := NewLive(v)
	if err := l.Update(map[string]string{"other.password": "opensesame"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{lines(l.DescribeBroker()), lines(l.DescribeDefaults())} {
		if strings.Contains(text, "opensesame") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func TestJavaDouble(t *testing.T) {
	for f, want := range map[float64]string{0.5: "0.5", 1: "1.0", 0: "0.0", 1e7: "1.0E7", 1.25e-4: "1.25E-4", 123456.5: "123456.5"} {
		if got := javaDouble(f); got != want {
			t.Errorf("javaDouble(%g) = %s, want %s", f, got, want)
		}
	}
}
