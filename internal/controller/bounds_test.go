package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTextsFitIntoReplies quotes what a request said, which leaves no room for the words around it.
func TestTextsFitIntoReplies(t *testing.T) {
	for _, quoted := range []string{strings.Repeat("x", 1<<15-1), strings.Repeat("\u00e9", 1<<14), strings.Repeat("\u4e16", 1<<20)} {
		var code int16
		var text *string
		refuse(kerr.InvalidConfig, "Invalid value %s", quoted).put(&code, &text)
		if len(*text) > 1<<15-1 || len(*text) < 1<<15-10 || !utf8.ValidString(*text) || !strings.HasPrefix(*text, "Invalid value ") {
			t.Errorf("a text of %d bytes, valid UTF-8: %v", len(*text), utf8.ValidString(*text))
		}
	}
}

// TestCreateTopicsStopsEarly names more topics than one request may make, with the number of partitions left to the
// default: the topics that do not fit must not be worked out first.
func TestCreateTopicsStopsEarly(t *testing.T) {
	s := newScenario(t, nil)
	s.withBroker(t)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.ValidateOnly = 7, true
	for i := range 3 * maxRecordsPerRequest {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprint("t", i), -1, 1
		req.Topics = append(req.Topics, topic)
	}
	made := 0
	s.e.newUUID = func() metadata.UUID { made++; return metadata.NewUUID() }
	d := s.m.createTopics(s.e, req)
	resp := d.reply.(*kmsg.CreateTopicsResponse)
	if len(resp.Topics) != len(req.Topics) || resp.Topics[0].ErrorCode != kerr.PolicyViolation.Code {
		t.Fatalf("%d answers, the first with error %d", len(resp.Topics), resp.Topics[0].ErrorCode)
	}
	if made == 0 || made > maxRecordsPerRequest {
		t.Errorf("%d topics were worked out", made)
	}
}

// TestManyConfigs alters so many keys that anything but time in proportion to them would not end. They are more than one
// request may change.
func TestManyConfigs(t *testing.T) {
	s := newScenario(t, nil)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType = kmsg.ConfigResourceTypeBroker // keys that nobody knows are kept for plug-ins
	value := "v"
	for i := range 100_000 {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = fmt.Sprint("key", i), &value
		res.Configs = append(res.Configs, c)
	}
	req.Resources = append(req.Resources, res)
	began := time.Now()
	d := s.m.incrementalAlterConfigs(s.e, req)
	if got := d.reply.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; got.ErrorCode != kerr.PolicyViolation.Code || len(d.records) != 0 {
		t.Errorf("%d records, error %d", len(d.records), got.ErrorCode)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// withBroker registers broker 1 and unfences it.
func (s *scenario) withBroker(t *testing.T) {
	t.Helper()
	reg := kmsg.NewPtrBrokerRegistrationRequest()
	reg.Version, reg.BrokerID, reg.ClusterID, reg.IncarnationID = 4, 1, "C", metadata.NewUUID()
	reg.LogDirs = [][16]byte{{15: 200}}
	reg.Listeners = []kmsg.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}}
	for name, r := range SupportedFeatures() {
		reg.Features = append(reg.Features, kmsg.BrokerRegistrationRequestFeature{Name: name, MinSupportedVersion: r.Min, MaxSupportedVersion: r.Max})
	}
	s.decide(t, s.m.request(s.e, Caller{}, reg))
	beat := kmsg.NewPtrBrokerHeartbeatRequest()
	beat.Version, beat.BrokerID = 1, 1
	beat.BrokerEpoch = s.m.hard.image.Broker(1).Epoch
	beat.CurrentMetadataOffset = s.m.hard.image.Offset()
	s.decide(t, s.m.request(s.e, Caller{}, beat))
}
