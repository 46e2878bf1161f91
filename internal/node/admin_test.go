package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// at sends a request in one version to the broker.
func at[R kmsg.Response](t *testing.T, c *kgo.Client, version int16, req kmsg.Request) R {
	t.Helper()
	req.SetVersion(version)
	// A client that may choose no other version sends this one.
	resp, err := c.Broker(1).Request(within(t), req)
	if err != nil {
		t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp.(R)
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func TestMetadataVersions(t *testing.T) {
	n := run(t, t.TempDir(), "auto.create.topics.enable=true", "num.partitions=2")
	admin := kadm.NewClient(client(t, n))
	if _, err := admin.CreateTopic(within(t), 3, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	ask := func(version int16, names ...string) *kmsg.MetadataRequest {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		for _, name := range names {
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &name
			req.Topics = append(req.Topics, rt)
		}
		return req
	}
	for version := int16(0); version <= 13; version++ {
		c := versioned(t, n, kmsg.Metadata, version)
		resp := at[*kmsg.MetadataResponse](t, c, version, ask(version, "t", "t", "no.such", "in valid"))
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 || len(resp.Topics) != 3 {
			t.Fatalf("version %d: %+v", version, resp)
		}
		if tt := resp.Topics[0]; tt.ErrorCode != 0 || len(tt.Partitions) != 3 || tt.Partitions[2].Leader != 1 || !slices.Equal(tt.Partitions[2].ISR, []int32{1}) {
			t.Errorf("version %d: %+v", version, tt)
		}
		if version >= 1 && resp.ControllerID != 1 || version >= 2 && text(resp.ClusterID) != n.ClusterID() {
			t.Errorf("version %d: controller %d of %s", version, resp.ControllerID, text(resp.ClusterID))
		}
		if version >= 10 && resp.Topics[0].TopicID == ([16]byte{}) {
			t.Errorf("version %d: no topic id", version)
		}
		if got := resp.Topics[2].ErrorCode; got != kerr.InvalidTopicException.Code {
			t.Errorf("version %d: a name that is not valid: %v", version, kerr.ErrorForCode(got))
		}
		// Before version 4 every request creates what is missing; since then only one that says so.
		missing := resp.Topics[1]
		if version < 4 && (missing.ErrorCode != 0 || len(missing.Partitions) != 2) || version >= 4 && version < 5 && missing.ErrorCode != 0 && missing.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("version %d: %+v", version, missing)
		}
		if version < 4 {
			if _, err := admin.DeleteTopics(within(t), "no.such"); err != nil {
				t.Fatal(err)
			}
		} else if missing.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("version %d: %+v", version, missing)
		}
		// No topics: all of them in version 0, none since; null: all.
		resp = at[*kmsg.MetadataResponse](t, c, version, ask(version))
		if want := map[bool]int{true: 1, false: 0}[version == 0]; len(resp.Topics) != want {
			t.Errorf("version %d: an empty list gives %d topics", version, len(resp.Topics))
		}
		if version > 0 {
			resp = at[*kmsg.MetadataResponse](t, c, version, &kmsg.MetadataRequest{})
			if len(resp.Topics) != 1 || text(resp.Topics[0].Topic) != "t" {
				t.Errorf("version %d: null gives %+v", version, resp.Topics)
			}
		}
	}
}

// versioned is a client that speaks one version of one request.
func versioned(t *testing.T, n *Node, key kmsg.Key, version int16) *kgo.Client {
	t.Helper()
	return client(t, n, kgo.WithHooks(), kgo.MaxVersions(versionsWith(key, version)))
}

func TestMetadataByID(t *testing.T) {
	n := run(t, t.TempDir())
	c := client(t, n)
	created, err := kadm.NewClient(c).CreateTopic(within(t), 1, 1, nil, "t")
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, id := range [][16]byte{created.ID, {1, 2, 3}} {
		rt := kmsg.NewMetadataRequestTopic()
		rt.TopicID = id
		req.Topics = append(req.Topics, rt)
	}
	resp := at[*kmsg.MetadataResponse](t, c, 13, req)
	if len(resp.Topics) != 2 || text(resp.Topics[0].Topic) != "t" || resp.Topics[1].ErrorCode != kerr.UnknownTopicID.Code || resp.Topics[1].Topic != nil {
		t.Errorf("%+v", resp.Topics)
	}
}

func TestAutoCreation(t *testing.T) {
	n := run(t, t.TempDir(), "num.partitions=4")
	c := client(t, n)
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	for _, name := range []string{"made", "__consumer_offsets"} {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &name
		req.Topics = append(req.Topics, rt)
	}
	resp := at[*kmsg.MetadataResponse](t, c, 12, req)
	if len(resp.Topics[0].Partitions) != 4 || resp.Topics[0].Partitions[3].Leader != 1 || resp.Topics[0].IsInternal {
		t.Errorf("%+v", resp.Topics[0])
	}
	if len(resp.Topics[1].Partitions) != 3 || !resp.Topics[1].IsInternal {
		t.Errorf("%+v", resp.Topics[1])
	}
	configs, err := kadm.NewClient(c).DescribeTopicConfigs(within(t), "__consumer_offsets")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range configs[0].Configs {
		if r.Key == "cleanup.policy" && r.MaybeValue() != "compact" {
			t.Errorf("cleanup.policy of __consumer_offsets is %s", r.MaybeValue())
		}
	}

	off := run(t, t.TempDir(), "auto.create.topics.enable=false")
	resp = at[*kmsg.MetadataResponse](t, client(t, off), 12, req)
	if resp.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("auto.create.topics.enable=false: %+v", resp.Topics[0])
	}
}

func TestListeners(t *testing.T) {
	n := run(t, t.TempDir(), "listeners=INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0", "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
		"inter.broker.listener.name=INSIDE", "advertised.listeners=INSIDE://127.0.0.1:0")
	c, err := kgo.NewClient(kgo.SeedBrokers(n.bound[1].net.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := kadm.NewClient(client(t, n)).CreateTopic(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	// A client at a listener that is not advertised is told that its leader cannot be reached there.
	resp, err := c.SeedBrokers()[0].Request(within(t), kmsg.NewPtrMetadataRequest())
	if err != nil {
		t.Fatal(err)
	}
	m := resp.(*kmsg.MetadataResponse)
	if len(m.Brokers) != 0 || len(m.Topics) != 1 || m.Topics[0].Partitions[0].ErrorCode != kerr.ListenerNotFound.Code {
		t.Errorf("%+v", m)
	}
}

func TestTopicConfigsTakeEffect(t *testing.T) {
	ctx := within(t)
	n := run(t, t.TempDir(), "log.retention.hours=2")
	c := client(t, n)
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	get := func(key string) kadm.Config {
		t.Helper()
		rs, err := admin.DescribeTopicConfigs(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(rs[0].Configs, func(c kadm.Config) bool { return c.Key == key })
		if i < 0 {
			t.Fatalf("no %s", key)
		}
		return rs[0].Configs[i]
	}
	if r := get("retention.ms"); r.MaybeValue() != "7200000" {
		t.Errorf("retention.ms is %s", r.MaybeValue())
	}
	alter := func(key, value string) error {
		rs, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, "t")
		if err == nil {
			err = rs[0].Err
		}
		return err
	}
	if err := alter("max.message.bytes", "100"); err != nil {
		t.Fatal(err)
	}
	if r := get("max.message.bytes"); r.MaybeValue() != "100" || r.Source != kmsg.ConfigSourceDynamicTopicConfig {
		t.Errorf("max.message.bytes is %s from %s", r.MaybeValue(), r.Source)
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 5000)}).FirstErr(); err == nil || !strings.Contains(err.Error(), kerr.MessageTooLarge.Message) {
		t.Errorf("5000 bytes into a topic of 100: %v", err)
	}
	for key, value := range map[string]string{"retention.ms": "soon", "no.such.key": "1", "min.compaction.lag.ms": "9223372036854775808"} {
		if err := alter(key, value); err == nil {
			t.Errorf("%s=%s is accepted", key, value)
		}
	}
	// The default of all brokers changes what topics without a setting of their own inherit.
	value := "12345678"
	rs, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: &value}})
	if err != nil || rs[0].Err != nil {
		t.Fatal(err, rs)
	}
	if r := get("retention.ms"); r.MaybeValue() != value || r.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("retention.ms is %s from %s", r.MaybeValue(), r.Source)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "inherits"); err != nil {
		t.Fatal(err)
	}
	small := "100"
	rs, err = admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: &small}})
	if err != nil || rs[0].Err != nil {
		t.Fatal(err, rs)
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "inherits", Value: make([]byte, 5000)}).FirstErr(); err == nil || !strings.Contains(err.Error(), kerr.MessageTooLarge.Message) {
		t.Errorf("5000 bytes where all brokers allow 100: %v", err)
	}
	if got := n.Config().Int64("log.retention.ms"); got != 12345678 {
		t.Errorf("the broker runs with log.retention.ms=%d", got)
	}
}

func TestAlterBroker(t *testing.T) {
	ctx := within(t)
	dir := t.TempDir()
	n := run(t, dir)
	c := client(t, n)
	alter := func(kind kmsg.ConfigResourceType, name, key, value string, op kmsg.IncrementalAlterConfigOp) *kmsg.IncrementalAlterConfigsResponseResource {
		t.Helper()
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kind, name
		cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		cfg.Name, cfg.Op = key, op
		if op != kmsg.IncrementalAlterConfigOpDelete {
			cfg.Value = &value
		}
		res.Configs = append(res.Configs, cfg)
		req.Resources = append(req.Resources, res)
		return &at[*kmsg.IncrementalAlterConfigsResponse](t, c, 1, req).Resources[0]
	}
	const set = kmsg.IncrementalAlterConfigOpSet
	for _, r := range []struct {
		kind             kmsg.ConfigResourceType
		name, key, value string
		code             *kerr.Error
		message          string
	}{
		{kmsg.ConfigResourceTypeBroker, "1", "background.threads", "7", nil, ""},
		{kmsg.ConfigResourceTypeBroker, "", "background.threads", "8", nil, ""},
		{kmsg.ConfigResourceTypeBroker, "1", "node.id", "7", kerr.InvalidRequest, "Cannot update these configs dynamically: [node.id]"},
		{kmsg.ConfigResourceTypeBroker, "1", "background.threads", "none", kerr.InvalidRequest, "Invalid value none for configuration background.threads: Not a number of type INT"},
		{kmsg.ConfigResourceTypeBroker, "2", "background.threads", "7", kerr.InvalidRequest, "Unexpected broker id, expected 1, but received 2"},
		{kmsg.ConfigResourceTypeBroker, "one", "background.threads", "7", kerr.InvalidRequest, "must be an integer"},
		{kmsg.ConfigResourceTypeTopic, "none", "retention.ms", "7", kerr.UnknownTopicOrPartition, ""},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", "broker", "DEBUG", nil, ""},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", "broker", "LOUD", kerr.InvalidConfig, "TRACE, DEBUG, INFO"},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", "nobody", "DEBUG", kerr.InvalidConfig, "Logger nobody does not exist!"},
		{kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.session.timeout.ms", "50000", nil, ""},
		{kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.session.timeout.ms", "1", kerr.InvalidConfig, "consumer.session.timeout.ms"},
		{kmsg.ConfigResourceTypeClientMetrics, "m", "interval.ms", "1000", nil, ""},
		{77, "x", "y", "z", kerr.InvalidRequest, "Unknown resource type 77"},
	} {
		got := alter(r.kind, r.name, r.key, r.value, set)
		code := int16(0)
		if r.code != nil {
			code = r.code.Code
		}
		if got.ErrorCode != code || r.message != "" && !strings.Contains(text(got.ErrorMessage), r.message) {
			t.Errorf("%v %s %s=%s: %v %s", r.kind, r.name, r.key, r.value, kerr.ErrorForCode(got.ErrorCode), text(got.ErrorMessage))
		}
	}
	if got := n.Config().Int("background.threads"); got != 7 {
		t.Errorf("background.threads is %d", got)
	}
	if got := n.logs.Levels()["broker"]; got != "DEBUG" {
		t.Errorf("the broker's log level is %s", got)
	}
	if got := alter(kmsg.ConfigResourceTypeBroker, "1", "background.threads", "", kmsg.IncrementalAlterConfigOpDelete); got.ErrorCode != 0 || n.Config().Int("background.threads") != 8 {
		t.Errorf("after the deletion background.threads is %d, %+v", n.Config().Int("background.threads"), got)
	}
	stop(t, n)
	// What was altered is there after a restart; log levels are not.
	n = run(t, dir)
	if got := n.Config().Int("background.threads"); got != 8 {
		t.Errorf("after a restart background.threads is %d", got)
	}
	if got := n.logs.Levels()["broker"]; got != "INFO" {
		t.Errorf("after a restart the broker's log level is %s", got)
	}
	_ = ctx
}

func TestDescribeConfigs(t *testing.T) {
	n := run(t, t.TempDir(), "ssl.key.password=secret", "some.plugin=secret")
	c := client(t, n)
	ask := func(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsResponseResource {
		t.Helper()
		req := kmsg.NewPtrDescribeConfigsRequest()
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType, res.ResourceName, res.ConfigNames = kind, name, keys
		req.Resources = append(req.Resources, res)
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		return &at[*kmsg.DescribeConfigsResponse](t, c, version, req).Resources[0]
	}
	all := ask(4, kmsg.ConfigResourceTypeBroker, "1")
	if all.ErrorCode != 0 || len(all.Configs) < 300 {
		t.Fatalf("%d configs, %s", len(all.Configs), text(all.ErrorMessage))
	}
	for _, cfg := range all.Configs {
		if cfg.Value != nil && *cfg.Value == "secret" {
			t.Errorf("%s is shown", cfg.Name)
		}
	}
	one := ask(4, kmsg.ConfigResourceTypeBroker, "1", "listeners", "no.such")
	if len(one.Configs) != 1 || one.Configs[0].Source != kmsg.ConfigSourceStaticBrokerConfig || len(one.Configs[0].ConfigSynonyms) != 2 || one.Configs[0].ConfigType != kmsg.ConfigTypeList || text(one.Configs[0].Documentation) == "null" {
		t.Errorf("%+v", one.Configs)
	}
	for _, r := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code *kerr.Error
	}{
		{kmsg.ConfigResourceTypeBroker, "2", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeTopic, "none", kerr.UnknownTopicOrPartition},
		{kmsg.ConfigResourceTypeTopic, "in valid", kerr.InvalidTopicException},
		{kmsg.ConfigResourceTypeGroupConfig, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "", kerr.InvalidRequest},
		{99, "x", kerr.InvalidRequest},
	} {
		if got := ask(4, r.kind, r.name); got.ErrorCode != r.code.Code {
			t.Errorf("%v %q: %v", r.kind, r.name, kerr.ErrorForCode(got.ErrorCode))
		}
	}
	if got := ask(4, kmsg.ConfigResourceTypeBrokerLogger, "1"); got.ErrorCode != 0 || !slices.ContainsFunc(got.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == "root" }) {
		t.Errorf("loggers: %+v", got)
	}
}

func TestDescribeTopicPartitions(t *testing.T) {
	n := run(t, t.TempDir())
	c := client(t, n)
	for _, name := range []string{"a", "b", "c"} {
		if _, err := kadm.NewClient(c).CreateTopic(within(t), 3, 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
	var pages []string
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 4
	for range 10 {
		resp := at[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req)
		var page []string
		for _, tt := range resp.Topics {
			for _, p := range tt.Partitions {
				page = append(page, text(tt.Topic)+string(rune('0'+p.Partition)))
				if p.LeaderID != 1 || p.ErrorCode != 0 {
					t.Errorf("%+v", p)
				}
			}
		}
		pages = append(pages, strings.Join(page, " "))
		if resp.NextCursor == nil {
			break
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	if want := []string{"a0 a1 a2 b0", "b1 b2 c0 c1", "c2"}; !slices.Equal(pages, want) {
		t.Errorf("pages %q, want %q", pages, want)
	}
	req = kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 100
	for _, name := range []string{"c", "nope", "a"} {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	resp := at[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req)
	if len(resp.Topics) != 3 || text(resp.Topics[0].Topic) != "a" || resp.Topics[2].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("%+v", resp.Topics)
	}
}

func TestDescribeClusterAndDirs(t *testing.T) {
	n := run(t, t.TempDir())
	c := client(t, n)
	if _, err := kadm.NewClient(c).CreateTopic(within(t), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = 1
		resp := at[*kmsg.DescribeClusterResponse](t, versioned(t, n, kmsg.DescribeCluster, version), version, req)
		if resp.ErrorCode != 0 || resp.ClusterID != n.ClusterID() || resp.ControllerID != 1 || len(resp.Brokers) != 1 {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
	dirs := at[*kmsg.DescribeLogDirsResponse](t, c, 5, kmsg.NewPtrDescribeLogDirsRequest())
	if len(dirs.Dirs) != 1 || dirs.Dirs[0].Dir != n.Config().LogDirs()[0] || len(dirs.Dirs[0].Topics) != 1 || len(dirs.Dirs[0].Topics[0].Partitions) != 2 || dirs.Dirs[0].TotalBytes <= 0 {
		t.Errorf("%+v", dirs.Dirs)
	}
	list := at[*kmsg.ListConfigResourcesResponse](t, c, 1, kmsg.NewPtrListConfigResourcesRequest())
	if len(list.ConfigResources) != 3 { // topic t, broker 1 and its logger
		t.Errorf("%+v", list.ConfigResources)
	}
}

// versionsWith is every version that the client knows, but for one key.
func versionsWith(key kmsg.Key, version int16) *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(key), version)
	return v
}
