package controller

import (
	"fmt"
	"testing"

	"gregor/internal/config"
	"gregor/internal/metadata"
)

// Making a topic costs the same, however many there are.
func BenchmarkCreateTopic(b *testing.B) {
	values, _, err := config.ParseBroker(map[string]string{"node.id": "1"})
	if err != nil {
		b.Fatal(err)
	}
	for _, topics := range []int{100, 10_000} {
		m, err := newMachine("C", metadata.NewImage("C"), 0)
		if err != nil {
			b.Fatal(err)
		}
		e := env{config: values, newUUID: metadata.NewUUID, random: func(int) int { return 0 }}
		put := func(records ...metadata.Record) {
			if err := m.apply(records, m.nextOffset()+int64(len(records))-1, 1); err != nil {
				b.Fatal(err)
			}
		}
		put(&metadata.RegisterBrokerRecord{BrokerID: 1})
		for i := range topics {
			put(m.request(e, Caller{}, createRequest(fmt.Sprint("topic-", i))).records...)
		}
		b.Run(fmt.Sprint(topics), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				put(m.request(e, Caller{}, createRequest(fmt.Sprintf("more-%d-%d", b.N, i))).records...)
			}
		})
	}
}
