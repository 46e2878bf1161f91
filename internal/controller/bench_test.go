package controller

import (
	"fmt"
	"testing"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// benchCluster is three brokers, and a topic for every ten partitions. Broker 4 has ten partitions of its own.
type benchCluster struct {
	b *testing.B
	m *machine
	e env
}

func newBenchCluster(b *testing.B, partitions int) *benchCluster {
	b.Helper()
	values, _, err := config.ParseBroker(map[string]string{"node.id": "1"})
	if err != nil {
		b.Fatal(err)
	}
	m, err := newMachine("C", metadata.NewImage("C"), 0)
	if err != nil {
		b.Fatal(err)
	}
	c := &benchCluster{b, m, env{nowMs: 1, config: values, newUUID: metadata.NewUUID, random: func(int) int { return 0 }}}
	c.put(recordsOf(BootstrapRecords())...)
	for id := range int32(4) {
		c.put(&metadata.RegisterBrokerRecord{BrokerID: id + 1, LogDirs: []metadata.UUID{dirID(id + 1)}})
		m.soft.hear(id+1, 1, 0)
	}
	for i := range partitions / 10 {
		replicas := []int32{1, 2, 3}
		if i == 0 {
			replicas = []int32{4, 1, 2}
		}
		topic := metadata.NewUUID()
		records := []metadata.Record{&metadata.TopicRecord{Name: fmt.Sprintf("topic-%06d", i), TopicID: topic}}
		for id := range int32(10) {
			p := &metadata.Partition{Replicas: replicas, ISR: replicas, Leader: replicas[0], Dirs: []metadata.UUID{dirID(1), dirID(2), dirID(3)}}
			records = append(records, p.Record(topic, id))
		}
		c.put(records...)
	}
	return c
}

func (c *benchCluster) put(records ...metadata.Record) {
	if err := c.m.apply(records, c.m.nextOffset()+int64(len(records))-1, 1); err != nil {
		c.b.Fatal(err)
	}
}

func (c *benchCluster) ask(req kmsg.Request) { c.put(c.m.request(c.e, Caller{}, req).records...) }

// Every change costs what it changes, however much there is.
func BenchmarkMachine(b *testing.B) {
	for _, partitions := range []int{10_000, 100_000} {
		c := newBenchCluster(b, partitions)
		first := c.m.hard.image.Topic("topic-000001")
		run := func(name string, once func(b *testing.B, i int)) {
			b.Run(fmt.Sprintf("%s/%d", name, partitions), func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					once(b, i)
				}
			})
		}
		run("tick", func(b *testing.B, _ int) {
			if d, _ := c.m.tick(c.e); len(d.records) > 0 {
				b.Fatal("ticking changes something")
			}
		})
		run("heartbeat", func(*testing.B, int) {
			req := kmsg.NewPtrBrokerHeartbeatRequest()
			req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = 1, 0, c.m.hard.image.Offset()
			c.ask(req)
		})
		run("createTopic", func(b *testing.B, i int) {
			c.ask(createRequest(fmt.Sprint("more-", partitions, "-", b.N, "-", i, "-", c.m.nextOffset())))
		})
		run("alterPartition", func(b *testing.B, i int) {
			p := c.m.hard.image.TopicByID(first.ID).Partitions[i%10]
			isr := [][]int32{{1, 2}, {1, 2, 3}}[p.PartitionEpoch%2]
			want := kmsg.NewAlterPartitionRequestTopicPartition()
			want.Partition, want.LeaderEpoch, want.PartitionEpoch = int32(i%10), p.LeaderEpoch, p.PartitionEpoch
			for _, id := range isr {
				want.NewEpochISR = append(want.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
			}
			req := kmsg.NewPtrAlterPartitionRequest()
			req.Version, req.BrokerID, req.BrokerEpoch = 3, 1, 0
			req.Topics = []kmsg.AlterPartitionRequestTopic{{TopicID: first.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{want}}}
			if c.ask(req); c.m.hard.image.TopicByID(first.ID).Partitions[i%10].PartitionEpoch == p.PartitionEpoch {
				b.Fatal("the ISR does not change")
			}
		})
		run("fenceOneOfTenPartitions", func(*testing.B, int) {
			c.put(c.m.lost(c.e, 4, 0).records...)
			req := kmsg.NewPtrBrokerHeartbeatRequest()
			req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = 4, 0, c.m.hard.image.Offset()
			c.ask(req)
			var records []metadata.Record
			for at := range c.m.partitions(c.e, c.m.hard.replicasOn[4]) { // back to where it was
				r := metadata.NewPartitionChangeRecord()
				r.TopicID, r.PartitionID, r.Leader, r.ISR = at.topic.ID, at.id, 4, []int32{4, 1, 2}
				records = append(records, r)
			}
			c.put(records...)
		})
		run("fenceOneOfAll", func(b *testing.B, _ int) {
			c.put(c.m.lost(c.e, 1, 0).records...)
			b.StopTimer()
			req := kmsg.NewPtrBrokerHeartbeatRequest()
			req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = 1, 0, c.m.hard.image.Offset()
			c.ask(req)
			var records []metadata.Record
			for at := range c.m.partitions(c.e, c.m.hard.replicasOn[1]) {
				r := metadata.NewPartitionChangeRecord()
				r.TopicID, r.PartitionID, r.Leader, r.ISR = at.topic.ID, at.id, at.p.Replicas[0], at.p.Replicas
				records = append(records, r)
			}
			c.put(records...)
			b.StartTimer()
		})
	}
}
