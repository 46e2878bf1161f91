package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, props map[string]string) *Values {
	t.Helper()
	v, _, err := ParseBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every key's default is a valid value of it, except where Kafka's own default is outside (-1 for a gzip level, say,
// is inside by exception).
func TestDefaultsAreValid(t *testing.T) {
	n := 0
	for s := range Scope(4) {
		for _, k := range Keys(s) {
			n++
			if k.Default == nil {
				continue
			}
			if _, err := k.Parse(*k.Default); err != nil {
				t.Errorf("%s %s: %v", s, k.Name, err)
			}
		}
	}
	if n < 414 {
		t.Errorf("the table has %d keys", n)
	}
}

func TestInheritedKeysExist(t *testing.T) {
	for _, s := range []Scope{ScopeTopic, ScopeGroup} {
		for _, k := range Keys(s) {
			for _, in := range k.Inherits {
				b := Lookup(ScopeBroker, in.Name)
				if b == nil {
					t.Errorf("%s inherits from %s, which is no key", k.Name, in.Name)
					continue
				}
				if (b.Type == TypeList) != (k.Type == TypeList) || (b.Type == TypeBoolean) != (k.Type == TypeBoolean) {
					t.Errorf("%s is %s, %s is %s", k.Name, k.Type, in.Name, b.Type)
				}
			}
		}
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"num.partitions", "0", "Value must be at least 1"},
		{"num.partitions", "many", "Not a number of type INT; valid values: [1,...]"},
		{"num.partitions", "3000000000", "Not a number of type INT"},
		{"log.cleaner.min.cleanable.ratio", "1.5", "no more than 1"},
		{"log.cleaner.min.cleanable.ratio", "NaN", "at least 0"},
		{"compression.type", "brotli", "one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"compression.gzip.level", "0", "at least 1"},
		{"log.cleanup.policy", "compact,shred", "one of: compact, delete"},
		{"log.cleanup.policy", "compact,compact", "listed twice"},
		{"auto.create.topics.enable", "maybe", "either true or false"},
		{"log.retention.ms", "0", "-1 (no limit) or at least 1"},
		{"log.dirs", "/a,/a", "twice"},
		{"log.dirs", "", "at least one directory"},
		{"queued.max.request.bytes", "10", "at least socket.request.max.bytes=104857600"},
		{"max.connections.per.ip.overrides", "localhost", "host:count"},
		{"log.cleaner.max.compaction.lag.ms", "0", "at least 1"},
		{"group.consumer.session.timeout.ms", "1000", "must be between"},
		{"node.id", "-7", "at least 0"},
		{"controller.quorum.voters", "localhost:9093", "id@host:port"},
	} {
		_, _, err := ParseBroker(map[string]string{c.key: c.value})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s=%s: %v", c.key, c.value, err)
			continue
		}
		if e.Key != c.key && !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
}

func TestASecretIsNotInItsError(t *testing.T) {
	k := *Lookup(ScopeBroker, "ssl.key.password")
	if err := k.fail("opensesame", "wrong"); strings.Contains(err.Error(), "opensesame") {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := ParseBroker(map[string]string{
		"num.partition": "3", "nobody.knows.this": "1", "zookeeper.session.timeout.ms": "5", "num.partitions": "3",
		"security.providers": "x", "listener.name.plaintext.ssl.keystore.location": "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, w := range warnings {
		got[w.Key] = w.Message
	}
	for key, want := range map[string]string{
		"num.partition": "is num.partitions meant?", "nobody.knows.this": "no such", "zookeeper.session.timeout.ms": "3.x",
		"security.providers": "without effect", "listener.name.plaintext.ssl.keystore.location": "without effect",
	} {
		if !strings.Contains(got[key], want) {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("more warnings: %v", got)
	}
}

func TestNodeID(t *testing.T) {
	for _, c := range []struct {
		props map[string]string
		id    int32
		ok    bool
	}{
		{nil, 0, false},
		{map[string]string{"node.id": "3"}, 3, true},
		{map[string]string{"broker.id": "4"}, 4, true},
		{map[string]string{"broker.id": "-1"}, 0, false},
		{map[string]string{"broker.id": "5", "node.id": " 5"}, 5, true},
	} {
		if id, ok := parse(t, c.props).NodeID(); id != c.id || ok != c.ok {
			t.Errorf("%v: %d %v", c.props, id, ok)
		}
	}
	_, _, err := ParseBroker(map[string]string{"broker.id": "5", "node.id": "6"})
	if err == nil || !strings.Contains(err.Error(), "broker.id=5") {
		t.Errorf("two ids: %v", err)
	}
}

func TestWhatComesLaterIsRefused(t *testing.T) {
	for _, props := range []map[string]string{
		{"zookeeper.connect": "localhost:2181", "zookeeper.ssl.client.enable": "true"},
		{"zookeeper.connect": "localhost:2181", "zookeeper.set.acl": "true"},
		{"zookeeper.connect": "localhost:2181", "zookeeper.metadata.migration.enable": "true"},
	} {
		if _, _, err := ParseBroker(props); err == nil || !strings.Contains(err.Error(), "later version") {
			t.Errorf("%v: %v", props, err)
		}
	}
}

func TestTopicInherits(t *testing.T) {
	const hour = 3600000
	for _, c := range []struct {
		broker map[string]string
		key    string
		want   int64
	}{
		{nil, "retention.ms", 168 * hour},
		{map[string]string{"log.retention.hours": "2"}, "retention.ms", 2 * hour},
		{map[string]string{"log.retention.hours": "2", "log.retention.minutes": "3"}, "retention.ms", 3 * 60000},
		{map[string]string{"log.retention.ms": "7", "log.retention.minutes": "3"}, "retention.ms", 7},
		{map[string]string{"log.retention.hours": "-1"}, "retention.ms", -1},
		{map[string]string{"log.retention.hours": "2147483647"}, "retention.ms", 2147483647 * hour},
		{map[string]string{"log.roll.hours": "1"}, "segment.ms", hour},
		{map[string]string{"log.flush.scheduler.interval.ms": "5"}, "flush.ms", 5},
		{map[string]string{"log.flush.scheduler.interval.ms": "5", "log.flush.interval.ms": "6"}, "flush.ms", 6},
		{nil, "flush.ms", 1<<63 - 1},
		{map[string]string{"message.max.bytes": "99"}, "max.message.bytes", 99},
	} {
		v, err := Topic(parse(t, c.broker), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Int64(c.key); got != c.want {
			t.Errorf("%v: %s=%d, want %d", c.broker, c.key, got, c.want)
		}
		from := SourceDefault
		if len(c.broker) > 0 {
			from = SourceStatic
		}
		if got := v.Source(c.key); got != from {
			t.Errorf("%v: %s comes from %s", c.broker, c.key, got)
		}
	}
	v, err := Topic(parse(t, map[string]string{"log.retention.ms": "7"}), map[string]string{"retention.ms": "-1", "cleanup.policy": "compact, delete"})
	if err != nil {
		t.Fatal(err)
	}
	if v.Int64("retention.ms") != -1 || v.Source("retention.ms") != SourceTopic || !slices.Equal(v.List("cleanup.policy"), []string{"compact", "delete"}) {
		t.Errorf("the overrides do not win: %v", v.Describe())
	}
	if d := v.Millis("flush.ms"); d != maxDuration {
		t.Errorf("flush.ms is %v", d)
	}
	if d := v.Millis("segment.ms"); d != 7*24*time.Hour {
		t.Errorf("segment.ms is %v", d)
	}
}

func TestValidateTopic(t *testing.T) {
	broker := parse(t, nil)
	for _, props := range []map[string]string{
		{"retention.ms": "-2"},
		{"no.such.key": "1"},
		{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
		{"local.retention.ms": "10", "retention.ms": "5"},
		{"leader.replication.throttled.replicas": "1:x"},
		{"segment.bytes": "1024"},
	} {
		if err := ValidateTopic(broker, props); err == nil {
			t.Errorf("%v is accepted", props)
		}
	}
	for _, props := range []map[string]string{
		nil,
		{"retention.ms": "-1"},
		{"leader.replication.throttled.replicas": "1:2, 3:4"},
		{"leader.replication.throttled.replicas": "*"},
		{"cleanup.policy": ""},
		{"internal.segment.bytes": "1024"},
	} {
		if err := ValidateTopic(broker, props); err != nil {
			t.Errorf("%v: %v", props, err)
		}
	}
	if err := ValidateTopic(broker, map[string]string{"x": "1"}); !errors.Is(err, ErrUnknownKey) || err.Error() != "unknown configuration key: Unknown topic config name: x" {
		t.Error(err)
	}
}

func TestValidateGroup(t *testing.T) {
	broker := parse(t, nil)
	for props, ok := range map[[2]string]bool{
		{"consumer.session.timeout.ms", "50000"}:                true,
		{"consumer.session.timeout.ms", "50"}:                   false,
		{"share.auto.offset.reset", "by_duration:P1DT2H3M4.5S"}: true,
		{"share.auto.offset.reset", "by_duration:P"}:            false,
		{"share.auto.offset.reset", "by_duration:-PT1H"}:        false,
		{"share.isolation.level", "read_committed"}:             true,
		{"share.isolation.level", "read_all"}:                   false,
		{"session.timeout.ms", "1"}:                             false,
	} {
		if err := ValidateGroup(broker, map[string]string{props[0]: props[1]}); (err == nil) != ok {
			t.Errorf("%v: %v", props, err)
		}
	}
}

func TestLive(t *testing.T) {
	l := NewLive(parse(t, map[string]string{"num.io.threads": "3", "log.retention.ms": "10"}))
	var seen []int
	cancel := l.Subscribe(func(old, new *Values) {
		seen = append(seen, old.Int("num.io.threads"), new.Int("num.io.threads"))
	})
	update := func(defaults, own map[string]string, want int, source Source) {
		t.Helper()
		if err := l.Update(defaults, own); err != nil {
			t.Fatal(err)
		}
		if v := l.Load(); v.Int("num.io.threads") != want || v.Source("num.io.threads") != source {
			t.Fatalf("num.io.threads=%d from %s", v.Int("num.io.threads"), v.Source("num.io.threads"))
		}
	}
	update(map[string]string{"num.io.threads": "4"}, nil, 4, SourceClusterDefault)
	update(map[string]string{"num.io.threads": "4"}, map[string]string{"num.io.threads": "5"}, 5, SourceBroker)
	update(map[string]string{"num.io.threads": "4"}, map[string]string{"num.io.threads": "5"}, 5, SourceBroker)
	if err := l.Update(nil, map[string]string{"num.io.threads": "0"}); err == nil {
		t.Fatal("0 threads are accepted")
	}
	if got := l.Load().Int("num.io.threads"); got != 5 {
		t.Fatalf("a refused update leaves %d threads", got)
	}
	cancel()
	update(nil, nil, 3, SourceStatic)
	if want := []int{3, 4, 4, 5}; !slices.Equal(seen, want) {
		t.Errorf("the subscriber saw %v, want %v", seen, want)
	}
	topic, err := Topic(l.Load(), nil)
	if err != nil || topic.Int64("retention.ms") != 10 {
		t.Errorf("retention.ms=%d, %v", topic.Int64("retention.ms"), err)
	}
}

func TestValidateBrokerUpdate(t *testing.T) {
	static := parse(t, nil)
	for _, c := range []struct {
		key, value string
		perBroker  bool
		want       string // of the error; "" for none
	}{
		{"log.retention.ms", "5", false, ""},
		{"log.retention.ms", "5", true, ""},
		{"log.retention.ms", "x", true, "Not a number"},
		{"node.id", "5", true, "Cannot update these configs dynamically"},
		{"listeners", "PLAINTEXT://:9093", false, "broker id must be specified"},
		{"leader.replication.throttled.rate", "1000", true, ""},
		{"ssl.keystore.location", "/x", true, "only per-listener"},
		{"listener.name.external.ssl.keystore.location", "/x", true, ""},
		{"listener.name.external.ssl.keystore.location", "/x", false, "broker id must be specified"},
		{"listener.name.external.max.connections", "5", false, ""},
		{"listener.name.external.max.connections", "-5", false, "at least 0"},
		{"plugin.key", "5", false, ""},
	} {
		err := ValidateBrokerUpdate(static, map[string]string{c.key: c.value}, c.perBroker)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
}

func TestApply(t *testing.T) {
	props := map[string]string{"retention.ms": "5"}
	for _, c := range []struct {
		op          Op
		name, value string
		want        map[string]string
	}{
		{OpSet, "retention.ms", "6", map[string]string{"retention.ms": "6"}},
		{OpDelete, "retention.ms", "", map[string]string{}},
		{OpAppend, "cleanup.policy", "compact", map[string]string{"retention.ms": "5", "cleanup.policy": "delete,compact"}},
		{OpAppend, "cleanup.policy", "delete", map[string]string{"retention.ms": "5", "cleanup.policy": "delete"}},
		{OpSubtract, "cleanup.policy", "delete", map[string]string{"retention.ms": "5", "cleanup.policy": ""}},
	} {
		got := maps.Clone(props)
		if err := Apply(ScopeTopic, got, c.op, c.name, c.value); err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%v %s: %v, %v", c.op, c.name, got, err)
		}
	}
	if err := Apply(ScopeTopic, props, OpAppend, "retention.ms", "5"); err == nil {
		t.Error("a number is appended to")
	}
	// Each part fits into a request; the whole would fit into no answer.
	const throttled = "leader.replication.throttled.replicas"
	long := map[string]string{throttled: strings.Repeat("1", 20_000)}
	if err := Apply(ScopeTopic, long, OpAppend, throttled, strings.Repeat("2", 20_000)); err == nil || len(long[throttled]) != 20_000 {
		t.Errorf("a list grew to %d bytes: %v", len(long[throttled]), err)
	}
	if props["retention.ms"] != "5" || len(props) != 1 {
		t.Errorf("the properties changed: %v", props)
	}
}
