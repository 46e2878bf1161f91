package config

import "testing"

func BenchmarkTable(b *testing.B) {
	text, err := facts.ReadFile("facts/broker.tsv")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := readTable(text, ScopeBroker); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBroker(b *testing.B) {
	for b.Loop() {
		if _, _, err := ParseBroker(kafkaProps()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTopic(b *testing.B) {
	v, _, err := ParseBroker(kafkaProps())
	if err != nil {
		b.Fatal(err)
	}
	overrides := map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"}
	for b.Loop() {
		t, err := Topic(v, overrides)
		if err != nil {
			b.Fatal(err)
		}
		if t.Int64("retention.ms") != 1000 {
			b.Fatal("wrong")
		}
	}
}
