package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// memJournal is a journal in memory. Batches are committed when the test says so, or at once.
type memJournal struct {
	mu      sync.Mutex
	h       journal.Handler
	held    bool // batches wait for release
	batches []journal.Batch
	waiting []journal.Batch
	epoch   int32
	next    int64
	saved   []journal.Snapshot
	values  [][]byte // of the last snapshot
	broken  error
}

func (j *memJournal) Start(h journal.Handler) error {
	j.h = h
	return h.Commit(j.batches)
}

// Campaign leads in a new epoch, whose first batch is without records, as a LeaderChange.
func (j *memJournal) Campaign() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.epoch++
	j.commit(journal.Batch{Offset: j.next, LastOffset: j.next, Epoch: j.epoch})
	j.next++
	j.h.Lead(j.epoch, j.next)
}

func (j *memJournal) commit(b journal.Batch) {
	j.batches = append(j.batches, b)
	if err := j.h.Commit([]journal.Batch{b}); err != nil {
		panic(err)
	}
}

func (j *memJournal) Append(epoch int32, offset, timestampMs int64, values [][]byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.broken != nil:
		return j.broken
	case epoch != j.epoch:
		return journal.ErrNotLeader
	case offset != j.next:
		return journal.ErrUnexpectedOffset
	}
	b := journal.Batch{Offset: offset, LastOffset: offset + int64(len(values)) - 1, Epoch: epoch, TimestampMs: timestampMs, Values: values, SizeBytes: 100}
	j.next = b.LastOffset + 1
	if j.held {
		j.waiting = append(j.waiting, b)
	} else {
		j.commit(b)
	}
	return nil
}

func (j *memJournal) hold() { j.mu.Lock(); j.held = true; j.mu.Unlock() }

func (j *memJournal) release() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.waiting {
		j.commit(b)
	}
	j.waiting, j.held = nil, false
}

// depose loses what was not committed and follows another leader.
func (j *memJournal) depose() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.epoch++
	if len(j.waiting) > 0 {
		j.next = j.waiting[0].Offset
	}
	j.waiting, j.held = nil, false
	j.h.Follow(j.epoch, 2)
}

func (j *memJournal) Save(_ context.Context, s journal.Snapshot) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.saved, j.values = append(j.saved, s), nil
	for v, err := range s.Values {
		if err != nil {
			return err
		}
		j.values = append(j.values, v)
	}
	return nil
}

func (j *memJournal) Status() journal.Status { return journal.Status{Voters: []int32{1}} }
func (j *memJournal) Close() error           { return nil }

func (j *memJournal) Resign(context.Context) error { return nil }

// shell is a controller on a memJournal in a synctest bubble.
func shell(t *testing.T, props map[string]string) (*Controller, *memJournal) {
	t.Helper()
	return shellOn(t, props, &memJournal{})
}

func shellOn(t *testing.T, props map[string]string, j *memJournal) (*Controller, *memJournal) {
	t.Helper()
	all := map[string]string{"node.id": "1"}
	for k, v := range props {
		all[k] = v
	}
	values, _, err := config.ParseBroker(all)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), Options{NodeID: 1, ClusterID: "test", Journal: j, Config: config.NewLive(values)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.WaitActive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, j
}

func createRequest(name string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req.Topics = append(req.Topics, topic)
	return req
}

func codeOf(resp kmsg.Response) error {
	return kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// publications notes what a publisher is told.
type publications struct {
	c      *Controller
	topics []string
	images []*metadata.Image
}

func (p *publications) Publish(delta *metadata.Delta, image *metadata.Image) {
	for t := range delta.Topics() {
		what := "changed "
		if t.Created() {
			what = "created "
		} else if t.Deleted() {
			what = "deleted "
		}
		p.topics = append(p.topics, what+t.Name())
	}
	p.images = append(p.images, image)
}

// A reply goes when its records are committed and the publishers know of them, not before; and so does one that only
// tells of them.
func TestReplyWaitsForCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		registerOne(t, c)
		p := &publications{c: c}
		if err := c.AddPublisher(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		j.hold()
		var replies []string
		note := func(name string) func(kmsg.Response) {
			return func(r kmsg.Response) { replies = append(replies, fmt.Sprint(name, " ", codeOf(r), " ", len(p.topics))) }
		}
		c.Do(t.Context(), Caller{}, createRequest("a"), note("first"))
		c.Do(t.Context(), Caller{}, createRequest("a"), note("second"))
		synctest.Wait()
		if len(replies) != 0 {
			t.Fatalf("replies before the commit: %q", replies)
		}
		j.release()
		synctest.Wait()
		want := fmt.Sprint([]string{"first <nil> 1", "second TOPIC_ALREADY_EXISTS: Topic with this name already exists. 1"})
		if got := fmt.Sprint(replies); got != want {
			t.Fatalf("replies %s\nwant    %s", got, want)
		}
	})
}

// What was decided and not committed when another node takes over is answered with NOT_CONTROLLER, and forgotten.
func TestDeposed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		registerOne(t, c)
		j.hold()
		var answer kmsg.Response
		c.Do(t.Context(), Caller{}, createRequest("lost"), func(r kmsg.Response) { answer = r })
		synctest.Wait()
		j.depose()
		synctest.Wait()
		if answer == nil || !errors.Is(codeOf(answer), kerr.NotController) {
			t.Fatalf("answer %v", answer)
		}
		if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest("b")); !errors.Is(codeOf(got), kerr.NotController) {
			t.Fatalf("while another leads: %v", codeOf(got))
		}
		if c.Leader() != 2 {
			t.Fatalf("leader %d", c.Leader())
		}
		j.Campaign()
		synctest.Wait()
		if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest("lost")); codeOf(got) != nil {
			t.Fatalf("leading again: %v", codeOf(got))
		}
	})
}

// A broker that is not heard of is fenced when its session ends, by the clock alone.
func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := shell(t, map[string]string{"broker.session.timeout.ms": "9000"})
		registerOne(t, c)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if c.Image().Broker(1).Fenced {
			t.Fatal("fenced before its session ended")
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if !c.Image().Broker(1).Fenced {
			t.Fatal("not fenced after its session ended")
		}
	})
}

// A snapshot is written when enough was committed since the last one, and holds the whole image.
func TestSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, map[string]string{"metadata.log.max.record.bytes.between.snapshots": "1000", "metadata.log.max.snapshot.interval.ms": "0"})
		registerOne(t, c)
		for i := range 25 {
			if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest(fmt.Sprint("t", i))); codeOf(got) != nil {
				t.Fatal(codeOf(got))
			}
			synctest.Wait()
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if len(j.saved) != 2 {
			t.Fatalf("%d snapshots of 28 batches of 100 bytes, want 2", len(j.saved))
		}
		delta := metadata.NewDelta(metadata.NewImage("test"))
		for _, v := range j.values {
			r, err := metadata.Parse(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := delta.Apply(r.Record); err != nil {
				t.Fatal(err)
			}
		}
		if image := delta.Image(0, 0); image.NumTopics() == 0 || image.Broker(1) == nil || len(image.Features()) == 0 {
			t.Fatalf("the snapshot has %d topics", image.NumTopics())
		}
	})
}

// Records between BeginTransaction and EndTransaction are published in one step, or not at all (KIP-868).
func TestTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		p := &publications{c: c}
		if err := c.AddPublisher(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		put := func(records ...metadata.Record) {
			j.mu.Lock()
			defer j.mu.Unlock()
			values := encode(c.Image(), records)
			j.commit(journal.Batch{Offset: j.next, LastOffset: j.next + int64(len(values)) - 1, Epoch: j.epoch, Values: values})
			j.next += int64(len(values))
		}
		topic := func(n byte) *metadata.TopicRecord {
			return &metadata.TopicRecord{Name: string('a' + rune(n)), TopicID: metadata.UUID{n + 1, 15: 200}}
		}
		put(topic(0), &metadata.BeginTransactionRecord{}, topic(1))
		put(topic(2))
		synctest.Wait()
		if got := fmt.Sprint(p.topics); got != "[created a]" {
			t.Fatalf("in the transaction: %s", got)
		}
		put(topic(3), &metadata.EndTransactionRecord{})
		put(&metadata.BeginTransactionRecord{}, topic(4), &metadata.AbortTransactionRecord{}, topic(5))
		synctest.Wait()
		if got := fmt.Sprint(p.topics); got != "[created a created b created c created d created f]" {
			t.Fatalf("after it: %s", got)
		}
		if c.Image().Topic("e") != nil {
			t.Fatal("what was aborted is in the image")
		}
	})
}

// A record that does not fit ends the controller, and tells so.
func TestInconsistentLogIsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		c, j := shell(t, nil)
		c.o.OnFail = func(err error) { failed = err }
		j.mu.Lock()
		j.commit(journal.Batch{Offset: j.next, LastOffset: j.next, Epoch: j.epoch, Values: encode(c.Image(), []metadata.Record{&metadata.RemoveTopicRecord{}})})
		j.mu.Unlock()
		synctest.Wait()
		if !errors.Is(failed, metadata.ErrInconsistent) {
			t.Fatalf("failed with %v", failed)
		}
		if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest("b")); !errors.Is(codeOf(got), kerr.NotController) {
			t.Fatalf("afterwards: %v", codeOf(got))
		}
	})
}

// A log that Apache Kafka wrote has features that are not here; they are taken back, and brokers can register.
func TestForeignFeatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := []metadata.Record{
			&metadata.FeatureLevelRecord{Name: metadata.MetadataVersionFeature, FeatureLevel: 30},
			&metadata.FeatureLevelRecord{Name: "of.the.future", FeatureLevel: 2},
		}
		c, _ := shellOn(t, nil, &memJournal{next: 2, batches: []journal.Batch{{LastOffset: 1, Values: encode(metadata.NewImage(""), log)}}})
		synctest.Wait()
		registerOne(t, c)
		if got := fmt.Sprint(c.Image().Features()); got != "map[metadata.version:30]" {
			t.Fatalf("features %s", got)
		}
	})
}
