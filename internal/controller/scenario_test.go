package controller

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"gregor/internal/config"
	"gregor/internal/metadata"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Scenarios are the files of testdata/scenarios: a command, and the records and the reply that the machine decides. Rewrite them
// with -rewrite, and read what changed. Time is a number that `tick` moves; chance is a counter.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := newScenario(t, nil)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

type scenario struct {
	m      *machine
	e      env
	uuids  byte
	chance int
}

func newScenario(t *testing.T, props map[string]string) *scenario {
	s := &scenario{}
	s.configure(t, props)
	s.e.newUUID = func() metadata.UUID { s.uuids++; return metadata.UUID{0: s.uuids, 15: 100} }
	s.e.random = func(n int) int { s.chance++; return (s.chance - 1) % n }
	s.e.nowMs = 1_000_000
	s.start(t, metadata.NewImage("C"))
	s.decide(t, decision{records: recordsOf(BootstrapRecords())})
	return s
}

func recordsOf(versioned []metadata.Versioned) []metadata.Record {
	records := make([]metadata.Record, len(versioned))
	for i, v := range versioned {
		records[i] = v.Record
	}
	return records
}

func (s *scenario) configure(t *testing.T, props map[string]string) {
	t.Helper()
	all := map[string]string{"node.id": "1"}
	for k, v := range props {
		all[k] = v
	}
	values, _, err := config.ParseBroker(all)
	if err != nil {
		t.Fatal(err)
	}
	s.e.config = values
}

// start makes a machine anew, as a failover does: the image stays, the soft state goes.
func (s *scenario) start(t *testing.T, image *metadata.Image) {
	t.Helper()
	m, err := newMachine("C", image, s.e.nowMs)
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "config":
		s.configure(t, pairs(d.Input))
		return ""
	case "failover":
		s.start(t, s.m.hard.image)
		return ""
	case "pass":
		var ms int64
		d.ScanArgs(t, "ms", &ms)
		s.e.nowMs += ms
		return ""
	case "tick":
		var ms int64
		d.ScanArgs(t, "ms", &ms)
		return s.tick(t, ms)
	case "lost":
		id := int32(number(d, "id", 0))
		return s.decide(t, s.m.lost(s.e, id, s.epochOf(d, id)))
	case "cluster":
		return s.cluster(t, d)
	case "quotas":
		return s.quotas()
	case "state":
		return s.state()
	case "replay":
		return s.replay(t)
	}
	req := s.request(t, d)
	if req == nil {
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	return s.decide(t, s.m.request(s.e, Caller{}, req))
}

// tick lets time pass in steps that the machine asked for.
func (s *scenario) tick(t *testing.T, ms int64) string {
	var out strings.Builder
	for end := s.e.nowMs + ms; ; {
		d, next := s.m.tick(s.e)
		if len(d.records) > 0 {
			fmt.Fprintf(&out, "after %d ms\n%s", s.e.nowMs-(end-ms), s.decide(t, d))
		}
		if s.e.nowMs == end && next > 0 {
			return out.String()
		}
		s.e.nowMs = min(s.e.nowMs+next, end)
	}
}

// decide applies a decision and prints it, as it would be in the log.
func (s *scenario) decide(t *testing.T, d decision) string {
	t.Helper()
	var out strings.Builder
	image := s.m.hard.image
	for _, r := range d.records {
		v := metadata.Versioned{Record: r, Version: image.VersionFor(r)}
		fmt.Fprintln(&out, strings.NewReplacer(`{"type":`, "", `"version":`, "v", `,"data":`, " ", `"`, "").Replace(strings.TrimSuffix(v.JSON(), "}")))
	}
	if len(d.records) > 0 {
		if err := s.m.apply(d.records, s.m.nextOffset()+int64(len(d.records))-1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if d.reply != nil {
		fmt.Fprintf(&out, "reply: %s\n", show(reflect.ValueOf(d.reply).Elem()))
	}
	return out.String()
}

// show prints a reply: its fields that are not zero, errors by name.
func show(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			switch {
			case name == "ErrorCode" && f.Int() != 0:
				parts = append(parts, kerr.ErrorForCode(int16(f.Int())).(*kerr.Error).Message)
			case name == "Version" || name == "UnknownTags" || name == "Configs" || f.IsZero():
			default:
				parts = append(parts, name+"="+show(f))
			}
		}
		return "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, show(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.Array:
		return metadata.UUID(v.Interface().([16]byte)).String()
	case reflect.Pointer:
		return show(v.Elem())
	}
	return fmt.Sprint(v.Interface())
}

func (s *scenario) quotas() string {
	var out strings.Builder
	for q := range s.m.hard.image.Quotas() {
		fmt.Fprintf(&out, "%s %v\n", show(reflect.ValueOf(q.Entity)), q.Values)
	}
	return out.String()
}

func (s *scenario) state() string {
	var out strings.Builder
	image := s.m.hard.image
	for b := range image.Brokers() {
		fmt.Fprintf(&out, "broker %d epoch %d", b.ID, b.Epoch)
		if b.Fenced {
			out.WriteString(" fenced")
		}
		if b.ShuttingDown {
			out.WriteString(" shutting-down")
		}
		out.WriteString("\n")
	}
	for topic := range image.Topics() {
		for id, p := range topic.Partitions {
			fmt.Fprintf(&out, "%s-%d leader %d epoch %d.%d replicas %v isr %v", topic.Name, id, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR)
			for _, list := range []struct {
				what string
				ids  []int32
			}{{"elr", p.ELR}, {"last", p.LastKnownELR}, {"adding", p.Adding}, {"removing", p.Removing}} {
				if len(list.ids) > 0 {
					fmt.Fprintf(&out, " %s %v", list.what, list.ids)
				}
			}
			if p.RecoveryState != metadata.LeaderRecovered {
				out.WriteString(" recovering")
			}
			out.WriteString("\n")
		}
	}
	for resource, values := range image.Configs() {
		fmt.Fprintf(&out, "config %s %q %v\n", resource.Kind, resource.Name, values)
	}
	return out.String()
}

// replay makes sure that a snapshot of the image, replayed, is the same image, and that the indexes are what they would
// be if they were made anew.
func (s *scenario) replay(t *testing.T) string {
	t.Helper()
	delta, err := s.m.hard.image.DeltaFromEmpty()
	if err != nil {
		t.Fatal(err)
	}
	again, err := newHardState(delta.Image(s.m.hard.image.Offset(), 1))
	if err != nil {
		t.Fatal(err)
	}
	old := s.m.hard
	if !sameIndexes(old, again) {
		t.Errorf("indexes differ\nkept: %+v\nmade: %+v", old, again)
	}
	before := s.state()
	s.m.hard = again
	if after := s.state(); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	return "same\n"
}

func sameIndexes(a, b *hardState) bool {
	for _, h := range []*hardState{a, b} {
		for broker, set := range h.replicasOn {
			if len(set) == 0 {
				delete(h.replicasOn, broker)
			}
		}
	}
	x, y := *a, *b
	x.image, y.image = nil, nil
	return reflect.DeepEqual(x, y)
}

func pairs(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[k] = v
		}
	}
	return m
}

// arguments of a scenario's command.

func text(d *datadriven.TestData, key, def string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return def
}

func flagged(d *datadriven.TestData, key string) bool { return d.HasArg(key) }

func number(d *datadriven.TestData, key string, def int64) int64 {
	n, err := strconv.ParseInt(text(d, key, strconv.FormatInt(def, 10)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// numbers reads (1,2,3).
func numbers(d *datadriven.TestData, key string) []int32 {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			list := []int32{}
			for _, v := range a.Vals {
				if v == "" {
					continue // ()
				}
				n, err := strconv.Atoi(v)
				if err != nil {
					panic(err)
				}
				list = append(list, int32(n))
			}
			return list
		}
	}
	return nil
}

// request builds the request that a command names.
func (s *scenario) request(t *testing.T, d *datadriven.TestData) kmsg.Request {
	switch d.Cmd {
	case "register":
		return s.registration(d)
	case "heartbeat":
		return s.heartbeat(d)
	case "create-topic":
		return s.createTopic(d)
	case "delete-topic":
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version = 6
		for _, name := range d.CmdArgs {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			if name.Key == "id" {
				topic.TopicID = s.m.hard.image.Topic(name.Vals[0]).ID
			} else {
				topic.Topic = &name.Key
			}
			req.Topics = append(req.Topics, topic)
		}
		return req
	case "create-partitions":
		return createPartitionsOf(d)
	case "alter-config":
		return alterConfigOf(d)
	case "alter-partition":
		return s.alterPartitionOf(d)
	case "elect":
		req := kmsg.NewPtrElectLeadersRequest()
		req.Version = 2
		if flagged(d, "unclean") {
			req.ElectionType = electionUnclean
		}
		if name := text(d, "topic", ""); name != "" {
			req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: name, Partitions: numbers(d, "partitions")}}
		}
		return req
	case "reassign":
		return reassignOf(d)
	case "reassignments":
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		if name := text(d, "topic", ""); name != "" {
			req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: name, Partitions: numbers(d, "partitions")}}
		}
		return req
	case "unregister":
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = int32(number(d, "id", 0))
		return req
	case "producer-ids":
		req := kmsg.NewPtrAllocateProducerIDsRequest()
		req.BrokerID = int32(number(d, "id", 0))
		req.BrokerEpoch = s.epochOf(d, req.BrokerID)
		return req
	case "assign-dir":
		return s.assignDirOf(d)
	case "feature":
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 2
		req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: text(d, "name", ""), MaxVersionLevel: int16(number(d, "level", 0)), UpgradeType: int8(number(d, "type", 1))}}
		return req
	case "quota":
		return quotaOf(d)
	}
	return nil
}
