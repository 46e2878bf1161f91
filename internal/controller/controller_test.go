package controller

import (
	"context"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal/raft"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func openAt(t *testing.T, dir string) *Controller {
	t.Helper()
	values, _, err := config.ParseBroker(map[string]string{"node.id": "1"})
	if err != nil {
		t.Fatal(err)
	}
	j, err := raft.Open(raft.Options{Dir: dir, NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := Open(ctx, Options{NodeID: 1, ClusterID: "test", Journal: j, Config: config.NewLive(values)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.WaitActive(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func do[R kmsg.Response](t *testing.T, c *Controller, req kmsg.Request) R {
	t.Helper()
	answer := make(chan kmsg.Response, 1)
	c.Do(context.Background(), Caller{}, req, func(r kmsg.Response) { answer <- r })
	select {
	case r := <-answer:
		return r.(R)
	case <-time.After(10 * time.Second):
		t.Fatalf("no answer to %T", req)
	}
	panic("unreachable")
}

func registerOne(t *testing.T, c *Controller) int64 {
	t.Helper()
	reg := kmsg.NewPtrBrokerRegistrationRequest()
	reg.Version, reg.BrokerID, reg.ClusterID, reg.IncarnationID = 4, 1, "test", metadata.NewUUID()
	reg.LogDirs = [][16]byte{{15: 200}}
	reg.Listeners = []kmsg.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}}
	for name, r := range SupportedFeatures() {
		reg.Features = append(reg.Features, kmsg.BrokerRegistrationRequestFeature{Name: name, MinSupportedVersion: r.Min, MaxSupportedVersion: r.Max})
	}
	registered := do[*kmsg.BrokerRegistrationResponse](t, c, reg)
	if registered.ErrorCode != 0 {
		t.Fatalf("registration: error %d", registered.ErrorCode)
	}
	beat := kmsg.NewPtrBrokerHeartbeatRequest()
	beat.Version, beat.BrokerID, beat.BrokerEpoch = 1, 1, registered.BrokerEpoch
	beat.CurrentMetadataOffset = c.Image().Offset()
	if resp := do[*kmsg.BrokerHeartbeatResponse](t, c, beat); resp.ErrorCode != 0 || resp.IsFenced {
		t.Fatalf("heartbeat: %+v", resp)
	}
	return registered.BrokerEpoch
}

// A topic is in the image when its creator is told so, and still there after a restart.
func TestCreateTopicSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	c := openAt(t, dir)
	registerOne(t, c)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "events", 3, 1
	req.Topics = append(req.Topics, topic)
	resp := do[*kmsg.CreateTopicsResponse](t, c, req)
	if resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v %s", resp.Topics[0], *resp.Topics[0].ErrorMessage)
	}
	if got := c.Image().Topic("events"); got == nil || len(got.Partitions) != 3 || got.Partitions[2].Leader != 1 {
		t.Fatalf("image has %+v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openAt(t, dir)
	if got := c.Image().Topic("events"); got == nil || got.ID != metadata.UUID(resp.Topics[0].TopicID) {
		t.Fatalf("after a restart: %+v", got)
	}
	registerOne(t, c)
}
