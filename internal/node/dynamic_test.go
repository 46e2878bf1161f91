package node

import (
	"fmt"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestDynamicQuorum grows a quorum of one, whose voters live in the metadata log (KIP-853): controllers that were
// formatted without voters follow until they are added, and go on when the first one has gone.
func TestDynamicQuorum(t *testing.T) {
	ctx := within(t)
	c := newCluster(t, 3, "controller.quorum.voters=")
	c.own = map[int][]string{}
	for id := 1; id <= 3; id++ {
		c.own[id] = []string{fmt.Sprintf("controller.quorum.bootstrap.servers=127.0.0.1:%d,127.0.0.1:%d", c.ports[0], c.ports[1])}
		m := map[string]string{}
		if err := config.Override(m, c.props(id)); err != nil {
			t.Fatal(err)
		}
		v := values(t, m)
		var voters []InitialVoter
		if id == 1 {
			voters = []InitialVoter{{ID: 1, Host: "127.0.0.1", Port: uint16(c.ports[0]), DirectoryID: metadata.NewUUID()}}
		}
		if err := FormatDirectory(v, v.MetadataDir(), "dynamic", int32(id), voters); err != nil {
			t.Fatal(err)
		}
	}
	c.run()
	status := func() journal.QuorumState { return c.nodes[0].journal.(member).Describe() }
	if s := status(); s.Leader != 1 || len(s.Voters) != 1 || s.KRaftVersion != 1 {
		t.Fatalf("the quorum is %+v", s)
	}
	for id := int32(2); id <= 3; id++ {
		n := c.nodes[id-1]
		voter := journal.Voter{ID: id, DirectoryID: directoryID(n.live.Load()), Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: "127.0.0.1", Port: uint16(c.ports[id-1])}}}
		if err := c.nodes[0].journal.(member).ChangeVoters(ctx, journal.VoterChange{Add: &voter}); err != nil {
			t.Fatalf("adding %d: %v", id, err)
		}
	}
	if s := status(); len(s.Voters) != 3 {
		t.Fatalf("the quorum is %+v", s)
	}
	c.stop(1)
	adm := kadm.NewClient(c.client())
	if _, err := adm.CreateTopic(ctx, 1, 2, nil, "t"); err != nil {
		t.Error(err)
	}
	began := time.Now()
	c.run()
	t.Logf("node 1 was back after %v", time.Since(began).Round(time.Millisecond))
	if s := status(); len(s.Voters) != 3 || s.Leader == -1 {
		t.Errorf("the quorum is %+v", s)
	}
}

// TestFounder starts the configuration that Apache Kafka comes with, which names the node itself as the only bootstrap
// server, on an empty directory: there is nobody to join. After a restart it is the same cluster.
func TestFounder(t *testing.T) {
	ctx := within(t)
	c := newCluster(t, 1, "controller.quorum.voters=")
	c.own = map[int][]string{1: {fmt.Sprintf("controller.quorum.bootstrap.servers=127.0.0.1:%d", c.ports[0]), "offsets.topic.replication.factor=1"}}
	c.run()
	id := c.nodes[0].ClusterID()
	if s := c.nodes[0].journal.(member).Describe(); s.Leader != 1 || len(s.Voters) != 1 || s.KRaftVersion != 1 {
		t.Fatalf("the quorum is %+v", s)
	}
	if _, err := kadm.NewClient(c.client()).CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Error(err)
	}
	c.stop(1)
	c.run()
	if again := c.nodes[0].ClusterID(); again != id {
		t.Errorf("cluster %s has become %s", id, again)
	}
	topics, err := kadm.NewClient(c.client()).ListTopics(ctx, "t")
	if err != nil || topics.Error() != nil {
		t.Errorf("the topic is gone: %v, %v", err, topics.Error())
	}
}
