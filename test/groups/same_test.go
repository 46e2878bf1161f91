// Package groups asks our broker and Apache Kafka the same questions about consumer groups, request by request in every
// version, and compares what they answer.
package groups

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// Brokers that run already. Without them make interop starts both; else the comparison is skipped.
const (
	referenceEnv = "KAFKA_REFERENCE_BOOTSTRAP"
	oursEnv      = "GREGOR_BOOTSTRAP"
	// keepEnv names a directory that the transcripts are written to.
	keepEnv = "GREGOR_TRANSCRIPTS"
)

func TestMain(m *testing.M) { server.Main(m) }

func TestSameAnswersAsKafka(t *testing.T) {
	reference := os.Getenv(referenceEnv)
	switch {
	case reference != "":
	case os.Getenv("GREGOR_INTEROP") != "":
		reference = server.Start(t, server.Options{Apache: true, Extra: []string{"offsets.topic.num.partitions=1"}}).Addr
		admin := kadm.NewClient(client.New(t, reference)) // its coordinator comes to life with the first question
		client.Retry(t, func() error {
			_, err := admin.FetchOffsets(client.Context(t), "first")
			return err
		})
	default:
		t.Skipf("run make interop, or set %s to the address of an Apache Kafka 4.3.0 broker with group.initial.rebalance.delay.ms=0", referenceEnv)
	}
	ours := os.Getenv(oursEnv)
	if ours == "" {
		ours = server.Start(t, server.Options{Ours: true}).Addr
	}
	run := fmt.Sprint(time.Now().UnixNano())
	for _, sc := range append(scenes(), slowScenes()...) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel() // most of a scene is waiting for what does not come
			theirs, mine := performBoth(t, reference, ours, sc, run, quick)
			if theirs != mine {
				// A real difference comes again. One that a stalled machine made, whose late reply was taken for none,
				// does not come with ten times the time.
				theirs, mine = performBoth(t, reference, ours, sc, run+"again", slow)
			}
			compare(t, theirs, mine)
		})
	}
}

// TestScenesPlay plays the scenes against our broker alone, so that they are tried where there is no reference.
func TestScenesPlay(t *testing.T) {
	addr := server.Start(t, server.Options{Ours: true}).Addr
	for _, sc := range scenes() {
		t.Run(sc.name, func(t *testing.T) {
			if text := perform(t, addr, sc, "1", quick); strings.Contains(text, `"ErrorCode":-1,`) {
				t.Errorf("UNKNOWN_SERVER_ERROR in\n%s", text)
			}
		})
	}
}

func performBoth(t *testing.T, reference, ours string, sc scene, run string, quick time.Duration) (theirs, mine string) {
	t.Helper()
	theirs = perform(t, reference, sc, run+"k", quick)
	keep(t, sc.name, "kafka", theirs)
	mine = perform(t, ours, sc, run+"o", quick)
	keep(t, sc.name, "gregor", mine)
	return theirs, mine
}

func perform(t *testing.T, addr string, sc scene, run string, quick time.Duration) string {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	s := &script{
		open:  func() *conn { return dial(t, addr, quick) },
		group: "g" + run + strings.ReplaceAll(sc.name, " ", "-"),
		topic: "group-scenes",
		calls: map[string]*conn{},
	}
	s.uuids = map[string]string{}
	s.topicID = prepare(t, s)
	s.hide = strings.NewReplacer(
		s.group, "G", `"Host":"`+host+`"`, `"Host":"H"`, `"Port":`+port, `"Port":P`,
		idText(s.topicID), `"topic-id"`,
	)
	sc.play(s)
	return s.text.String()
}

// idText is a topic id as encoding/json writes it.
func idText(id [16]byte) string { return strings.ReplaceAll(fmt.Sprint(id), " ", ",") }

// prepare makes the topic, which all scenes share, and __consumer_offsets.
func prepare(t *testing.T, s *script) [16]byte {
	t.Helper()
	c := s.open()
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = s.topic, 4, 1
	create.Topics = append(create.Topics, topic)
	c.send(5, create).reply()
	deadline := time.Now().Add(patience)
	for {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey = s.group
		list := c.send(3, find).reply().(*kmsg.FindCoordinatorResponse)
		loading := c.send(5, kmsg.NewPtrListGroupsRequest()).reply().(*kmsg.ListGroupsResponse)
		meta := kmsg.NewPtrMetadataRequest()
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = &s.topic
		meta.Topics = append(meta.Topics, mt)
		m := c.send(12, meta).reply().(*kmsg.MetadataResponse)
		if list.ErrorCode == 0 && loading.ErrorCode == 0 && m.Topics[0].ErrorCode == 0 && m.Topics[0].TopicID != noID {
			return m.Topics[0].TopicID
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker is not ready: %+v, list %d, %+v", list, loading.ErrorCode, m.Topics)
		}
	}
}

func keep(t *testing.T, scene, who, text string) {
	t.Helper()
	if dir := os.Getenv(keepEnv); dir != "" {
		name := filepath.Join(dir, strings.ReplaceAll(scene, " ", "-")+"."+who)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, theirs, mine string) {
	t.Helper()
	a, b := strings.Split(theirs, "\n"), strings.Split(mine, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("line %d\n kafka: %s\n ours:  %s", i+1, x, y)
		}
	}
}
