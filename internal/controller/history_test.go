package controller

import (
	"fmt"
	"slices"
	"testing"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// history is a machine and the brokers it speaks with, which hold records: it knows of each replica how much of what was
// acknowledged it has.
type history struct {
	t       *rapid.T
	m       *machine
	e       env
	uuids   byte
	brokers map[int32]*historyBroker
	parts   map[string]*historyPartition
	// disksLose says that a process that ends without a word may lose what it had not written. Without eligible leader
	// replicas nobody can help that, so then they are on all the time; else they come and go.
	disksLose bool
}

type historyBroker struct {
	up          bool
	incarnation byte
	epoch       int64 // of the registration, 0 when there is none
	clean       bool  // ended with a controlled shutdown
}

// historyPartition is the data of one partition.
type historyPartition struct {
	acked int           // records that producers with acks=all were told of
	has   map[int32]int // broker -> how many of them it has
}

// Whatever brokers and operators do, no acknowledged record is lost unless somebody accepts it, partitions keep their
// rules, epochs grow, a partition that could have a leader has one, and nothing is written in vain.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(10, 120).Draw(t, "steps") {
			h.step()
		}
		h.rebuild()
	})
}

func newHistory(t *rapid.T) *history {
	values, _, err := config.ParseBroker(map[string]string{"node.id": "100", "min.insync.replicas": "1"})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, brokers: map[int32]*historyBroker{}, parts: map[string]*historyPartition{}, disksLose: rapid.Bool().Draw(t, "disks lose")}
	h.e = env{nowMs: 1_000_000, config: values, random: func(int) int { return 0 }}
	h.e.newUUID = func() metadata.UUID { h.uuids++; return metadata.UUID{0: h.uuids, 15: 100} }
	if h.m, err = newMachine("C", metadata.NewImage("C"), h.e.nowMs); err != nil {
		t.Fatal(err)
	}
	h.apply(decision{records: recordsOf(BootstrapRecords())})
	h.apply(decision{records: h.m.minISRRecords(h.e)})
	for id := range int32(5) {
		h.brokers[id] = &historyBroker{}
		h.start(id)
		h.heartbeat(id, false)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "topics") {
		h.create(fmt.Sprint("t", i))
	}
	return h
}

func (h *history) ask(req kmsg.Request) kmsg.Response {
	d := h.m.request(h.e, Caller{}, req)
	h.apply(d)
	return d.reply
}

// start is a process that begins, and registers.
func (h *history) start(id int32) {
	b := h.brokers[id]
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID = 4, id, "C"
	b.incarnation++
	req.IncarnationID = [16]byte{0: 200, 1: b.incarnation, 14: byte(id), 15: 100}
	req.LogDirs = [][16]byte{dirID(id)}
	for _, name := range []string{metadata.MetadataVersionFeature, metadata.TransactionVersion, metadata.ELRVersionFeature} {
		r := SupportedFeatures()[name]
		req.Features = append(req.Features, kmsg.BrokerRegistrationRequestFeature{Name: name, MinSupportedVersion: r.Min, MaxSupportedVersion: r.Max})
	}
	if b.clean {
		req.PreviousBrokerEpoch = b.epoch
	}
	resp := h.ask(req).(*kmsg.BrokerRegistrationResponse)
	if resp.ErrorCode != 0 {
		h.t.Fatalf("broker %d is not registered: error %d", id, resp.ErrorCode)
	}
	b.up, b.clean, b.epoch = true, false, resp.BrokerEpoch
}

func (h *history) heartbeat(id int32, shutdown bool) *kmsg.BrokerHeartbeatResponse {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch, req.WantShutdown = id, h.brokers[id].epoch, shutdown
	req.CurrentMetadataOffset = h.m.hard.image.Offset()
	return h.ask(req).(*kmsg.BrokerHeartbeatResponse)
}

// die ends a process without a word. Its disk may have lost what was not written yet.
func (h *history) die(id int32) {
	b := h.brokers[id]
	b.up, b.clean = false, false
	for _, p := range h.parts {
		if !h.disksLose {
			break
		}
		if had := p.has[id]; had > 0 {
			p.has[id] = rapid.IntRange(0, had).Draw(h.t, "left on disk")
		}
	}
}

func (h *history) create(name string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, int16(rapid.IntRange(1, 3).Draw(h.t, "replicas"))
	minISR := fmt.Sprint(rapid.IntRange(1, 3).Draw(h.t, "min.insync.replicas"))
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: keyMinISR, Value: &minISR}}
	req.Topics = append(req.Topics, topic)
	h.ask(req)
}

// partition draws one.
func (h *history) partition() (*metadata.Topic, int32, *metadata.Partition) {
	var topics []*metadata.Topic
	for t := range h.m.hard.image.Topics() {
		topics = append(topics, t)
	}
	topic := rapid.SampledFrom(topics).Draw(h.t, "topic")
	id := int32(rapid.IntRange(0, len(topic.Partitions)-1).Draw(h.t, "partition"))
	return topic, id, topic.Partitions[id]
}

func (h *history) step() {
	id := int32(rapid.IntRange(0, 4).Draw(h.t, "broker"))
	b := h.brokers[id]
	kind := rapid.SampledFrom([]string{"broker", "broker", "broker", "write", "write", "isr", "isr", "isr", "reassign", "cancel", "elect", "config", "feature", "time", "failover"}).Draw(h.t, "step")
	switch kind {
	case "broker":
		h.stepBroker(id, b)
	case "write":
		h.write()
	case "isr":
		h.alterISR()
	case "reassign", "cancel":
		h.reassign(kind == "cancel")
	case "elect":
		topic, id, _ := h.partition()
		req := kmsg.NewPtrElectLeadersRequest()
		req.Version, req.ElectionType = 2, int8(rapid.IntRange(0, 1).Draw(h.t, "election"))
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: topic.Name, Partitions: []int32{id}}}
		h.ask(req)
	case "config":
		h.alterConfig()
	case "feature":
		if h.disksLose {
			break
		}
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 2
		level := int16(rapid.IntRange(0, 1).Draw(h.t, "level"))
		req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: metadata.ELRVersionFeature, MaxVersionLevel: level, UpgradeType: safeDowngrade - int8(level)}}
		h.ask(req)
	case "time":
		for id, b := range h.brokers {
			if b.up {
				h.m.soft.hear(id, h.e.nowMs, h.m.hard.image.Offset())
			}
		}
		for range rapid.IntRange(1, 400).Draw(h.t, "seconds") {
			h.e.nowMs += 1000
			for id, b := range h.brokers {
				if it := h.m.soft.sessions[id]; it != nil && b.up {
					it.heardMs = h.e.nowMs
				}
			}
			for next := int64(0); next == 0; {
				var d decision
				d, next = h.m.tick(h.e)
				h.apply(d)
			}
		}
	case "failover":
		h.rebuild()
	}
}

func (h *history) stepBroker(id int32, b *historyBroker) {
	switch rapid.SampledFrom([]string{"kill", "kill and notice", "lost", "heartbeat", "heartbeat", "shutdown", "start", "start", "unregister"}).Draw(h.t, "broker's step") {
	case "kill":
		if b.up {
			h.die(id)
		}
	case "kill and notice":
		if b.up {
			h.die(id)
			h.apply(h.m.lost(h.e, id, b.epoch))
		}
	case "lost": // a mistake: it lives
		h.apply(h.m.lost(h.e, id, b.epoch))
	case "heartbeat":
		if b.up {
			h.heartbeat(id, false)
		}
	case "shutdown":
		for range 5 {
			if b.up && h.heartbeat(id, true).ShouldShutdown {
				b.up, b.clean = false, true
			}
			for other, o := range h.brokers {
				if o.up && other != id && h.m.hard.isActive(other) {
					h.m.soft.hear(other, h.e.nowMs, h.m.hard.image.Offset())
				}
			}
		}
	case "start":
		if !b.up {
			h.start(id)
		}
	case "unregister":
		if !b.up && rapid.IntRange(0, 3).Draw(h.t, "really") == 0 {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = id
			h.ask(req)
			b.epoch = 0
		}
	}
}

// write acknowledges a record as the leader would: if it lives, and enough are in sync, all of which then have it.
func (h *history) write() {
	topic, id, p := h.partition()
	data := h.data(topic, id)
	if p.Leader < 0 || !h.brokers[p.Leader].up || len(p.ISR) < h.minISR(topic, p) {
		return
	}
	for _, member := range p.ISR {
		if !h.brokers[member].up {
			return // it does not fetch
		}
	}
	data.acked++
	for _, member := range p.ISR {
		data.has[member] = data.acked
	}
}

func (h *history) data(topic *metadata.Topic, id int32) *historyPartition {
	key := fmt.Sprint(topic.Name, "-", id)
	if h.parts[key] == nil {
		h.parts[key] = &historyPartition{has: map[int32]int{}}
	}
	return h.parts[key]
}

func (h *history) minISR(topic *metadata.Topic, p *metadata.Partition) int {
	return min(h.m.rules(h.e, topic).minISR, len(p.Replicas))
}

// alterISR has a leader propose an ISR: who joins has fetched everything.
func (h *history) alterISR() {
	topic, id, p := h.partition()
	if p.Leader < 0 || !h.brokers[p.Leader].up {
		return
	}
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, p.Leader, h.brokers[p.Leader].epoch
	want := kmsg.NewAlterPartitionRequestTopicPartition()
	want.Partition, want.LeaderEpoch, want.PartitionEpoch = id, p.LeaderEpoch, p.PartitionEpoch
	data := h.data(topic, id)
	for _, member := range p.Replicas {
		stays := member == p.Leader
		if !stays {
			stays = rapid.Bool().Draw(h.t, "in sync") && h.brokers[member].up
		}
		if !stays {
			continue
		}
		want.NewEpochISR = append(want.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: member, BrokerEpoch: h.brokers[member].epoch})
		if !p.InISR(member) {
			data.has[member] = data.acked
		}
	}
	req.Topics = []kmsg.AlterPartitionRequestTopic{{TopicID: topic.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{want}}}
	h.ask(req)
}

func (h *history) reassign(cancel bool) {
	topic, id, _ := h.partition()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.AllowReplicationFactorChange = true
	var replicas []int32
	if !cancel {
		replicas = rapid.Permutation([]int32{0, 1, 2, 3, 4}).Draw(h.t, "to")[:rapid.IntRange(1, 3).Draw(h.t, "replicas")]
	}
	req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic.Name, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: id, Replicas: replicas}}}}
	h.ask(req)
}

func (h *history) alterConfig() {
	topic, _, _ := h.partition()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	name, value := keyMinISR, fmt.Sprint(rapid.IntRange(1, 3).Draw(h.t, "min.insync.replicas"))
	if rapid.IntRange(0, 4).Draw(h.t, "which") == 0 {
		name, value = keyUnclean, fmt.Sprint(rapid.Bool().Draw(h.t, "unclean"))
	}
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic.Name}
	if name == keyMinISR && rapid.Bool().Draw(h.t, "cluster") {
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, ""
	}
	r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Value: &value}}
	req.Resources = append(req.Resources, r)
	h.ask(req)
}

// apply takes a decision over, record by record, and looks at what came of it.
func (h *history) apply(d decision) {
	if len(d.records) == 0 {
		return
	}
	old := h.m.hard.image
	for i, r := range d.records {
		if c, ok := r.(*metadata.PartitionChangeRecord); ok && !cleared(d.records[:i]) {
			h.checkChange(old.TopicByID(c.TopicID), c)
		}
	}
	if err := h.m.apply(d.records, h.m.nextOffset()+int64(len(d.records))-1, 1); err != nil {
		h.t.Fatal(err)
	}
	for topic := range h.m.hard.image.Topics() {
		for id, p := range topic.Partitions {
			was := old.Partition(topic.Name, int32(id))
			if was == nil {
				was = &metadata.Partition{Leader: p.Leader}
			}
			h.checkStep(topic, int32(id), was, p)
		}
	}
}

// cleared reports whether eligible leader replicas were forgotten, after which those that are still good are noted anew.
func cleared(records []metadata.Record) bool {
	return slices.ContainsFunc(records, func(r metadata.Record) bool { _, ok := r.(*metadata.ClearElrRecord); return ok })
}

func (h *history) checkChange(topic *metadata.Topic, r *metadata.PartitionChangeRecord) {
	p := topic.Partitions[r.PartitionID]
	next := p.Merge(r)
	next.PartitionEpoch = p.PartitionEpoch
	if fmt.Sprintf("%v", *next) == fmt.Sprintf("%v", *p) {
		h.t.Fatalf("a change in vain: %+v of %+v", r, p)
	}
}

func (h *history) checkStep(topic *metadata.Topic, id int32, was, p *metadata.Partition) {
	t, data, name := h.t, h.data(topic, id), fmt.Sprint(topic.Name, "-", id)
	hasELR := h.m.hard.image.HasELR()
	if len(p.ISR) > 0 || hasELR {
		checkPartition(t, hasELR, h.minISR(topic, p), p)
	}
	if p.PartitionEpoch < was.PartitionEpoch || p.LeaderEpoch < was.LeaderEpoch || p.Leader != was.Leader && p.LeaderEpoch == was.LeaderEpoch {
		t.Fatalf("%s: epochs: %+v after %+v", name, p, was)
	}
	if p.Leader >= 0 && !h.m.hard.isActive(p.Leader) {
		t.Fatalf("%s: broker %d leads and is not active: %+v after %+v", name, p.Leader, p, was)
	}
	if p.Leader < 0 {
		from := p.ISR
		if len(from) == 0 {
			from = p.ELR
		}
		for _, member := range from {
			if h.m.hard.isActive(member) {
				t.Fatalf("%s: broker %d could lead: %+v", name, member, p)
			}
		}
	} else {
		for _, member := range p.ISR {
			if !h.m.hard.isActive(member) {
				t.Fatalf("%s: broker %d is in sync and not active: %+v", name, member, p)
			}
		}
	}
	switch {
	case p.LeaderEpoch == was.LeaderEpoch || p.Leader < 0 || !h.brokers[p.Leader].up: // a dead one serves nobody
	case p.RecoveryState == metadata.LeaderRecovering:
		data.acked = min(data.acked, data.has[p.Leader]) // somebody accepted that, or the last leader's disk lost it
		for member, has := range data.has {
			data.has[member] = min(has, data.acked)
		}
	case data.has[p.Leader] < data.acked:
		t.Fatalf("%s: broker %d leads with %d of %d acknowledged records: %+v after %+v", name, p.Leader, data.has[p.Leader], data.acked, p, was)
	}
	for _, member := range p.Replicas {
		if !was.IsReplica(member) {
			data.has[member] = 0
		}
	}
}

// rebuild is a failover: the state is made anew from what is in the log, and so are the indexes.
func (h *history) rebuild() {
	delta, err := h.m.hard.image.DeltaFromEmpty()
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := newMachine("C", delta.Image(h.m.hard.image.Offset(), 1), h.e.nowMs)
	if err != nil {
		h.t.Fatal(err)
	}
	if !sameIndexes(h.m.hard, m.hard) {
		h.t.Fatalf("indexes differ\nkept: %+v\nmade: %+v", h.m.hard, m.hard)
	}
	h.m = m
}
