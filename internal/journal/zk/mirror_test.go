package zk

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"gregor/internal/metadata"
)

// cluster is an image that grows by records, with a mirror of it.
type cluster struct {
	*member
	mirror *Mirror
	image  *metadata.Image
}

func (m *member) mirrored() *cluster {
	c := &cluster{member: m, mirror: NewMirror(m.engine), image: metadata.NewImage("cluster")}
	m.t.Cleanup(c.mirror.Close)
	return c
}

// apply publishes what some records make of the image.
func (c *cluster) apply(records ...metadata.Record) {
	c.t.Helper()
	d := metadata.NewDelta(c.image)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			c.t.Fatal(err)
		}
	}
	c.image = d.Image(c.image.Offset()+int64(len(records)), 1)
	c.mirror.Publish(d, c.image)
}

// settle waits until the mirror has written the newest image.
func (c *cluster) settle() {
	c.t.Helper()
	c.until("the mirror has the newest image", func() bool {
		c.mirror.mu.Lock()
		defer c.mirror.mu.Unlock()
		return c.mirror.settled == c.image
	})
}

// fromEmpty has a mirror reconcile with what there is, as that of a new controller does, and compares.
func (c *cluster) fromEmpty() {
	c.t.Helper()
	before := c.dump()
	writes := 0
	c.link.judge(func(frame []byte) verdict {
		if opOf(frame) == opMultiCode {
			writes++
		}
		return deliver
	})
	again := NewMirror(c.engine)
	defer again.Close()
	d, err := c.image.DeltaFromEmpty()
	if err != nil {
		c.t.Fatal(err)
	}
	other := &cluster{member: c.member, mirror: again, image: c.image}
	again.Publish(d, c.image)
	other.settle()
	if after := c.dump(); after != before {
		c.t.Errorf("a mirror that begins anew makes of\n%s\nthis:\n%s", before, after)
	}
	c.link.judge(nil)
	if writes > 0 {
		c.t.Errorf("a mirror that begins anew wrote %d times, though nothing differed", writes)
	}
}

var variable = regexp.MustCompile(`"timestamp":"\d+"`)

// dump is what people look at, without what differs each time.
func (w *world) dump() string {
	w.t.Helper()
	w.sync()
	text, err := dump(w.plain, w.chroot)
	if err != nil {
		w.t.Fatal(err)
	}
	return outline(text)
}

func outline(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ownPath) || strings.HasPrefix(line, "/config/changes/") || strings.HasPrefix(line, "/feature") {
			continue
		}
		b.WriteString(variable.ReplaceAllString(line, `"timestamp":"0"`))
	}
	return b.String()
}

// difference gives the first lines that differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("%q, where there was %q", g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, where there were %d", len(g), len(w))
}

func id(t *testing.T, text string) metadata.UUID {
	id, err := metadata.ParseUUID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func partition(topic metadata.UUID, i int32, replicas ...int32) *metadata.PartitionRecord {
	return &metadata.PartitionRecord{TopicID: topic, PartitionID: i, Replicas: replicas, ISR: replicas, Leader: replicas[0]}
}

func config(kind metadata.ConfigKind, resource, name, value string) *metadata.ConfigRecord {
	return &metadata.ConfigRecord{ResourceType: int8(kind), ResourceName: resource, Name: name, Value: &value}
}

// TestLikeKafka: the znodes are those that a broker of Apache Kafka 3.9.2 made for the same requests.
func TestLikeKafka(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	if _, err := a.client.ClusterID(t.Context(), func() string { return "tqCkPhc8ThmnDH-_121rLA" }); err != nil {
		t.Fatal(err)
	}
	if err := a.client.Register(t.Context(), BrokerInfo{ID: 1, Endpoints: []metadata.Endpoint{{Name: "PLAINTEXT", Host: "127.0.0.1", Port: 22192}}}); err != nil {
		t.Fatal(err)
	}
	c := a.mirrored()
	plain, configured := id(t, "Iyx2snSsQ8SOSeOurSWRZQ"), id(t, "uOZq0vEeS4-YgaDcqa7lvg")
	c.apply(&metadata.TopicRecord{Name: "plain", TopicID: plain}, partition(plain, 0, 1), partition(plain, 1, 1))
	c.settle()
	records := []metadata.Record{&metadata.TopicRecord{Name: "configured", TopicID: configured},
		config(metadata.TopicConfig, "configured", "retention.ms", "1000"), config(metadata.TopicConfig, "configured", "cleanup.policy", "compact"),
		config(metadata.BrokerConfig, "1", "log.cleaner.threads", "2"), config(metadata.BrokerConfig, "", "log.retention.ms", "123456")}
	for i := range int32(12) {
		records = append(records, partition(configured, i, 1))
	}
	c.apply(records...)
	c.settle()
	golden, err := os.ReadFile("testdata/kafka-3.9.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	// Scala's maps have an order of their own for twelve partitions.
	want := strings.Replace(outline(string(golden)), `{"11":[1],"0":[1]`, `{"0":[1]`, 1)
	want = strings.Replace(want, `"10":[1]}`, `"10":[1],"11":[1]}`, 1)
	if got := w.dump(); got != want {
		t.Errorf("got\n%s\nKafka has\n%s", got, want)
	}
	c.fromEmpty()
}

func TestBrokerLikeKafka(t *testing.T) {
	golden, err := os.ReadFile("testdata/kafka-3.9.2-listeners.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := brokerJSON(BrokerInfo{ID: 7, Rack: "r-7", Endpoints: []metadata.Endpoint{
		{Name: "INTERNAL", Host: "127.0.0.1", Port: 22193},
		{Name: "CLIENTS", Host: "127.0.0.1", Port: 22194, SecurityProtocol: metadata.SASLPlaintext},
		{Name: "PUBLIC", Host: "127.0.0.1", Port: 22195},
	}}, 1795391760216)
	if want := "/brokers/ids/7 e " + string(got) + "\n"; !strings.Contains(string(golden), want) {
		t.Errorf("got %s, which is not in what Kafka wrote", want)
	}
}

// TestMirrorFollows: everything that changes in topics and configurations, deletions too, and what somebody else does to
// the znodes.
func TestMirrorFollows(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	c := a.mirrored()
	one, two := metadata.UUID{1: 1}, metadata.UUID{1: 2}
	has := func(p, want string) {
		t.Helper()
		w.sync()
		data, _, err := w.plain.Get(w.path(p))
		if err != nil || string(data) != want {
			t.Errorf("znode %s is %q, %v, want %q", p, data, err, want)
		}
	}
	gone := func(p string) {
		t.Helper()
		w.sync()
		if found, _, _ := w.plain.Exists(w.path(p)); found {
			t.Errorf("znode %s is still there", p)
		}
	}
	steps := []struct {
		records []metadata.Record
		check   func()
	}{
		{[]metadata.Record{&metadata.TopicRecord{Name: "t", TopicID: one}, partition(one, 0, 1, 2), partition(one, 1, 2, 1)}, func() {
			has("/brokers/topics/t", fmt.Sprintf(`{"partitions":{"0":[1,2],"1":[2,1]},"topic_id":"%s","adding_replicas":{},"removing_replicas":{},"version":3}`, one))
			has("/brokers/topics/t/partitions/1/state", `{"controller_epoch":1,"leader":2,"version":1,"leader_epoch":0,"isr":[2,1]}`)
			has("/config/topics/t", `{"version":1,"config":{}}`)
		}},
		{[]metadata.Record{&metadata.PartitionChangeRecord{TopicID: one, PartitionID: 1, ISR: []int32{1}, Leader: 1, LeaderRecoveryState: 1}}, func() {
			has("/brokers/topics/t/partitions/1/state", `{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":1,"isr":[1],"leader_recovery_state":1}`)
		}},
		{[]metadata.Record{&metadata.PartitionChangeRecord{TopicID: one, PartitionID: 0, Replicas: []int32{1, 2, 3}, AddingReplicas: []int32{3}, RemovingReplicas: []int32{2}, Leader: metadata.NoLeaderChange, LeaderRecoveryState: -1}}, func() {
			has("/brokers/topics/t", fmt.Sprintf(`{"partitions":{"0":[1,2,3],"1":[2,1]},"topic_id":"%s","adding_replicas":{"0":[3]},"removing_replicas":{"0":[2]},"version":3}`, one))
		}},
		{[]metadata.Record{partition(one, 2, 3), config(metadata.TopicConfig, "t", "a", `"<&>`)}, func() {
			has("/brokers/topics/t/partitions/2/state", `{"controller_epoch":1,"leader":3,"version":1,"leader_epoch":0,"isr":[3]}`)
			has("/config/topics/t", `{"version":1,"config":{"a":"\"<&>"}}`)
		}},
		{[]metadata.Record{&metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: "t", Name: "a"}, config(metadata.BrokerConfig, "3", "b", "c")}, func() {
			has("/config/topics/t", `{"version":1,"config":{}}`)
			has("/config/brokers/3", `{"version":1,"config":{"b":"c"}}`)
		}},
		{[]metadata.Record{&metadata.RemoveTopicRecord{TopicID: one}, &metadata.TopicRecord{Name: "t", TopicID: two}, partition(two, 0, 5),
			&metadata.ConfigRecord{ResourceType: int8(metadata.BrokerConfig), ResourceName: "3", Name: "b"}}, func() {
			has("/brokers/topics/t", fmt.Sprintf(`{"partitions":{"0":[5]},"topic_id":"%s","adding_replicas":{},"removing_replicas":{},"version":3}`, two))
			has("/brokers/topics/t/partitions/0/state", `{"controller_epoch":1,"leader":5,"version":1,"leader_epoch":0,"isr":[5]}`)
			gone("/brokers/topics/t/partitions/1")
			gone("/config/brokers/3")
		}},
		{[]metadata.Record{&metadata.RemoveTopicRecord{TopicID: two}}, func() {
			gone("/brokers/topics/t")
			gone("/config/topics/t")
		}},
	}
	for _, s := range steps {
		c.apply(s.records...)
		c.settle()
		s.check()
		c.fromEmpty()
	}

	// Somebody meddles: a change that does not fit what is there has everything compared.
	c.apply(&metadata.TopicRecord{Name: "u", TopicID: one}, partition(one, 0, 1), partition(one, 1, 1))
	c.settle()
	want := w.dump()
	deleteTree(w.plain, w.path("/brokers/topics/u/partitions/0"))
	_ = w.plain.Delete(w.path("/config/topics/u"), -1)
	_, _ = w.plain.Create(w.path("/brokers/topics/u/partitions/7"), nil, 0, a.client.acl())
	_, _ = w.plain.Create(w.path("/brokers/topics/v"), nil, 0, a.client.acl())
	_, _ = w.plain.Set(w.path("/brokers/topics/u"), []byte("?"), -1)
	_, _ = w.plain.Set(w.path("/brokers/topics/u/partitions/1/state"), []byte("?"), -1)
	c.apply(&metadata.PartitionChangeRecord{TopicID: one, PartitionID: 0, Leader: 1, LeaderRecoveryState: -1})
	c.settle()
	want = strings.Replace(want, `/u/partitions/0/state - {"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0`, `/u/partitions/0/state - {"controller_epoch":1,"leader":1,"version":1,"leader_epoch":1`, 1)
	if got := w.dump(); got != want {
		t.Errorf("after somebody meddled:\n%s\nwant\n%s", got, want)
	}
}

// TestMirrorOfMany: 10,000 partitions; a mirror of another controller takes over, and one that leads no more writes nothing.
func TestMirrorOfMany(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	c := a.mirrored()
	var records []metadata.Record
	for i := range 100 {
		topic := metadata.UUID{0: 1, 1: byte(i)}
		records = append(records, &metadata.TopicRecord{Name: fmt.Sprint("topic-", i), TopicID: topic})
		for p := range int32(100) {
			records = append(records, partition(topic, p, 1, 2, 3))
		}
	}
	c.apply(records...)
	c.settle()
	if n := a.link.requests(); n > 500 {
		t.Errorf("%d requests", n)
	}
	b := w.join(2)
	d := b.mirrored()
	d.image = c.image
	delta, err := c.image.DeltaFromEmpty()
	if err != nil {
		t.Fatal(err)
	}
	d.mirror.Publish(delta, d.image)
	w.until("the leader is known", func() bool { return b.engine.Status().Leader == 1 })
	a.link.set(false, true)
	b.engine.PeerGone(1)
	w.leader(b)
	d.settle()
	d.apply(&metadata.PartitionChangeRecord{TopicID: metadata.UUID{0: 1}, PartitionID: 0, Leader: 2, LeaderRecoveryState: -1})
	d.settle()
	want := w.dump()
	c.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{0: 1, 1: 9}}) // by who believes to lead
	a.link.set(false, false)
	w.until("the old leader knows", func() bool { return !a.leads() })
	w.all(b.mustAppend("on"), a, b)
	if got := w.dump(); got != want {
		t.Errorf("a controller that leads no more changed the znodes: %s", difference(got, want))
	}
	if !strings.Contains(want, `/topic-0/partitions/0/state - {"controller_epoch":2,"leader":2,"version":1,"leader_epoch":1,"isr":[1,2,3]}`) ||
		!strings.Contains(want, `/topic-0/partitions/1/state - {"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1,2,3]}`) {
		t.Error("the states are not those of the controllers that wrote them")
	}
}

// TestMirrorOfTooMuch: an assignment that does not fit into a znode is left out, and the rest is there.
func TestMirrorOfTooMuch(t *testing.T) {
	w := newWorld(t)
	a := w.join(1)
	w.leader(a)
	c := a.mirrored()
	topic := metadata.UUID{0: 1}
	records := []metadata.Record{&metadata.TopicRecord{Name: "wide", TopicID: topic}}
	replicas := make([]int32, 400) // more than any broker has, so that few partitions do
	for i := range replicas {
		replicas[i] = int32(i) + 1_000_000_000
	}
	for p := range int32(120) {
		r := partition(topic, p, replicas...)
		r.ISR = replicas[:1]
		records = append(records, r)
	}
	c.apply(records...)
	c.settle()
	data, _, err := w.plain.Get(w.path("/brokers/topics/wide"))
	if want := fmt.Sprintf(`{"partitions":{},"topic_id":"%s","adding_replicas":{},"removing_replicas":{},"version":3}`, topic); err != nil || string(data) != want {
		t.Errorf("%.100s, %v", data, err)
	}
	w.stat("/brokers/topics/wide/partitions/119/state")
	c.fromEmpty()
}
