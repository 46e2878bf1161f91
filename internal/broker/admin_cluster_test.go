package broker

import (
	"fmt"
	"slices"
	"testing"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// worldOf is broker 1, which answers; 2, which lives; 3, which is fenced; 4, which has no such listener; and 5, of whose
// directories one failed. 9 is not registered.
func worldOf(t *testing.T) *testBroker {
	tb := startBroker(t, nil)
	good, bad := metadata.UUID{1, 15: 200}, metadata.UUID{2, 15: 200}
	add := func(id int32, fenced bool, listener string) *metadata.RegisterBrokerRecord {
		return &metadata.RegisterBrokerRecord{BrokerID: id, BrokerEpoch: 6, Fenced: fenced, LogDirs: []metadata.UUID{good},
			EndPoints: []metadata.RecordEndpoint{{Name: listener, Host: fmt.Sprint("host", id), Port: 9092}}}
	}
	tb.publish(add(2, false, "PLAINTEXT"), add(3, true, "PLAINTEXT"), add(4, false, "OTHER"), add(5, false, "PLAINTEXT"),
		&metadata.TopicRecord{Name: "t", TopicID: topicID("t")},
		&metadata.PartitionRecord{TopicID: topicID("t"), PartitionID: 0, Replicas: []int32{2, 3, 9}, ISR: []int32{2}, Leader: 2,
			EligibleLeaderReplicas: []int32{3}, Directories: []metadata.UUID{good, good, good}},
		&metadata.PartitionRecord{TopicID: topicID("t"), PartitionID: 1, Replicas: []int32{3}, ISR: []int32{}, Leader: -1,
			EligibleLeaderReplicas: []int32{3}, LastKnownELR: []int32{3}, Directories: []metadata.UUID{good}},
		&metadata.PartitionRecord{TopicID: topicID("t"), PartitionID: 2, Replicas: []int32{4, 2}, ISR: []int32{4, 2}, Leader: 4, Directories: []metadata.UUID{good, good}},
		&metadata.PartitionRecord{TopicID: topicID("t"), PartitionID: 3, Replicas: []int32{2, 5}, ISR: []int32{2}, Leader: 2, Directories: []metadata.UUID{good, bad}},
	)
	return tb
}

// What a client is told of partitions whose replicas are fenced, gone, on a failed disk, or at no address it could use.
func TestMetadataOfManyBrokers(t *testing.T) {
	c := worldOf(t).dial()
	name := "t"
	type partition struct {
		leader  int32
		offline []int32
		err     *kerr.Error
	}
	for version, want := range map[int16][]partition{
		12: {{2, []int32{3, 9}, nil}, {-1, []int32{3}, kerr.LeaderNotAvailable}, {-1, []int32{4}, kerr.ListenerNotFound}, {2, []int32{5}, nil}},
		5:  {{2, []int32{3, 9}, nil}, {-1, []int32{3}, kerr.LeaderNotAvailable}, {-1, []int32{4}, kerr.LeaderNotAvailable}, {2, []int32{5}, nil}},
		0:  {{2, nil, kerr.ReplicaNotAvailable}, {-1, nil, kerr.LeaderNotAvailable}, {-1, nil, kerr.LeaderNotAvailable}, {2, nil, nil}},
	} {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(version)
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		resp := do[*kmsg.MetadataResponse](c, req)
		var ids []int32
		for _, b := range resp.Brokers {
			ids = append(ids, b.NodeID)
		}
		if !slices.Equal(ids, []int32{1, 2, 5}) {
			t.Errorf("version %d: brokers %v", version, ids)
		}
		for i, p := range resp.Topics[0].Partitions {
			if p.Leader != want[i].leader || !slices.Equal(p.OfflineReplicas, want[i].offline) || !isCode(p.ErrorCode, want[i].err) {
				t.Errorf("version %d: partition %d: leader %d, offline %v, %v", version, i, p.Leader, p.OfflineReplicas, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	}
}

func isCode(code int16, want *kerr.Error) bool {
	if want == nil {
		return code == 0
	}
	return code == want.Code
}

// Who may lead when nobody is in sync (KIP-966).
func TestDescribeEligibleLeaders(t *testing.T) {
	c := worldOf(t).dial()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.Topics, req.ResponsePartitionLimit = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}, 10
	resp := do[*kmsg.DescribeTopicPartitionsResponse](c, req)
	for i, want := range [][2][]int32{{{3}, {}}, {{3}, {3}}, {{}, {}}, {{}, {}}} {
		p := resp.Topics[0].Partitions[i]
		if !slices.Equal(p.EligibleLeaderReplicas, want[0]) || !slices.Equal(p.LastKnownELR, want[1]) || p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
			t.Errorf("partition %d: eligible %v, last known %v", i, p.EligibleLeaderReplicas, p.LastKnownELR)
		}
	}
}

// Fenced brokers are shown to who asks for them (KIP-1073).
func TestDescribeClusterOfManyBrokers(t *testing.T) {
	c := worldOf(t).dial()
	for _, fenced := range []bool{false, true} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.SetVersion(2)
		req.IncludeFencedBrokers = fenced
		resp := do[*kmsg.DescribeClusterResponse](c, req)
		var got []string
		for _, b := range resp.Brokers {
			got = append(got, fmt.Sprint(b.NodeID, b.IsFenced))
		}
		want := []string{"1 false", "2 false", "5 false"}
		if fenced {
			want = []string{"1 false", "2 false", "3 true", "5 false"}
		}
		if !slices.Equal(got, want) || resp.ControllerID != 1 {
			t.Errorf("fenced %t: brokers %v, controller %d", fenced, got, resp.ControllerID)
		}
	}
}

func TestDescribeClientQuotas(t *testing.T) {
	tb := startBroker(t, nil)
	alice, app := "alice", "app"
	user := func(name *string) metadata.QuotaEntity {
		return metadata.QuotaEntity{EntityType: "user", EntityName: name}
	}
	client := metadata.QuotaEntity{EntityType: "client-id", EntityName: &app}
	tb.publish(
		&metadata.ClientQuotaRecord{Entity: []metadata.QuotaEntity{user(&alice)}, Key: "producer_byte_rate", Value: 1},
		&metadata.ClientQuotaRecord{Entity: []metadata.QuotaEntity{user(nil)}, Key: "producer_byte_rate", Value: 2},
		&metadata.ClientQuotaRecord{Entity: []metadata.QuotaEntity{user(&alice), client}, Key: "consumer_byte_rate", Value: 3},
	)
	c := tb.dial()
	component := func(kind string, match kmsg.QuotasMatchType, name *string) kmsg.DescribeClientQuotasRequestComponent {
		return kmsg.DescribeClientQuotasRequestComponent{EntityType: kind, MatchType: match, Match: name}
	}
	const exact, def, anyName = kmsg.QuotasMatchTypeExact, kmsg.QuotasMatchTypeDefault, kmsg.QuotasMatchTypeAny
	for what, test := range map[string]struct {
		components []kmsg.DescribeClientQuotasRequestComponent
		strict     bool
		want       []float64
		err        *kerr.Error
	}{
		"everything":        {want: []float64{3, 2, 1}},
		"nothing else":      {strict: true},
		"alice":             {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", exact, &alice)}, want: []float64{3, 1}},
		"alice alone":       {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", exact, &alice)}, strict: true, want: []float64{1}},
		"the default user":  {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", def, nil)}, want: []float64{2}},
		"any client":        {components: []kmsg.DescribeClientQuotasRequestComponent{component("client-id", anyName, nil)}, want: []float64{3}},
		"a planet":          {components: []kmsg.DescribeClientQuotasRequestComponent{component("planet", anyName, nil)}, err: kerr.UnsupportedVersion},
		"twice":             {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", anyName, nil), component("user", def, nil)}, err: kerr.InvalidRequest},
		"an address and so": {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", anyName, nil), component("ip", anyName, nil)}, err: kerr.InvalidRequest},
		"no name":           {components: []kmsg.DescribeClientQuotasRequestComponent{component("user", exact, nil)}, err: kerr.InvalidRequest},
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.SetVersion(1)
		req.Components, req.Strict = test.components, test.strict
		resp := do[*kmsg.DescribeClientQuotasResponse](c, req)
		var got []float64
		for _, e := range resp.Entries {
			got = append(got, e.Values[0].Value)
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) || !isCode(resp.ErrorCode, test.err) || (test.err != nil) != (*resp.ErrorMessage != "") {
			t.Errorf("%s: %v, %v", what, got, kerr.ErrorForCode(resp.ErrorCode))
		}
	}
}

// A node that has no metadata yet is asked for its versions all the same, and tells what the quorum has agreed on.
func TestApiVersionsOfAnUpgradedQuorum(t *testing.T) {
	tb := startBroker(t, nil)
	tb.b.kraftVersion = func() int16 { return 1 }
	for _, empty := range []bool{false, true} {
		if empty {
			tb.mu.Lock()
			tb.image = metadata.NewImage("cluster")
			tb.mu.Unlock()
		}
		r := do[*kmsg.ApiVersionsResponse](tb.dial(), apiVersions(4))
		var got []string
		for _, f := range r.FinalizedFeatures {
			got = append(got, fmt.Sprint(f.Name, " ", f.MaxVersionLevel))
		}
		want := []string{"kraft.version 1", "metadata.version 25"}
		if empty {
			want = want[:1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("without metadata %t: finalized %v, want %v", empty, got, want)
		}
	}
}
